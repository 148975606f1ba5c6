#include "train/loop.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "core/hash.h"
#include "core/json_value.h"
#include "kernels/adamw.h"
#include "model/model.h"
#include "train/backward.h"
#include "train/packing.h"
#include "train/run_folder.h"

namespace ds::train {
namespace {

// Streams of random numbers, one for each purpose; the numbers below them are the epochs of shuffled_order().
enum Stream : uint64_t { kSample = 1, kNoise = 2 };
uint64_t stream_of(Stream purpose, int64_t index) {
  return static_cast<uint64_t>(purpose) << 56 | static_cast<uint64_t>(index);
}

// Which documents an update sees: a function of its number, so that a run goes on anywhere.
class Order {
 public:
  Order(const TrainOptions& o, int64_t n_documents)
      : o_(o), n_(n_documents), size_(std::min(o.batch * o.accumulation, n_documents)) {}
  int64_t updates_per_epoch() const { return (n_ + size_ - 1) / size_; }
  // Documents that an update has on average, DP-SGD's divisor.
  int64_t size() const { return size_; }

  std::vector<int64_t> update(int64_t step) {
    if (o_.dp_clip > 0 && o_.shuffle) return sample(step);
    const int64_t epoch = step / updates_per_epoch(), begin = step % updates_per_epoch() * size_;
    if (epoch != epoch_) shuffle(epoch);
    return {order_.begin() + begin, order_.begin() + std::min(begin + size_, n_)};
  }

 private:
  void shuffle(int64_t epoch) {
    epoch_ = epoch;
    if (o_.shuffle) {
      order_ = shuffled_order(n_, o_.seed, epoch);
    } else {
      order_.resize(n_);
      std::iota(order_.begin(), order_.end(), 0);
    }
  }
  // Each document by itself with the same probability.
  std::vector<int64_t> sample(int64_t step) const {
    CounterRng rng(o_.seed, stream_of(kSample, step));
    const double q = static_cast<double>(size_) / static_cast<double>(n_);
    std::vector<int64_t> chosen;
    for (int64_t i = 0; i < n_; ++i)
      if (rng.next_double() < q) chosen.push_back(i);
    return chosen;
  }

  const TrainOptions& o_;
  int64_t n_, size_, epoch_ = -1;
  std::vector<int64_t> order_;
};

class Run {
 public:
  Run(const TrainOptions& o, DocumentSource& source)
      : o_(o),
        pool_(o.n_threads),
        arena_(kLoadFloats),
        context_{&pool_, arena_, {o.isa, o.activations}},
        folder_(open_model(o.model)),
        parameters_(o.parameters, context_) {
    if (folder_->model_type() == "deepseek_v32")
      throw Error(ErrorKind::kBadModel, "model_type deepseek_v32 is not trained here yet",
                  folder_->config_path(), "its indexer has no backward");
    if (!o.parameters.lora && (folder_->is_quantised() || folder_->is_gguf()))
      throw Error(ErrorKind::kUsage, "full tuning of quantised weights would leave nothing of the coding",
                  folder_->path(), "ds-quantize MODEL -o BF16 --to bf16 first, or train an adapter");
    run_folder_ = std::make_unique<RunFolder>(o.out, o.resume);
    read_documents(source);
    model_ = load_model(folder_, &parameters_);
    parameters_.require_complete();
    for (const Parameter& p : parameters_.all()) {
      moments_.m.emplace_back(p.n());
      moments_.v.emplace_back(p.n());
    }
    backward_ = std::make_unique<Backward>(*model_, &parameters_, pool_, context_.policy, o.recompute);
  }

  TrainReport train() {
    Order order(o_, static_cast<int64_t>(documents_.size()));
    const int64_t n_steps = o_.steps > 0 ? o_.steps : o_.epochs * order.updates_per_epoch();
    report_.n_documents = static_cast<int64_t>(documents_.size());
    report_.n_trained = parameters_.n_values();
    int64_t step = o_.resume && run_folder_->has_checkpoint() ? load() : 0;
    emit({{"event", "start"},
          {"step", step},
          {"steps", n_steps},
          {"documents", report_.n_documents},
          {"trained_values", report_.n_trained}});
    for (; step < n_steps; ++step) {
      if (o_.stop && o_.stop()) {
        report_.stopped = true;
        break;
      }
      update(step, n_steps, order);
      report_.n_steps = step + 1;
      if (o_.save_every > 0 && (step + 1) % o_.save_every == 0 && step + 1 < n_steps) save(step + 1);
    }
    if (saved_ != step) save(step);
    emit({{"event", "end"}, {"step", step}, {"stopped", report_.stopped}, {"skipped", report_.n_skipped}});
    report_.peak_bytes = backward_->peak_bytes();
    return report_;
  }

 private:
  static constexpr int64_t kLoadFloats = 1 << 16;

  void emit(const Json& event) const {
    if (o_.on_event) o_.on_event(event);
  }

  void read_documents(DocumentSource& source) {
    for (TrainingDocument d; source.next(d); d = {}) {
      n_supervised_ += supervised_tokens(d);
      data_hash_ =
          fnv1a({reinterpret_cast<const char*>(d.input_ids.data()), d.input_ids.size() * 4}, data_hash_);
      data_hash_ = fnv1a({reinterpret_cast<const char*>(d.labels.data()), d.labels.size() * 4}, data_hash_);
      documents_.push_back(std::move(d));
    }
    if (documents_.empty()) throw Error(ErrorKind::kBadData, "no document came", "data");
    if (n_supervised_ == 0)
      throw Error(ErrorKind::kBadData, "no token of the data is to be learnt: every label is -100", "data");
  }

  void update(int64_t step, int64_t n_steps, Order& order) {
    parameters_.clear_gradients();
    std::vector<TrainingDocument> documents;
    for (const int64_t i : order.update(step)) documents.push_back(documents_[i]);
    int64_t n_supervised = 0, n_tokens = 0;
    for (const TrainingDocument& d : documents) {
      n_supervised += supervised_tokens(d);
      n_tokens += static_cast<int64_t>(d.input_ids.size());
    }
    const double loss =
        o_.dp_clip > 0 ? add_private(documents) : add_gradients(documents, n_supervised) / norm(n_supervised);
    if (step == 0 && !o_.grads.empty()) write_gradients();
    if (o_.dp_clip > 0) make_private(step, order.size());
    double squares = 0;
    for (const Parameter& p : parameters_.all())
      squares += sum_of_squares(context_, p.gradient.data(), p.n());
    const double grad_norm = std::sqrt(squares);
    if (!std::isfinite(loss) || !std::isfinite(grad_norm)) {
      skip(step);
      return;
    }
    n_bad_ = 0;
    AdamWStep s;
    s.lr = o_.rate(step, n_steps);
    s.beta1 = o_.beta1, s.beta2 = o_.beta2, s.eps = o_.eps;
    s.t = step + 1 - report_.n_skipped;
    s.gradient_factor = o_.clip > 0 ? std::min(1.0, o_.clip / (grad_norm + 1e-6)) : 1;
    size_t i = 0;
    for (Parameter& p : parameters_.all()) {
      s.weight_decay = p.is_matrix() ? o_.weight_decay : 0;
      adamw(context_, s, p.gradient.data(), p.n(), p.values.data(), moments_.m[i].data(),
            moments_.v[i].data());
      ++i;
    }
    if (step == 0) report_.first_loss = loss;
    report_.last_loss = loss;
    emit({{"event", "step"},
          {"step", step + 1},
          {"loss", loss},
          {"grad_norm", grad_norm},
          {"lr", s.lr},
          {"tokens", n_tokens},
          {"supervised_tokens", n_supervised}});
  }

  static double norm(int64_t n) { return static_cast<double>(std::max<int64_t>(n, 1)); }

  // The loss is a mean over the supervised tokens of the whole update, however it is split.
  double add_gradients(std::span<const TrainingDocument> documents, int64_t n_supervised) {
    const int64_t at_a_time = o_.packing ? o_.batch : 1;
    double sum = 0;
    for (size_t i = 0; i < documents.size(); i += at_a_time)
      sum += backward_->add_gradient(documents.subspan(i, std::min<size_t>(at_a_time, documents.size() - i)),
                                     1 / norm(n_supervised));
    return sum;
  }

  // The sum of the documents' clipped gradients; the mean of their mean losses.
  double add_private(std::span<const TrainingDocument> documents) {
    std::vector<std::vector<float>> sums;
    for (const Parameter& p : parameters_.all()) sums.emplace_back(p.n());
    double losses = 0;
    for (const TrainingDocument& d : documents) {
      const double scale = 1 / norm(supervised_tokens(d));
      losses += backward_->add_gradient({&d, 1}, scale) * scale;
      double squares = 0;
      for (const Parameter& p : parameters_.all())
        squares += sum_of_squares(context_, p.gradient.data(), p.n());
      const auto factor = static_cast<float>(std::min(1.0, o_.dp_clip / (std::sqrt(squares) + 1e-6)));
      size_t i = 0;
      for (const Parameter& p : parameters_.all()) {
        for (int64_t j = 0; j < p.n(); ++j) sums[i][j] += factor * p.gradient[j];
        ++i;
      }
      parameters_.clear_gradients();
    }
    size_t i = 0;
    for (Parameter& p : parameters_.all()) {
      std::copy(sums[i].begin(), sums[i].end(), p.gradient.begin());
      ++i;
    }
    return losses / norm(static_cast<int64_t>(documents.size()));
  }

  // The sum with noise, by the documents that an update has on average.
  void make_private(int64_t step, int64_t n_expected) {
    CounterRng rng(o_.seed, stream_of(kNoise, step));
    const double sigma = o_.dp_noise * o_.dp_clip;
    for (Parameter& p : parameters_.all()) {
      for (float& g : p.gradient) {
        double noise = 0;
        if (sigma > 0)  // Box and Muller
          noise = sigma * std::sqrt(-2 * std::log(1 - rng.next_double())) *
                  std::cos(2 * std::numbers::pi * rng.next_double());
        g = static_cast<float>((g + noise) / static_cast<double>(n_expected));
      }
    }
  }

  void skip(int64_t step) {
    ++report_.n_skipped;
    emit({{"event", "skip"}, {"step", step + 1}, {"reason", "loss or gradient is not finite"}});
    if (++n_bad_ < o_.max_bad_losses) return;
    throw Error(ErrorKind::kBadData,
                std::to_string(n_bad_) + " updates in a row had a loss or gradient that is not finite",
                "update " + std::to_string(step + 1), "lower --lr; the last checkpoint is good");
  }

  void write_gradients() const {
    std::vector<NamedFloats> tensors;
    for (const Parameter& p : parameters_.all()) tensors.push_back({p.name, p.shape, p.gradient.data()});
    write_floats(o_.grads, tensors);
  }

  // What a checkpoint must agree on with the run that goes on from it.
  Json identity() const {
    return {{"model_type", folder_->model_type()},
            {"data", hex_of(data_hash_)},
            {"batch", o_.batch},
            {"accumulation", o_.accumulation},
            {"shuffle", o_.shuffle},
            {"seed", o_.seed},
            {"lora", o_.parameters.lora},
            {"router", o_.parameters.train_router}};
  }

  void save(int64_t step) {
    Json state = {{"step", step}, {"skipped", report_.n_skipped}, {"run", identity()}};
    run_folder_->save(step, *folder_, parameters_, moments_, state, o_.keep);
    saved_ = step;
    emit({{"event", "save"}, {"step", step}});
  }

  int64_t load() {
    const Json state = run_folder_->load(parameters_, moments_);
    const Json* run = ds::find(state, "run");
    if (!run || *run != identity())
      throw Error(
          ErrorKind::kUsage,
          "the checkpoint is of another run: " + (run ? dump(*run) : "") + " against " + dump(identity()),
          o_.out, "the same model, data, batch, accumulation, seed and method are needed to go on");
    report_.n_skipped = state["skipped"].get<int64_t>();
    saved_ = state["step"].get<int64_t>();
    return saved_;
  }

  const TrainOptions& o_;
  ThreadPool pool_;
  Arena arena_;
  Context context_;
  std::shared_ptr<const ModelFolder> folder_;
  std::unique_ptr<RunFolder> run_folder_;
  Parameters parameters_;
  std::unique_ptr<const Model> model_;
  std::vector<TrainingDocument> documents_;
  int64_t n_supervised_ = 0, n_bad_ = 0, saved_ = -1;
  uint64_t data_hash_ = fnv1a("");
  Moments moments_;
  std::unique_ptr<Backward> backward_;
  TrainReport report_;
};

}  // namespace

TrainReport train_model(const TrainOptions& options, DocumentSource& source) {
  return Run(options, source).train();
}

}  // namespace ds::train
