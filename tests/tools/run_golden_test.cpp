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

TEST_CASE("GGUF files answer as their golden says: blocks, parts, the old latent layout, SentencePiece") {
  const TemporaryFolder folder;
  for (const std::string name : {"qwen3_q8_0_split3", "deepseek2_qlora_legacy_q8_0", "llama_spm_bf16"}) {
    CAPTURE(name);
    const std::string place = DS_SOURCE_DIR "/tests/golden/gguf/" + name;
    const bool in_parts = name == "qwen3_q8_0_split3";
    const std::string model = place + (in_parts ? "/model-00001-of-00003.gguf" : "/model.gguf");
    const ds::io::SafetensorsFile golden(place + "/golden.safetensors");
    ProgramOptions options;
    options.in = "{\"id\":\"0\",\"input_ids\":" + ids_json(golden, "input_ids.0") + "}\n";
    for (const char* isa : {"scalar", "auto"}) {
      const std::string path = folder.path() + "/" + name + isa + ".safetensors";
      const ProgramResult r =
          run_program("ds-run", {model, "--score", "--quiet", "--logits", path, "--isa", isa}, options);
      CAPTURE(r.err);
      REQUIRE(r.rc == 0);
      const ds::io::SafetensorsFile ours(path);
      CHECK(largest_difference(ours, "0", golden, "logits.0") <= 1e-3);
    }
  }
}

TEST_CASE("GGUF: the tokenizer and the chat template within") {
  const std::string place = DS_SOURCE_DIR "/tests/golden/gguf/llama_spm_bf16/";
  const auto answers = [&](const char* job, const std::string& records) {
    ProgramOptions options;
    options.in = records;
    const ProgramResult r = run_program("ds-run", {place + "model.gguf", job, "--jsonl", "--quiet"}, options);
    CAPTURE(r.err);
    REQUIRE(r.rc == 0);
    return lines_of(r.out);
  };
  const auto member = [](const std::string& line, const char* name) {
    const ds::Json record = ds::io::parse_json(line, "record");
    const ds::Json* value = ds::find(record, name);
    return value ? ds::dump(*value) : std::string();
  };
  const std::string texts = file_bytes(place + "tokenizer.jsonl"), chats = file_bytes(place + "chat.jsonl");
  const std::vector<std::string> ids = answers("--tokenize", texts), rendered = answers("--render", chats);
  REQUIRE(ids.size() == lines_of(texts).size());
  for (size_t i = 0; i < ids.size(); ++i) CHECK(member(ids[i], "ids") == member(lines_of(texts)[i], "ids"));
  REQUIRE(rendered.size() == lines_of(chats).size());
  for (size_t i = 0; i < rendered.size(); ++i)
    CHECK(member(rendered[i], "text") == member(lines_of(chats)[i], "rendered"));
}
