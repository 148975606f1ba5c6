// Every architecture against reference logits: at every level, whole and in chunks, token by token, and
// batched.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "io/safetensors.h"
#include "model/model.h"

namespace fs = std::filesystem;
using namespace ds;
using namespace ds::model;

namespace {

const fs::path kArch = fs::path(DS_SOURCE_DIR) / "tests/golden/arch";
// golden README: the worst difference between correct float32 implementations is 7e-5.
constexpr double kF32Bound = 1e-3;

std::vector<fs::path> cases() {
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(kArch))
    if (fs::exists(entry.path() / "golden.safetensors")) all.push_back(entry.path());
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<int32_t> ids(const SafetensorsFile& golden, const std::string& name) {
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
std::vector<float> floats(const SafetensorsFile& golden, const std::string& name) {
  const TensorInfo* t = golden.find(name);
  REQUIRE(t != nullptr);
  std::vector<float> out(t->n_elements());
  std::memcpy(out.data(), golden.data(*t).data(), out.size() * 4);
  return out;
}
double worst(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(double(a[i]) - b[i]);
    most = d >= most || std::isnan(d) ? d : most;  // a NaN stays
  }
  return most;
}

struct Runner {
  ThreadPool pool;
  std::unique_ptr<const Model> model;
  Exec exec;
  Workspace workspace;
  int64_t V;
  Runner(const fs::path& folder, Isa isa, int n_threads, Activations activations = Activations::kF32)
      : pool(n_threads),
        model(load_model(open_model(folder.string()))),
        exec{pool, isa, activations},
        workspace(model->workspace_floats(128, 128, n_threads)),
        V(model->config().vocab_size) {}

  // Logits [T, V] of one sequence, its tokens fed in runs of `chunk`.
  std::vector<float> logits(const std::vector<int32_t>& tokens, int64_t chunk) {
    KvCache cache(model->cache_streams(), 128);
    std::vector<float> out(tokens.size() * V);
    for (size_t t = 0; t < tokens.size(); t += chunk) {
      const size_t n = std::min<size_t>(chunk, tokens.size() - t);
      std::vector<int32_t> rows;
      for (size_t i = 0; i < n; ++i) rows.push_back(static_cast<int32_t>(i));
      const Segment segment{&cache, static_cast<int64_t>(n)};
      model->forward(exec, workspace, std::span(tokens).subspan(t, n), {&segment, 1}, rows,
                     out.data() + t * V);
    }
    return out;
  }
};

}  // namespace

TEST_CASE("reference logits, all levels, whole and chunked") {
  REQUIRE(cases().size() >= 13);
  for (const fs::path& folder : cases()) {
    const SafetensorsFile golden((folder / "golden.safetensors").string());
    for (const Isa isa : available_isas()) {
      Runner run(folder, isa, 2);
      for (int i = 0; golden.find("input_ids." + std::to_string(i)); ++i) {
        const auto tokens = ids(golden, "input_ids." + std::to_string(i));
        const auto want = floats(golden, "logits." + std::to_string(i));
        for (const int64_t chunk : {int64_t{128}, int64_t{16}, int64_t{5}, int64_t{1}}) {
          INFO(folder.filename().string(), " ", isa_name(isa), " sequence ", i, " chunk ", chunk);
          CHECK(worst(run.logits(tokens, chunk), want) < kF32Bound);
        }
      }
    }
  }
}

TEST_CASE("greedy ids are exactly the reference's") {
  for (const fs::path& folder : cases()) {
    const SafetensorsFile golden((folder / "golden.safetensors").string());
    const auto prompt = ids(golden, "prompt_ids"), want = ids(golden, "greedy_ids");
    for (const Isa isa : available_isas()) {
      Runner run(folder, isa, 2);
      KvCache cache(run.model->cache_streams(), 128);
      std::vector<float> logits(run.V);
      std::vector<int32_t> next = prompt, got;
      while (got.size() < want.size()) {
        const Segment segment{&cache, static_cast<int64_t>(next.size())};
        const int32_t last = static_cast<int32_t>(next.size()) - 1;
        run.model->forward(run.exec, run.workspace, next, {&segment, 1}, {&last, 1}, logits.data());
        next = {static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin())};
        got.push_back(next[0]);
      }
      INFO(folder.filename().string(), " ", isa_name(isa));
      CHECK(got == want);
    }
  }
}

TEST_CASE("the same bits for any number of threads") {
  for (const fs::path& folder : cases()) {
    const SafetensorsFile golden((folder / "golden.safetensors").string());
    const auto tokens = ids(golden, "input_ids.2");
    std::vector<float> first;
    for (const int n_threads : {1, 2, 5}) {
      Runner run(folder, best_isa(), n_threads);
      for (const int64_t chunk : {int64_t{128}, int64_t{1}}) {
        const auto logits = run.logits(tokens, chunk);
        if (n_threads == 1) first.insert(first.end(), logits.begin(), logits.end());
        const size_t offset = chunk == 128 ? 0 : first.size() / 2;
        INFO(folder.filename().string(), " threads ", n_threads, " chunk ", chunk);
        CHECK(std::memcmp(first.data() + offset, logits.data(), logits.size() * 4) == 0);
      }
    }
  }
}

TEST_CASE("a batch of sequences equals each alone") {
  for (const fs::path& folder : cases()) {
    const SafetensorsFile golden((folder / "golden.safetensors").string());
    Runner run(folder, best_isa(), 2);
    KvCache a(run.model->cache_streams(), 128), b(run.model->cache_streams(), 128);
    const auto tokens_a = ids(golden, "input_ids.1"), tokens_b = ids(golden, "input_ids.2");
    std::vector<int32_t> both = tokens_a, rows;
    both.insert(both.end(), tokens_b.begin(), tokens_b.end());
    for (size_t i = 0; i < both.size(); ++i) rows.push_back(static_cast<int32_t>(i));
    const Segment segments[] = {{&a, static_cast<int64_t>(tokens_a.size())},
                                {&b, static_cast<int64_t>(tokens_b.size())}};
    std::vector<float> got(both.size() * run.V);
    run.model->forward(run.exec, run.workspace, both, segments, rows, got.data());
    auto want = floats(golden, "logits.1");
    const auto more = floats(golden, "logits.2");
    want.insert(want.end(), more.begin(), more.end());
    INFO(folder.filename().string());
    CHECK(worst(got, want) < kF32Bound);
  }
}

TEST_CASE("activations rounded to bfloat16 stay within the bfloat16 bounds") {
  for (const fs::path& folder : cases()) {
    const SafetensorsFile golden((folder / "golden.safetensors").string());
    Runner run(folder, best_isa(), 2, Activations::kBF16);
    std::vector<double> worst_of_position;
    for (int i = 0; golden.find("input_ids." + std::to_string(i)); ++i) {
      const auto got = run.logits(ids(golden, "input_ids." + std::to_string(i)), 128);
      const auto want = floats(golden, "logits." + std::to_string(i));
      for (size_t t = 0; t < got.size() / run.V; ++t) {
        double most = 0;
        for (int64_t v = 0; v < run.V; ++v)
          most = std::max(most, std::fabs(double(got[t * run.V + v]) - want[t * run.V + v]));
        worst_of_position.push_back(most);
      }
    }
    // With experts a token whose choice flips moves far in a correct implementation too: the median is
    // bounded.
    std::nth_element(worst_of_position.begin(), worst_of_position.begin() + worst_of_position.size() / 2,
                     worst_of_position.end());
    INFO(folder.filename().string());
    CHECK(worst_of_position[worst_of_position.size() / 2] < 0.3);
  }
}

TEST_CASE("V4 folders are refused by name") {
  for (const char* name : {"deepseek_v4", "deepseek_v4_fp8_fp4"}) {
    try {
      load_model(open_model((kArch / name).string()));
      FAIL("accepted");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kBadModel);
      CHECK(std::string(e.what()).find("not supported yet") != std::string::npos);
    }
  }
}
