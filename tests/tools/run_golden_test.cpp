// Every architecture's golden logits and greedy continuations, from the outside through ds-run.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/cpu.h"
#include "core/json_value.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "run_program.h"

using namespace ds;

namespace {

constexpr const char* kCases[] = {"llama",       "llama_tied",      "qwen2",           "qwen3",
                                  "qwen3_yarn",  "deepseek_v1",     "deepseek_v2",     "deepseek_v2_lite",
                                  "deepseek_v3", "deepseek_v3_fp8", "deepseek_v3_mtp", "deepseek_v3_ue8m0",
                                  "deepseek_v32"};

std::string model_of(const char* name) { return std::string(DS_SOURCE_DIR "/tests/golden/arch/") + name; }

std::string ids_json(const ds::io::SafetensorsFile& golden, const std::string& name) {
  const ds::io::TensorInfo* info = golden.find(name);
  REQUIRE(info != nullptr);
  std::string out = "[";
  for (int64_t i = 0; i < info->n_elements(); ++i) {
    int64_t id;
    std::memcpy(&id, golden.data(*info).data() + i * 8, 8);
    out += (i ? "," : "") + std::to_string(id);
  }
  return out + "]";
}

// The largest difference between two F32 tensors of the same shape.
double largest_difference(const ds::io::SafetensorsFile& a, const std::string& a_name,
                          const ds::io::SafetensorsFile& b, const std::string& b_name) {
  const ds::io::TensorInfo *x = a.find(a_name), *y = b.find(b_name);
  REQUIRE(x != nullptr);
  REQUIRE(y != nullptr);
  REQUIRE(x->shape == y->shape);
  double worst = 0;
  for (int64_t i = 0; i < x->n_elements(); ++i) {
    float u, v;
    std::memcpy(&u, a.data(*x).data() + i * 4, 4);
    std::memcpy(&v, b.data(*y).data() + i * 4, 4);
    const double difference = std::fabs(static_cast<double>(u) - v);
    worst = difference <= worst ? worst : difference;  // NaN stays
  }
  return worst;
}

}  // namespace

// Every level against the same logits: tests/model. Here one model shows that --isa arrives.
TEST_CASE("--score --logits equals the golden logits; of one model at every level") {
  const TemporaryFolder folder;
  for (const char* name : kCases) {
    const ds::io::SafetensorsFile golden(model_of(name) + "/golden.safetensors");
    ProgramOptions options;
    for (const char* i : {"0", "1", "2"})
      options.in += std::string("{\"id\":\"") + i +
                    "\",\"input_ids\":" + ids_json(golden, std::string("input_ids.") + i) + "}\n";
    for (const ds::Isa isa : name == kCases[0] ? ds::available_isas() : std::vector{ds::best_isa()}) {
      CAPTURE(name);
      CAPTURE(ds::isa_name(isa));
      const std::string path = folder.path() + "/" + name + ds::isa_name(isa) + ".safetensors";
      const ProgramResult r = run_program(
          "ds-run", {model_of(name), "--score", "--quiet", "--logits", path, "--isa", ds::isa_name(isa)},
          options);
      REQUIRE(r.rc == 0);
      const ds::io::SafetensorsFile ours(path);
      for (const char* i : {"0", "1", "2"})
        CHECK(largest_difference(ours, i, golden, std::string("logits.") + i) <= 1e-3);
    }
  }
}

TEST_CASE("greedy continuations equal the golden ids") {
  for (const char* name : kCases) {
    CAPTURE(name);
    const ds::io::SafetensorsFile golden(model_of(name) + "/golden.safetensors");
    ProgramOptions options;
    options.in = "{\"input_ids\":" + ids_json(golden, "prompt_ids") + "}\n";
    const ProgramResult r = run_program(
        "ds-run", {model_of(name), "--jsonl", "--quiet", "--temperature", "0", "-n", "32"}, options);
    CHECK(r.rc == 0);
    CHECK(dump(*find(ds::io::parse_json(r.out, name), "output_ids")) == ids_json(golden, "greedy_ids"));
  }
}

TEST_CASE("V4 is not yet: exit 78, saying so") {
  for (const char* name : {"deepseek_v4", "deepseek_v4_fp8_fp4"}) {
    const ProgramResult r = run_program("ds-run", {model_of(name), "--plan"});
    CHECK(r.rc == 78);
    CHECK(r.err.find("not supported yet") != std::string::npos);
  }
}
