// A pass back through every architecture that is trained: against differences of the loss, and the same bits
// whatever does not matter.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "train/backward.h"

using namespace ds;
using namespace ds::train;
namespace fs = std::filesystem;

namespace {

const fs::path kArch = fs::path(DS_SOURCE_DIR) / "tests/golden/arch";
// Windows, biases, norms of heads, tied heads, FP8; MLA with and without q_a_proj; routers of all kinds.
const char* const kCases[] = {
    "llama",       "llama_tied",  "mistral",          "qwen2",       "qwen3",          "qwen3_moe",
    "deepseek_v1", "deepseek_v2", "deepseek_v2_lite", "deepseek_v3", "deepseek_v3_fp8"};

std::vector<TrainingDocument> documents(int64_t V) {
  CounterRng rng(7);
  std::vector<TrainingDocument> all;
  for (const int64_t n : {23, 5, 40, 2}) {
    TrainingDocument d;
    d.id = "document of " + std::to_string(n);
    for (int64_t t = 0; t < n; ++t) {
      d.input_ids.push_back(static_cast<int32_t>(rng.next_double() * static_cast<double>(V)));
      d.labels.push_back(t > 0 && (t % 3 || n < 6) ? d.input_ids.back() : kNotTrained);
    }
    all.push_back(std::move(d));
  }
  return all;
}

struct Trained {
  ThreadPool pool;
  Arena arena{1 << 16};
  Context context;
  Parameters parameters;
  std::unique_ptr<const Model> model;
  Backward backward;
  std::vector<TrainingDocument> docs;
  explicit Trained(const char* name, bool lora = false, int n_threads = 2, bool recompute = false,
                   Isa isa = best_isa())
      : pool(n_threads),
        context{&pool, arena, {isa, Activations::kF32}},
        parameters(options(lora), context),
        model(load_model(open_model((kArch / name).string()), &parameters)),
        backward(*model, &parameters, pool, context.policy, recompute),
        docs(documents(model->config().vocab_size)) {}

  static ParameterOptions options(bool lora) {
    ParameterOptions o;
    o.lora = lora, o.train_router = true;
    o.adapter.rank = 4, o.adapter.targets = "_proj";
    return o;
  }
  // B of a new adapter is 0, and then A has no gradient.
  void disturb() {
    CounterRng rng(3);
    for (Parameter& p : parameters.all())
      for (float& x : p.values) x += static_cast<float>(rng.next_double() - 0.5) * 0.02f;
  }
  double gradient(bool packed = true) {
    parameters.clear_gradients();
    double sum = 0;
    if (packed) return backward.add_gradient(docs, 1.0 / 32);
    for (const TrainingDocument& d : docs) sum += backward.add_gradient({&d, 1}, 1.0 / 32);
    return sum;
  }
  std::vector<float> all_gradients() const {
    std::vector<float> all;
    for (const Parameter& p : parameters.all()) all.insert(all.end(), p.gradient.begin(), p.gradient.end());
    return all;
  }
};

double norm(const std::vector<float>& g) {
  double sum = 0;
  for (const float x : g) sum += double(x) * x;
  return std::sqrt(sum);
}
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return std::sqrt(sum);
}
bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

}  // namespace

// Along the gradient itself the loss rises by its norm: one number that every tensor has a part in.

TEST_CASE("the loss rises along the gradient as the gradient says") {
  for (const char* name : kCases) {
    for (const bool lora : {false, true}) {
      INFO(std::string(name), lora ? " lora" : " full");
      Trained run(name, lora);
      run.disturb();
      const double loss = run.gradient();
      CHECK(loss == doctest::Approx(run.backward.loss(run.docs)).epsilon(1e-12));
      const auto g = run.all_gradients();
      const double length = norm(g), step = 1e-4;
      REQUIRE(length > 0);
      const auto at = [&](double factor) {
        size_t i = 0;
        for (Parameter& p : run.parameters.all())
          for (float& x : p.values) x += static_cast<float>(factor * g[i++] / length);
        return run.backward.loss(run.docs) / 32;
      };
      const double here = loss / 32, up = (at(step) - here) / step, down = (here - at(-2 * step)) / step;
      // On one side a token may choose another expert: a step in the loss that is no slope.
      const double slope = std::fabs(up - length) < std::fabs(down - length) ? up : down;
      CHECK(slope == doctest::Approx(length).epsilon(0.02));
    }
  }
}

TEST_CASE("recomputed layers and any number of threads: the same bits") {
  for (const char* name : {"llama", "qwen3_moe", "deepseek_v3"}) {
    for (const bool lora : {false, true}) {
      INFO(std::string(name), lora ? " lora" : " full");
      std::vector<float> first;
      double first_loss = 0;
      for (const auto& [n_threads, recompute] : {std::pair{1, false}, {2, false}, {3, true}, {1, true}}) {
        Trained run(name, lora, n_threads, recompute);
        run.disturb();
        const double loss = run.gradient();
        const auto g = run.all_gradients();
        if (first.empty()) first = g, first_loss = loss;
        CHECK(same_bits(g, first));
        CHECK(loss == first_loss);
        // Nothing of a pass is left for the next one.
        run.gradient();
        CHECK(same_bits(run.all_gradients(), first));
      }
    }
  }
}

TEST_CASE("packed or one after the other, at every level: the same gradient up to rounding") {
  for (const char* name : {"mistral", "qwen2", "deepseek_v2_lite", "deepseek_v3"}) {
    Trained reference(name, false, 2, false, Isa::kScalar);
    const double loss = reference.gradient(false);
    const auto want = reference.all_gradients();
    for (const Isa isa : available_isas()) {
      INFO(std::string(name), " ", isa_name(isa));
      Trained run(name, false, 2, true, isa);
      CHECK(run.gradient(true) == doctest::Approx(loss).epsilon(1e-5));
      CHECK(distance(run.all_gradients(), want) < 1e-4 * norm(want));
    }
  }
}

TEST_CASE("tokens of another vocabulary are refused, documents without labels cost nothing") {
  Trained run("llama");
  TrainingDocument d;
  d.id = "file:7", d.input_ids = {1, 2}, d.labels = {kNotTrained, kNotTrained};
  CHECK(run.backward.add_gradient({&d, 1}, 1) == 0);
  d.input_ids[1] = d.labels[1] = 1 << 30;
  CHECK_THROWS_AS(run.backward.add_gradient({&d, 1}, 1), Error);
}
