#include "train/backward.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "core/error.h"
#include "kernels/cross_entropy.h"

namespace ds::train {
namespace {

// Of logits, held at a time.
constexpr int64_t kLogitsFloats = int64_t{16} << 20, kLeastRows = 16;
constexpr int64_t kPageTokens = 64;

// Bytes that begin as 0, at a cache line.
class ZeroedBytes {
 public:
  void grow(int64_t n) {
    if (n <= size_) return;
    const int64_t size = (n + 63) / 64 * 64;
    bytes_.reset();
    bytes_.reset(static_cast<std::byte*>(std::aligned_alloc(64, size)));
    if (!bytes_) throw std::bad_alloc();
    size_ = size;
    clear();
  }
  void clear() { std::fill(bytes_.get(), bytes_.get() + size_, std::byte{0}); }
  std::byte* get() const { return bytes_.get(); }
  int64_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte[], Free> bytes_;
  int64_t size_ = 0;
};

}  // namespace

int64_t supervised_tokens(const TrainingDocument& document) {
  return std::count_if(document.labels.begin(), document.labels.end(),
                       [](int32_t label) { return label != kNotTrained; });
}

// Documents as a step.
struct Backward::Batch {
  std::vector<int32_t> tokens;   // [T]
  std::vector<int32_t> rows;     // of the tokens that predict a label, ascending
  std::vector<int32_t> targets;  // beside rows
  std::vector<int64_t> lengths;  // of the documents
  std::vector<Segment> segments;
};

struct Backward::Memory {
  std::unique_ptr<KvPool> pool;
  std::vector<std::unique_ptr<KvSequence>> sequences;
  ZeroedBytes pool_gradients;
  ZeroedBytes scratch, scratch_gradients;  // an arena and its shadow
};

Backward::Backward(const Model& model, Parameters* parameters, ThreadPool& pool, const Policy& policy,
                   bool recompute)
    : model_(model),
      parameters_(parameters),
      pool_(pool),
      policy_(policy),
      recompute_(recompute),
      memory_(std::make_unique<Memory>()) {
  if (parameters_) parameters_->train(tape_);
}

Backward::~Backward() = default;

int64_t Backward::peak_bytes() const {
  const Memory& m = *memory_;
  const int64_t rows = m.pool ? static_cast<int64_t>(m.pool->memory().size()) : 0;
  return rows + m.pool_gradients.size() + m.scratch.size() + m.scratch_gradients.size() +
         tape_.kept_bytes_peak();
}

double Backward::add_gradient(std::span<const TrainingDocument> documents, double scale) {
  return run(documents, scale, true);
}
double Backward::loss(std::span<const TrainingDocument> documents) { return run(documents, 0, false); }

// Room for the batch's cached rows, and their gradients.
void Backward::make_room(const Batch& batch) {
  Memory& m = *memory_;
  const int64_t longest = *std::max_element(batch.lengths.begin(), batch.lengths.end());
  const auto n = static_cast<int64_t>(batch.lengths.size());
  int64_t total = 0;
  for (const int64_t length : batch.lengths) total += (length + kPageTokens - 1) / kPageTokens * kPageTokens;
  m.sequences.clear();
  m.pool.reset();
  m.pool = std::make_unique<KvPool>(
      model_.cache_streams(),
      KvPoolSize{n, longest, longest, kPageTokens, DType::kF32, std::max(total, longest)});
  for (int64_t i = 0; i < n; ++i) m.sequences.push_back(std::make_unique<KvSequence>(*m.pool));
  m.pool_gradients.grow(static_cast<int64_t>(m.pool->memory().size()));
}

double Backward::run(std::span<const TrainingDocument> documents, double scale, bool with_gradient) {
  const auto V = static_cast<int32_t>(model_.config().vocab_size);
  Batch batch;
  for (const TrainingDocument& d : documents) {
    if (supervised_tokens(d) == 0) continue;
    const auto first = static_cast<int32_t>(batch.tokens.size());
    for (size_t t = 0; t < d.input_ids.size(); ++t) {
      if (d.input_ids[t] < 0 || d.input_ids[t] >= V || d.labels[t] >= V)
        throw Error(ErrorKind::kBadData,
                    "token id " + std::to_string(std::max(d.input_ids[t], d.labels[t])) +
                        " is outside the vocabulary of " + std::to_string(V),
                    d.id, "the records were tokenised for another model");
      if (d.labels[t] == kNotTrained) continue;
      DS_CHECK(t > 0);
      batch.rows.push_back(first + static_cast<int32_t>(t) - 1);
      batch.targets.push_back(d.labels[t]);
    }
    batch.tokens.insert(batch.tokens.end(), d.input_ids.begin(), d.input_ids.end());
    batch.lengths.push_back(static_cast<int64_t>(d.input_ids.size()));
  }
  if (batch.tokens.empty()) return 0;
  make_room(batch);
  Memory& m = *memory_;
  for (size_t i = 0; i < batch.lengths.size(); ++i)
    batch.segments.push_back({m.sequences[i].get(), batch.lengths[i]});
  std::vector<double> losses(batch.targets.size());
  Tape* tape = with_gradient ? &tape_ : nullptr;

  tape_.watch_nothing();
  const auto rows = m.pool->memory();
  tape_.watch(rows.data(), static_cast<int64_t>(rows.size()), m.pool_gradients.get(), true);
  Arena measure = Arena::measure(pool_.n_threads());
  pass({nullptr, measure, policy_, Device::kCpu, nullptr, tape}, batch, scale, losses);
  const int64_t n_bytes = measure.peak_floats() * 4;
  m.scratch.grow(n_bytes);
  m.scratch_gradients.grow(n_bytes);
  Arena arena(reinterpret_cast<float*>(m.scratch.get()), m.scratch.size() / 4, Device::kCpu);
  tape_.watch(m.scratch.get(), m.scratch.size(), m.scratch_gradients.get(), false);
  try {
    pass({&pool_, arena, policy_, Device::kCpu, nullptr, tape}, batch, scale, losses);
  } catch (...) {
    tape_.clear();
    m.scratch_gradients.clear(), m.pool_gradients.clear();
    throw;
  }
  double sum = 0;
  for (const double loss : losses) sum += loss;
  return sum;
}

void Backward::pass(const Context& context, const Batch& batch, double scale, std::span<double> losses) {
  const int64_t V = model_.config().vocab_size, most = std::max(kLeastRows, kLogitsFloats / V);
  model_.forward_hidden(
      context, batch.tokens, batch.segments, batch.rows, recompute_, [&](TensorView hidden) {
        for (int64_t row = 0; row < hidden.rows; row += most) {
          const int64_t n = std::min(most, hidden.rows - row);
          const Arena::Mark mark = context.arena.mark();
          const TensorView logits = context.arena.take(n, V);  // [n, V]
          const size_t begin = tape_.mark();
          model_.head(context, hidden.rows_from(row, n), logits);
          const TensorView dlogits = context.tape ? tape_.gradient(context, logits) : TensorView();
          cross_entropy(context.untaped(), logits, std::span(batch.targets).subspan(row, n), scale, dlogits,
                        losses.subspan(row, n));
          if (context.tape) tape_.backward(context, begin);
          context.arena.reset_to(mark);
        }
        if (context.tape) tape_.backward(context);
      });
}

}  // namespace ds::train
