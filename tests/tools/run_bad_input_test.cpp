// ds-run against hostile folders, prompts and outputs: a message with place and remedy, and an exit code of
// the table.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <tuple>

#include "core/json_value.h"
#include "core/utf8.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "run_program.h"
#include "skip.h"

using namespace ds;

namespace {

namespace fs = std::filesystem;

// A copy of a model folder in which files can be broken.
class BrokenModel {
 public:
  explicit BrokenModel(const std::string& original = kTinyModel) {
    for (const auto& entry : fs::directory_iterator(original))
      fs::copy_file(entry.path(), fs::path(folder_.path()) / entry.path().filename());
  }
  const std::string& path() const { return folder_.path(); }
  std::string read(const std::string& name) const { return file_bytes(path() + "/" + name); }
  void write(const std::string& name, const std::string& bytes) { folder_.write(name, bytes); }
  void remove(const std::string& name) { fs::remove(fs::path(path()) / name); }
  void replace(const std::string& name, const std::string& from, const std::string& to) {
    std::string bytes = read(name);
    const size_t at = bytes.find(from);
    REQUIRE(at != std::string::npos);
    write(name, bytes.replace(at, from.size(), to));
  }

 private:
  TemporaryFolder folder_;
};

// Runs one question and requires this exit code, nothing on stdout, and `word` in the message.
void check_refused(const std::string& model, int rc, const std::string& word) {
  CAPTURE(word);
  const ProgramResult r = run_program("ds-run", {model, "hi", "-n", "2"});
  CAPTURE(r.err);
  CHECK(r.rc == rc);
  CHECK(r.out.empty());
  CHECK(r.err.find(word) != std::string::npos);
  CHECK(r.err.find("our bug") == std::string::npos);
}

std::string length_prefix(uint64_t n) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(n >> (8 * i));
  return bytes;
}

}  // namespace

TEST_CASE("missing folder, file instead of folder, missing files") {
  check_refused("/no/such/model", 66, "/no/such/model");
  check_refused(kTinyModel + "/config.json", 66, "config.json");
  BrokenModel no_config;
  no_config.remove("config.json");
  check_refused(no_config.path(), 66, "config.json");
  BrokenModel no_weights;
  no_weights.remove("model.safetensors");
  CHECK(run_program("ds-run", {no_weights.path(), "hi"}).rc != 0);
  BrokenModel no_tokenizer;
  no_tokenizer.remove("tokenizer.json");
  check_refused(no_tokenizer.path(), 66, "tokenizer.json");
}

TEST_CASE("a missing shard is named") {
  BrokenModel model(DS_SOURCE_DIR "/tests/golden/arch/llama_tied");
  std::string shard;
  for (const auto& entry : fs::directory_iterator(model.path()))
    if (entry.path().filename().string().find("model-00002") == 0) shard = entry.path().filename().string();
  REQUIRE_FALSE(shard.empty());
  model.remove(shard);
  const ProgramResult r = run_program("ds-run", {model.path(), "--plan"});
  CHECK((r.rc == 66 || r.rc == 78));
  CHECK(r.err.find(shard) != std::string::npos);
}

TEST_CASE("what cannot fit is refused with the numbers, under ulimit -v too") {
  ProgramOptions options;
  options.address_space_bytes = 100 << 20;
  const ProgramResult r = run_program("ds-run", {kTinyModel, "--plan"}, options);
  CHECK(r.rc == 71);
  CHECK(r.out.empty());
  CHECK(r.err.find("are available") != std::string::npos);
}

TEST_CASE("threads that cannot be started are an error with a way out, and one thread needs none") {
  rlimit stack;
  REQUIRE(::getrlimit(RLIMIT_STACK, &stack) == 0);
  if (stack.rlim_max != RLIM_INFINITY) return ds::test::skip_test("stacks are limited here");
  // Stacks larger than the address space.
  const std::string script = "ulimit -s 200000000000; exec \"$0\" \"$@\"";
  const auto answer = [&](const char* n_threads) {
    return run_program(
        "/bin/sh", {"-c", script, DS_BIN_DIR "/ds-run", kTinyModel, "hi", "-n", "2", "--threads", n_threads});
  };
  const ProgramResult r = answer("2");
  CHECK(r.rc == 71);
  CHECK(r.out.empty());
  CHECK(r.err.find("cannot start 2 threads") != std::string::npos);
  CHECK(r.err.find("--threads") != std::string::npos);
  CHECK(answer("1").rc == 0);
}

TEST_CASE("truncated and lying safetensors") {
  const std::string good = file_bytes(kTinyModel + "/model.safetensors");
  BrokenModel model;
  const auto with = [&](const std::string& bytes) {
    model.write("model.safetensors", bytes);
    check_refused(model.path(), 78, "model.safetensors");
  };
  with("");
  with("1234");
  with(good.substr(0, 1000));
  with(good.substr(0, good.size() - 1));
  with(good + "x");
  for (const uint64_t n : {uint64_t{1} << 63, ~uint64_t{0}, uint64_t{good.size()}, uint64_t{0}})
    with(length_prefix(n) + good.substr(8));
  with(length_prefix(100000) + std::string(100000, '['));
  const std::string overlap =
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})";
  with(length_prefix(overlap.size()) + overlap + std::string(12, '\0'));
}

TEST_CASE("fewer layers than the files hold, numbers that are none, a pipe for a file") {
  BrokenModel shallow(DS_SOURCE_DIR "/tests/golden/arch/deepseek_v3_ue8m0");
  const std::string config = shallow.read("config.json");
  const auto score = [&](const BrokenModel& model) {
    ProgramOptions options;
    options.in = R"({"id":1,"input_ids":[0,1,2]})";
    return run_program("ds-run", {model.path(), "--score"}, options);
  };
  CHECK(score(shallow).rc == 0);
  shallow.replace("config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2");
  const ProgramResult layers = score(shallow);
  CHECK(layers.rc == 78);
  CHECK(layers.err.find("model.layers.2.") != std::string::npos);
  shallow.write("config.json", config);

  // The first bytes of a named tensor, from the safetensors header.
  const std::string weights = shallow.read("model.safetensors");
  uint64_t header_bytes = 0;
  for (int i = 7; i >= 0; --i) header_bytes = header_bytes << 8 | static_cast<uint8_t>(weights[i]);
  const ds::Json header = ds::io::parse_json(weights.substr(8, header_bytes), "header");
  for (const auto& [name, bytes, word] :
       {std::tuple<std::string, std::string, std::string>{"model.layers.1.mlp.gate.e_score_correction_bias",
                                                          std::string("\0\0\xC0\x7F", 4), "e_score"},
        {"model.layers.0.self_attn.q_a_proj.weight_scale_inv", std::string("\0\0\x80\x7F", 4), "scale_inv"},
        {"model.norm.weight", std::string("\xC0\x7F", 2), "model.norm.weight"},
        {"model.layers.0.self_attn.q_a_proj.weight", "\x7F", "q_a_proj.weight, element 0"}}) {
    std::string broken = weights;
    const auto begin = as_int((*find(*find(header, name), "data_offsets"))[0]);
    broken.replace(8 + header_bytes + begin, bytes.size(), bytes);
    shallow.write("model.safetensors", broken);
    const ProgramResult r = score(shallow);
    CAPTURE(r.err);
    CHECK(r.rc == 78);
    CHECK(r.err.find(word) != std::string::npos);
  }

  BrokenModel pipe;
  pipe.remove("model.safetensors");
  REQUIRE(::mkfifo((pipe.path() + "/model.safetensors").c_str(), 0600) == 0);
  check_refused(pipe.path(), 66, "model.safetensors");
}

TEST_CASE("shapes, names and dtypes against the config name the tensor") {
  BrokenModel model;
  model.replace("config.json", "\"moe_intermediate_size\": 128", "\"moe_intermediate_size\": 64");
  check_refused(model.path(), 78, "experts");
  BrokenModel renamed;
  renamed.replace("model.safetensors", "model.norm.weight", "model.norn.weight");
  check_refused(renamed.path(), 78, "model.norm.weight");
  BrokenModel dtype;
  dtype.replace("model.safetensors", "\"BF16\"", "\"BF17\"");
  check_refused(dtype.path(), 78, "BF17");
}

TEST_CASE("configs that make no sense") {
  for (const auto& change : std::vector<std::pair<std::string, std::string>>{
           {"\"hidden_size\": 256", "\"hidden_size\": -256"},
           {"\"hidden_size\": 256", "\"hidden_size\": \"big\""},
           {"\"hidden_size\": 256", "\"hidden_size\": 9223372036854775807"},
           {"\"num_hidden_layers\": 4", "\"num_hidden_layers\": 0"},
           {"\"model_type\": \"deepseek_v3\"", "\"model_type\": \"mamba\""},
           {"\"topk_group\": 2", "\"topk_group\": 200"},
           {"\"num_experts_per_tok\": 4", "\"num_experts_per_tok\": 400"},
           {"\"hidden_size\": 256,", ""},
       }) {
    CAPTURE(change.second);
    BrokenModel model;
    model.replace("config.json", change.first, change.second);
    check_refused(model.path(), 78, "");
  }
  BrokenModel garbage;
  garbage.write("config.json", std::string(200000, '['));
  check_refused(garbage.path(), 78, "config.json");
  BrokenModel generation;
  generation.write("generation_config.json", "{\"temperature\": -3, \"do_sample\": true}");
  check_refused(generation.path(), 78, "generation_config.json");
  generation.write("generation_config.json", "{\"eos_token_id\": \"x\"}");
  check_refused(generation.path(), 78, "generation_config.json");
  BrokenModel tokenizer;
  tokenizer.write("tokenizer.json", "{\"model\":{}}");
  check_refused(tokenizer.path(), 78, "tokenizer.json");
  tokenizer.write("tokenizer.json", "{");
  check_refused(tokenizer.path(), 78, "tokenizer.json");
}

TEST_CASE("NaN weights end with a message, not with nonsense") {
  BrokenModel model;
  std::string bytes = model.read("model.safetensors");
  // The last bytes belong to some weight that every token reads or not: fill a large part to be sure.
  for (size_t i = bytes.size() / 4; i + 1 < bytes.size(); i += 2) bytes[i] = '\xC0', bytes[i + 1] = '\x7F';
  model.write("model.safetensors", bytes);
  const ProgramResult r = run_program("ds-run", {model.path(), "hi", "-n", "2"});
  CHECK(r.rc == 78);
  CHECK(r.err.find("NaN") != std::string::npos);
}

TEST_CASE("a block scale that is no number names file and tensor") {
  const std::string shard = "model-00001-of-000002.safetensors";
  const std::string name = "model.layers.0.self_attn.q_a_proj.weight_scale_inv";
  for (const char* scale : {"\x00\x00\xC0\x7F", "\x00\x00\x80\xFF"}) {  // NaN, minus infinity
    BrokenModel model(DS_SOURCE_DIR "/tests/golden/arch/deepseek_v3_fp8");
    const ds::io::SafetensorsFile file(model.path() + "/" + shard);
    std::string bytes = model.read(shard);
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    const size_t at = sizeof header + header + file.find(name)->begin;
    model.write(shard, bytes.replace(at, 4, scale, 4));
    ProgramOptions options;
    options.in = "{\"input_ids\":[1,2,3]}\n";
    const ProgramResult r = run_program("ds-run", {model.path(), "--score"}, options);
    CAPTURE(r.err);
    CHECK(r.rc == 78);
    CHECK(r.out.empty());
    CHECK(r.err.find(shard) != std::string::npos);
    CHECK(r.err.find(name) != std::string::npos);
  }
}

TEST_CASE("a template that cannot be used says so; --raw does without it") {
  BrokenModel model;
  model.write("chat_template.jinja", "{% frobnicate %}");
  const ProgramResult r = run_program("ds-run", {model.path(), "hi"});
  CHECK(r.rc == 78);
  CHECK(r.err.find("chat_template.jinja") != std::string::npos);
  CHECK(run_program("ds-run", {model.path(), "--raw", "-p", "hi", "-n", "1"}).rc == 0);
  model.write("chat_template.jinja", "{{ raise_exception('never') }}");
  CHECK(run_program("ds-run", {model.path(), "hi"}).rc == 65);
}

TEST_CASE("prompts with NUL and invalid UTF-8: one warning, whole answer") {
  ProgramOptions options;
  options.in = std::string("What is\0 \xff\xfe 62*7? \xe4\xbd", 22);
  const ProgramResult r = run_program("ds-run", {kTinyModel, "-n", "20"}, options);
  CHECK(r.rc == 0);
  CHECK(ds::find_invalid_utf8(r.out) == std::string::npos);
  const size_t first = r.err.find("not valid UTF-8");
  CHECK(first != std::string::npos);
  CHECK(r.err.find("not valid UTF-8", first + 1) == std::string::npos);
  options.in = std::string("a\0b", 3);
  const ProgramResult ids = run_program("ds-run", {kTinyModel, "--tokenize"}, options);
  options.in = ids.out;
  CHECK(run_program("ds-run", {kTinyModel, "--detokenize"}, options).out == std::string("a\0b", 3));
}

TEST_CASE("closed stdout, full disk, broken pipe") {
  for (const std::vector<std::string>& job : std::vector<std::vector<std::string>>{
           {kTinyModel, "hi", "--quiet"}, {kTinyModel, "--plan"}, {kTinyModel, "--tokenize", "-p", "hi"}}) {
    CAPTURE(job[1]);
    ProgramOptions closed;
    closed.close_stdout = true;
    CHECK(run_program("ds-run", job, closed).rc == 74);
    ProgramOptions full;
    full.stdout_path = "/dev/full";
    const ProgramResult r = run_program("ds-run", job, full);
    CHECK(r.rc == 74);
    CHECK(r.err.find("No space left") != std::string::npos);
    ProgramOptions broken;
    broken.break_stdout = true;
    const ProgramResult quiet = run_program("ds-run", job, broken);
    CHECK(quiet.rc == 128 + SIGPIPE);
    CHECK(quiet.err.empty());
  }
  ProgramOptions score;
  score.in = "{\"input_ids\":[1,2,3]}\n";
  CHECK(run_program("ds-run", {kTinyModel, "--score", "--logits", "/dev/full"}, score).rc == 74);
  CHECK(run_program("ds-run", {kTinyModel, "--score", "--logits", "/no/such/folder/x"}, score).rc == 73);
  const TemporaryFolder folder;
  CHECK(run_program("ds-run", {kTinyModel, "--score", "--logits", folder.path()}, score).rc == 73);
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("usage errors are exit 2 with a pointer to --help") {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {},
           {kTinyModel, "a", "b"},
           {kTinyModel, "hi", "--temperature", "hot"},
           {kTinyModel, "hi", "--temperature", "-1"},
           {kTinyModel, "hi", "--top-p", "2"},
           {kTinyModel, "hi", "-n", "-5"},
           {kTinyModel, "hi", "--ctx", "-5"},
           {kTinyModel, "hi", "--isa", "mmx"},
           {kTinyModel, "hi", "--threads", "-1"},
           {kTinyModel, "--score", "--tokenize"},
           {kTinyModel, "hi", "--jsonl"},
           {kTinyModel, "hi", "--score"},
           {kTinyModel, "-f", "a", "--jsonl", "b"},
           {kTinyModel, "hi", "--seed", "-1"},
           {kTinyModel, "hi", "--stop", ""},
       }) {
    const ProgramResult r = run_program("ds-run", arguments);
    CAPTURE(arguments.size() > 2 ? arguments[2] : "");
    CHECK(r.rc == 2);
    CHECK(r.out.empty());
    CHECK_FALSE(r.err.empty());
  }
}

TEST_CASE(
    "a lone word without a model is no empty stdin; an output that cannot be made is called by its name") {
  ProgramOptions empty;
  empty.in = "";
  const ProgramResult word = run_program("ds-run", {"hi"}, empty);
  CHECK(word.rc == 2);
  CHECK(word.err.find("DS_MODEL") != std::string::npos);
  CHECK(word.err.find("stdin") == std::string::npos);
  for (const char* option : {"--timings", "--think-out"}) {
    const ProgramResult r = run_program("ds-run", {kTinyModel, "hi", option, "/nonexist/x"});
    CAPTURE(r.err);
    CHECK(r.rc == 73);
    CHECK(r.err.find("/nonexist/x:") != std::string::npos);
    CHECK(r.err.find(".partial") == std::string::npos);
  }
}
