// generation_config.json: what is used is judged, by its key; what is not, is not.
#include "infer/generation_config.h"

#include <doctest/doctest.h>

#include <string>
#include <tuple>
#include <vector>

#include "io/temp_folder.h"

using namespace ds;
using namespace ds::infer;

namespace {

GenerationConfig read(const std::string& json) {
  const test::TempFolder folder;
  folder.write("generation_config.json", json);
  return read_generation_config(folder.path(), {});
}
// The message when a job that is told so much cannot use the file.
std::string refusal(const std::string& json, const GenerationOverrides& told = {}) {
  const GenerationConfig config = read(json);
  try {
    config.settings(told);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kBadModel);
    return e.message();
  }
  return "";
}

}  // namespace

TEST_CASE("generation_config.json: values, and both spellings of off") {
  const GenerationSettings s =
      read(R"({"temperature":0.5,"top_p":0.9,"top_k":-1,"repetition_penalty":1.1,"max_new_tokens":7})")
          .settings({});
  CHECK(s.sampling.temperature == 0.5);
  CHECK(s.sampling.top_p == 0.9);
  CHECK(s.sampling.top_k == 0);
  CHECK(s.sampling.repeat_penalty == 1.1);
  CHECK(s.max_tokens == 7);
  CHECK(read(R"({"top_k":20})").settings({}).sampling.top_k == 20);
  CHECK(read(R"({"do_sample":false,"temperature":0.6})").settings({}).sampling.temperature == 0);
  CHECK(read(R"({"eos_token_id":[3,5,3]})").stop_ids == std::vector<int32_t>{3, 5});
  GenerationOverrides off;
  off.top_k = -1;
  CHECK(with_overrides(s, off, ErrorKind::kUsage, "").sampling.top_k == 0);
}

TEST_CASE("generation_config.json: a bad value is named by the file's key, where it is needed") {
  for (const auto& [key, value] : {std::pair("temperature", "-3"),
                                   {"temperature", "\"hot\""},
                                   {"temperature", "Infinity"},
                                   {"top_p", "0"},
                                   {"top_p", "1.5"},
                                   {"min_p", "2"},
                                   {"repetition_penalty", "0"},
                                   {"top_k", "-2"},
                                   {"top_k", "1.5"},
                                   {"max_new_tokens", "\"many\""},
                                   {"eos_token_id", "\"</s>\""},
                                   {"eos_token_id", "[1,-1]"}}) {
    const std::string found = refusal("{\"" + std::string(key) + "\":" + value + "}");
    CAPTURE(found);
    CHECK(found.find(key) != std::string::npos);
    CHECK(found.find("generation_config.json") != std::string::npos);
  }
  GenerationOverrides greedy, warm, penalty;
  greedy.temperature = 0;
  warm.temperature = 0.7;
  penalty.repeat_penalty = 1.2;
  CHECK(refusal(R"({"temperature":-3})", warm).empty());
  CHECK(refusal(R"({"repetition_penalty":0})", penalty).empty());
  for (const char* sampling : {R"({"top_p":7})", R"({"top_k":"x"})", R"({"min_p":-1})"}) {
    CHECK(refusal(sampling, greedy).empty());
    CHECK_FALSE(refusal(sampling, warm).empty());
  }
  CHECK(refusal(R"({"do_sample":false,"top_p":7})").empty());
  CHECK_FALSE(refusal(R"({"do_sample":false,"top_p":7})", warm).empty());
  CHECK(refusal(R"({"num_beams":"many","typical_p":NaN})").empty());  // keys nobody here reads
}

TEST_CASE("generation_config.json: bounds are taken, what lies beyond is not") {
  for (const auto& [key, good, bad] : {std::tuple("temperature", std::vector<const char*>{"0", "1000"},
                                                  std::vector<const char*>{"-1e-9", "1000.001"}),
                                       {"top_p", {"1e-9", "1"}, {"0", "1.0001"}},
                                       {"min_p", {"0", "1"}, {"-1e-9", "1.0001"}},
                                       {"repetition_penalty", {"1e-9", "1000"}, {"0", "1000.001"}},
                                       {"top_k", {"-1", "0", "1"}, {"-2", "0.5"}},
                                       {"max_new_tokens", {"-1", "0", "1"}, {"-2", "0.5"}}}) {
    const auto file = [name = std::string(key)](const char* value) {
      return "{\"" + name + "\":" + value + "}";
    };
    for (const char* value : good) CHECK(refusal(file(value)).empty());
    for (const char* value : bad) CHECK(refusal(file(value)).find(key) != std::string::npos);
  }
}
