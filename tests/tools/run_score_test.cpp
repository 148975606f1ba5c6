// ds-run --score, --tokenize, --detokenize, --render.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/json_value.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "run_program.h"

using namespace ds;

namespace {

ProgramResult run_job(std::vector<std::string> arguments, const std::string& in) {
  ProgramOptions options;
  options.in = in;
  return run_program("ds-run", arguments, options);
}
std::vector<ds::Json> records_of(const ProgramResult& r) {
  std::vector<ds::Json> out;
  for (const std::string& line : lines_of(r.out)) out.push_back(ds::io::parse_json(line, "stdout"));
  return out;
}
// A folder with the embedded model's tokenizer and nothing else.
void copy_tokenizer(const TemporaryFolder& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    folder.write(name, file_bytes(kTinyModel + "/" + name));
}

}  // namespace

TEST_CASE("--score: log-probabilities of text, messages and input_ids") {
  const ProgramResult r = run_job({kTinyModel, "--score"},
                                  "{\"id\":\"t\",\"text\":\"The sky is blue\"}\n"
                                  "{\"id\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n"
                                  "{\"id\":\"i\",\"input_ids\":[0,3,5]}\n"
                                  "{\"id\":\"one\",\"text\":\"a\"}\n{\"id\":\"none\",\"text\":\"\"}\n");
  CHECK(r.rc == 0);
  const auto records = records_of(r);
  REQUIRE(records.size() == 5);
  for (const ds::Json& record : records) {
    const auto& logprobs = find(record, "logprobs")->get_ref<const ds::Json::array_t&>();
    REQUIRE(static_cast<int64_t>(logprobs.size()) == as_int(*find(record, "n_tokens")));
    double sum = 0;
    for (size_t t = 1; t < logprobs.size(); ++t) {
      CHECK(logprobs[t].get<double>() < 0);
      sum += logprobs[t].get<double>();
    }
    CHECK(find(record, "sum_logprob")->get<double>() == doctest::Approx(sum));
    if (logprobs.size() > 1) {
      CHECK(find(record, "perplexity")->get<double>() ==
            doctest::Approx(std::exp(-sum / (logprobs.size() - 1.0))));
    } else {
      CHECK(find(record, "perplexity")->is_null());
    }
    if (!logprobs.empty()) CHECK(logprobs[0].is_null());
  }
}

TEST_CASE("--score --logits: a tensor [T, V] under each id, in a file that appears whole") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/logits.safetensors";
  const ProgramResult r = run_job({kTinyModel, "--score", "--logits", path, "--quiet"},
                                  "{\"id\":\"a\",\"input_ids\":[0,3,5]}\n"
                                  "{\"id\":\"a\",\"input_ids\":[0,3,5]}\n"  // the same id again
                                  "{\"id\":\"b\",\"input_ids\":[0,99999]}\n"
                                  "{\"id\":7,\"input_ids\":[1,2]}\n"
                                  "{\"id\":\"__metadata__\",\"input_ids\":[1,2]}\n");
  CHECK(r.rc == 65);
  const auto records = records_of(r);
  REQUIRE(records.size() == 5);
  for (const size_t bad : {1, 2, 4}) CHECK(find(records[bad], "error") != nullptr);
  const ds::io::SafetensorsFile file(path);
  CHECK(file.tensors().size() == 2);
  const ds::io::TensorInfo* a = file.find("a");
  REQUIRE(a != nullptr);
  CHECK(a->shape == std::vector<int64_t>{3, 2048});
  REQUIRE(file.find("7") != nullptr);
  // The logits are those that the log-probabilities came from.
  const float* logits = reinterpret_cast<const float*>(file.data(*a).data());
  double sum = 0;
  for (int v = 0; v < 2048; ++v) sum += std::exp(static_cast<double>(logits[v]));
  const double expected = logits[3] - std::log(sum);
  CHECK((*find(records[0], "logprobs"))[1].get<double>() == doctest::Approx(expected).epsilon(1e-6));
  CHECK(run_job({kTinyModel, "--logits", path, "x"}, "").rc == 2);  // without --score
}

TEST_CASE("long text is scored in chunks with the same result as its beginning alone") {
  std::string ids = "0";
  for (int i = 1; i < 700; ++i) ids += "," + std::to_string(i % 2000);
  std::string start = "0";
  for (int i = 1; i < 40; ++i) start += "," + std::to_string(i % 2000);
  const auto records = records_of(
      run_job({kTinyModel, "--score"}, "{\"input_ids\":[" + ids + "]}\n{\"input_ids\":[" + start + "]}\n"));
  REQUIRE(records.size() == 2);
  for (int t = 1; t < 40; ++t)
    CHECK((*find(records[0], "logprobs"))[t].get<double>() ==
          doctest::Approx((*find(records[1], "logprobs"))[t].get<double>()).epsilon(1e-3));
}

TEST_CASE("--tokenize and --detokenize give the bytes back, on a folder of tokenizer files alone") {
  const TemporaryFolder folder;
  copy_tokenizer(folder);
  const std::string text = "Hello, 世界! 12345\n\ttabs \xF0\x9F\x98\x80 <think>";
  const ProgramResult ids = run_job({folder.path(), "--tokenize"}, text);
  CHECK(ids.rc == 0);
  CHECK(lines_of(ids.out).size() == 1);
  CHECK(run_job({folder.path(), "--detokenize"}, ids.out).out == text);
  CHECK(run_job({folder.path(), "--detokenize"}, "[1, 2,3]\n").rc == 0);
  CHECK(run_job({folder.path(), "--detokenize"}, "1 x").rc == 65);
  CHECK(run_job({folder.path(), "--detokenize"}, "1 9999999").rc == 65);
  CHECK(run_job({folder.path(), "--tokenize"}, "").out == "\n");
}

TEST_CASE("--tokenize --jsonl honours parse_special; --detokenize --jsonl reverses it") {
  const ProgramResult r = run_job({kTinyModel, "--tokenize", "--jsonl", "--quiet"},
                                  "{\"id\":1,\"text\":\"<｜begin▁of▁sentence｜>\"}\n"
                                  "{\"id\":2,\"text\":\"<｜begin▁of▁sentence｜>\",\"parse_special\":false}\n"
                                  "{\"id\":3}\n");
  CHECK(r.rc == 65);
  const auto records = records_of(r);
  REQUIRE(records.size() == 3);
  CHECK(dump(*find(records[0], "ids")) == "[0]");
  CHECK(find(records[1], "ids")->size() > 1);
  CHECK(find(records[2], "error") != nullptr);
  const auto back =
      records_of(run_job({kTinyModel, "--detokenize", "--jsonl"}, r.out.substr(0, r.out.find("{\"id\":3"))));
  REQUIRE(back.size() == 2);
  for (const ds::Json& record : back) CHECK(as_string(*find(record, "text")) == "<｜begin▁of▁sentence｜>");
  const auto bad = records_of(run_job({kTinyModel, "--detokenize", "--jsonl"}, "{\"ids\":[0,99999]}\n"));
  REQUIRE(bad.size() == 1);
  CHECK(as_string(*find(*find(bad[0], "error"), "where")) == "<stdin>:1");
}

TEST_CASE("--render: where the template comes from, as transformers looks for it") {
  TemporaryFolder folder;
  copy_tokenizer(folder);
  const std::string plain = R"({"messages":[{"role":"user","content":"x"}]})";
  const std::string with_tools =
      R"({"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]})";
  const auto renders = [&](const std::string& without, const std::string& with) {
    const ProgramResult r = run_job({folder.path(), "--render", "--jsonl"}, plain + "\n" + with_tools + "\n");
    CAPTURE(r.err);
    const auto records = records_of(r);
    REQUIRE(records.size() == 2);
    CHECK(as_string(*find(records[0], "text")) == without);
    CHECK(as_string(*find(records[1], "text")) == with);
  };
  folder.write("tokenizer_config.json", "{}");
  folder.write("chat_template.json", R"({"chat_template":"json"})");
  renders("json", "json");
  folder.write("tokenizer_config.json", R"({"chat_template":[{"name":"default","template":"config"},
    {"name":"tool_use","template":"config tools"},{"name":"rag","template":"config rag"}]})");
  renders("config", "config tools");
  folder.write("chat_template.jinja", "file");
  renders("file", "file");
  std::filesystem::create_directory(folder.path() + "/additional_chat_templates");
  folder.write("additional_chat_templates/tool_use.jinja", "file tools");
  renders("file", "file tools");
}

TEST_CASE("--render shows the prompt; --chat-template and extra variables reach it") {
  const TemporaryFolder folder;
  copy_tokenizer(folder);
  const std::string chat = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";
  const ProgramResult r =
      run_job({folder.path(), "--render", "--quiet"},
              "{" + chat + "}\n{\"id\":\"x\"," + chat + ",\"add_generation_prompt\":false}\n{" + chat +
                  ",\"extra\":{\"thinking\":true}}\n{\"messages\":1}\n");
  CHECK(r.rc == 65);
  const auto records = records_of(r);
  REQUIRE(records.size() == 4);
  const std::string start = "<｜begin▁of▁sentence｜><｜User｜>hi";
  CHECK(as_string(*find(records[0], "text")) == start + "<｜Assistant｜>");
  CHECK(as_string(*find(records[1], "text")) == start);
  CHECK(as_string(*find(records[2], "text")) == start + "<｜Assistant｜><think>");
  const std::string jinja = folder.write("t.jinja", "[{{ messages[0]['content'] }}|{{ mood }}]");
  const auto own = records_of(run_job({folder.path(), "--render", "--chat-template", jinja},
                                      "{" + chat + ",\"extra\":{\"mood\":\"glad\"}}\n"));
  REQUIRE(own.size() == 1);
  CHECK(as_string(*find(own[0], "text")) == "[hi|glad]");
  const std::string broken = folder.write("broken.jinja", "{% if %}");
  CHECK(run_job({folder.path(), "--render", "--chat-template", broken}, "{" + chat + "}\n").rc == 78);
}

TEST_CASE("--render is what --jsonl feeds, word for word") {
  const std::string asked = R"({"role":"user","content":"62*7?"})";
  const std::string records = "{\"messages\":[" + asked +
                              R"(,{"role":"assistant","content":"It is"}]})"
                              "\n" +
                              "{\"messages\":[" + asked +
                              R"(,{"role":"assistant","content":"It is","prefix":true}]})"
                              "\n" +
                              "{\"messages\":[" + asked + "]}\n{\"prompt\":\"62*7?\"}\n";
  const auto shown = records_of(run_job({kTinyModel, "--render", "-s", "Be brief."}, records));
  const auto answered = records_of(run_job({kTinyModel, "--jsonl", "-n", "1", "-s", "Be brief."}, records));
  REQUIRE(shown.size() == 4);
  REQUIRE(answered.size() == 4);
  CHECK(as_string(*find(shown[0], "text")).ends_with("It is"));
  CHECK(as_string(*find(shown[1], "text")).ends_with("It is"));
  CHECK(as_string(*find(shown[2], "text")).find("Be brief.") != std::string::npos);
  for (size_t i = 0; i < shown.size(); ++i) {
    ProgramOptions options;
    options.in = as_string(*find(shown[i], "text"));
    const std::string ids = run_program("ds-run", {kTinyModel, "--tokenize", "-q"}, options).out;
    CHECK(std::count(ids.begin(), ids.end(), ' ') + 1 ==
          as_int(*find(*find(answered[i], "usage"), "prompt_tokens")));
  }
}

TEST_CASE("--tokenize says what it leaves out, and adds it when asked; --score adds it as --raw does") {
  TemporaryFolder folder;
  copy_tokenizer(folder);
  const std::string config = file_bytes(kTinyModel + "/tokenizer_config.json");
  const std::string flag = "\"add_bos_token\": false";
  REQUIRE(config.find(flag) != std::string::npos);
  CHECK(run_job({folder.path(), "--tokenize"}, "a").err.empty());
  folder.write("tokenizer_config.json",
               std::string(config).replace(config.find(flag), flag.size(), "\"add_bos_token\": true"));
  const ProgramResult without = run_job({folder.path(), "--tokenize"}, "a");
  CHECK(without.err.find("--add-special adds 0 (<｜begin▁of▁sentence｜>) before the text") !=
        std::string::npos);
  const ProgramResult with = run_job({folder.path(), "--tokenize", "--add-special"}, "a");
  CHECK(with.out == "0 " + without.out);
  CHECK(with.err.empty());
  const auto records = records_of(run_job({folder.path(), "--tokenize", "--jsonl"},
                                          "{\"text\":\"a\",\"add_special\":true}\n{\"text\":\"a\"}\n"));
  REQUIRE(records.size() == 2);
  CHECK(find(records[0], "ids")->size() == find(records[1], "ids")->size() + 1);
  CHECK(run_job({folder.path(), "--add-special", "x"}, "").rc == 2);
}
