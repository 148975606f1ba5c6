// The architectures' goldens, and one model of them at work.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "model/model.h"

namespace ds::test {

using namespace ds::model;
namespace fs = std::filesystem;

inline const fs::path kArch = fs::path(DS_SOURCE_DIR) / "tests/golden/arch";
// golden README: the worst difference between correct float32 implementations is 7e-5.
constexpr double kF32Bound = 1e-3;
// With rows of the cache rounded to bfloat16, the median over positions; 0.012 to 0.051 was measured.
constexpr double kBF16CacheBound = 0.1;

inline std::vector<fs::path> cases() {
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(kArch))
    if (fs::exists(entry.path() / "golden.safetensors")) all.push_back(entry.path());
  std::sort(all.begin(), all.end());
  return all;
}

inline std::vector<int32_t> ids(const SafetensorsFile& golden, const std::string& name) {
  const TensorInfo* t = golden.find(name);
  REQUIRE(t != nullptr);
  const auto data = golden.data(*t);
  std::vector<int32_t> out;
  for (int64_t i = 0; i < t->n_elements(); ++i) {
    int64_t v;
    std::memcpy(&v, data.data() + 8 * i, 8);
    out.push_back(static_cast<int32_t>(v));
  }
  return out;
}
inline std::vector<float> floats(const SafetensorsFile& golden, const std::string& name) {
  const TensorInfo* t = golden.find(name);
  REQUIRE(t != nullptr);
  std::vector<float> out(t->n_elements());
  std::memcpy(out.data(), golden.data(*t).data(), out.size() * 4);
  return out;
}
inline double worst(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(double(a[i]) - b[i]);
    most = d >= most || std::isnan(d) ? d : most;  // a NaN stays
  }
  return most;
}

struct RunnerOptions {
  Activations activations = Activations::kF32;
  int64_t max_tokens = 128, max_sequences = 1, ctx = 128;  // of a step; of a sequence
  DType cache_type = DType::kF32;
};

struct Runner {
  ThreadPool pool;
  std::unique_ptr<const Model> model;
  Arena arena;
  Context context;
  int64_t V;
  DType cache_type;
  Runner(const fs::path& folder, Isa isa, int n_threads, const RunnerOptions& o = {})
      : pool(n_threads),
        model(load_model(open_model(folder.string()))),
        arena(model->workspace_floats(o.max_tokens, o.ctx, n_threads, o.max_sequences, o.cache_type)),
        context{&pool, arena, {isa, o.activations}},
        V(model->config().vocab_size),
        cache_type(o.cache_type) {}

  // Logits [T, V] of one sequence, its tokens fed in runs of `chunk`.
  std::vector<float> logits(const std::vector<int32_t>& tokens, int64_t chunk) {
    KvPool cache_pool(model->cache_streams(), {1, 128, 128, 16, cache_type});
    KvSequence cache(cache_pool);
    return logits(cache, tokens, chunk);
  }
  // The same of the next tokens of a sequence.
  std::vector<float> logits(KvSequence& cache, std::span<const int32_t> tokens, int64_t chunk) {
    std::vector<float> out(tokens.size() * V);
    for (size_t t = 0; t < tokens.size(); t += chunk) {
      const size_t n = std::min<size_t>(chunk, tokens.size() - t);
      std::vector<int32_t> rows;
      for (size_t i = 0; i < n; ++i) rows.push_back(static_cast<int32_t>(i));
      const Segment segment{&cache, static_cast<int64_t>(n)};
      model->forward(context, tokens.subspan(t, n), {&segment, 1}, rows, out.data() + t * V);
    }
    return out;
  }
};

}  // namespace ds::test
