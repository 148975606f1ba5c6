// Every architecture against reference logits: at every level, whole and in chunks, token by token.
#include "checkpoint/model_maker.h"
#include "goldens.h"
#include "io/files.h"

using namespace ds;
using namespace ds::test;

TEST_CASE("reference logits, all levels, whole and chunked") {
  REQUIRE(cases().size() >= 16);
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
      KvPool cache_pool(run.model->cache_streams(), {1, 128, 128, 16, DType::kF32});
      KvSequence cache(cache_pool);
      std::vector<float> logits(run.V);
      std::vector<int32_t> next = prompt, got;
      while (got.size() < want.size()) {
        const Segment segment{&cache, static_cast<int64_t>(next.size())};
        const int32_t last = static_cast<int32_t>(next.size()) - 1;
        run.model->forward(run.context, next, {&segment, 1}, {&last, 1}, logits.data());
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
    for (const DType cache_type : {DType::kF32, DType::kBF16}) {
      std::vector<float> first;
      for (const int n_threads : {1, 2, 5}) {
        Runner run(folder, best_isa(), n_threads, {.cache_type = cache_type});
        for (const int64_t chunk : {int64_t{128}, int64_t{1}}) {
          const auto logits = run.logits(tokens, chunk);
          if (n_threads == 1) first.insert(first.end(), logits.begin(), logits.end());
          const size_t offset = chunk == 128 ? 0 : first.size() / 2;
          INFO(folder.filename().string(), " threads ", n_threads, " chunk ", chunk, " rows ",
               dtype_name(cache_type));
          CHECK(std::memcmp(first.data() + offset, logits.data(), logits.size() * 4) == 0);
        }
      }
    }
  }
}

namespace {

// Of each position of the golden's sequences the worst difference, ascending.
std::vector<double> differences(Runner& run, const SafetensorsFile& golden, int64_t chunk) {
  std::vector<double> worst_of_position;
  for (int i = 0; golden.find("input_ids." + std::to_string(i)); ++i) {
    const auto got = run.logits(ids(golden, "input_ids." + std::to_string(i)), chunk);
    const auto want = floats(golden, "logits." + std::to_string(i));
    for (size_t t = 0; t < got.size() / run.V; ++t) {
      double most = 0;
      for (int64_t v = 0; v < run.V; ++v)
        most = std::max(most, std::fabs(double(got[t * run.V + v]) - want[t * run.V + v]));
      worst_of_position.push_back(most);
    }
  }
  std::sort(worst_of_position.begin(), worst_of_position.end());
  return worst_of_position;
}

}  // namespace

// With experts a token whose choice flips moves far in a correct implementation too: the median is bounded.
TEST_CASE("activations rounded to bfloat16 stay within the bfloat16 bounds") {
  for (const fs::path& folder : cases()) {
    const SafetensorsFile golden((folder / "golden.safetensors").string());
    Runner run(folder, best_isa(), 2, {.activations = Activations::kBF16});
    const auto sorted = differences(run, golden, 128);
    INFO(folder.filename().string());
    CHECK(sorted[sorted.size() / 2] < 0.3);
  }
}

TEST_CASE("cached rows in bfloat16 stay within the bfloat16 bounds, at every level") {
  for (const fs::path& folder : cases()) {
    const SafetensorsFile golden((folder / "golden.safetensors").string());
    for (const Isa isa : available_isas()) {
      Runner run(folder, isa, 2, {.cache_type = DType::kBF16});
      for (const int64_t chunk : {128, 3}) {
        const auto sorted = differences(run, golden, chunk);
        INFO(folder.filename().string(), " ", isa_name(isa), " chunk ", chunk);
        CHECK(sorted[sorted.size() / 2] < kBF16CacheBound);
      }
    }
  }
}

TEST_CASE("V4 folders are refused by name") {
  for (const char* name : {"deepseek_v4", "deepseek_v4_fp8_fp4"}) {
    TempFolder folder;
    folder.write("config.json", read_file((kArch / name / "config.json").string()));
    write_shard(folder, "model.safetensors", {{"embed.weight", "BF16", {1, 1}, std::string(2, '\0')}});
    try {
      load_model(open_model(folder.path()));
      FAIL("accepted");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kBadModel);
      CHECK(std::string(e.what()).find("not supported yet") != std::string::npos);
    }
  }
}
