// ds-run --list-models: what lies in the Hugging Face cache and in folders, whole or broken.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>

#include "run_program.h"

namespace {

namespace fs = std::filesystem;
const std::string kGolden = DS_SOURCE_DIR "/tests/golden/";

ProgramResult list(std::vector<std::string> arguments, std::vector<std::string> environment = {}) {
  arguments.insert(arguments.begin(), "--list-models");
  ProgramOptions options;
  options.environment = std::move(environment);
  return run_program("ds-run", arguments, options);
}
// The record that names the model; "" where none does.
std::string record_of(const ProgramResult& r, const std::string& name) {
  for (const std::string& line : lines_of(r.out))
    if (line.find("{\"name\":\"" + name + "\"") == 0) return line;
  return "";
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A repository as huggingface_hub leaves it: blobs, and snapshots of links to them.
std::string snapshot(const std::string& cache, const std::string& repository) {
  const std::string folder = cache + "/models--" + repository;
  fs::create_directories(folder + "/refs");
  fs::create_directories(folder + "/snapshots/abc");
  std::FILE* f = std::fopen((folder + "/refs/main").c_str(), "w");
  std::fputs("abc", f);
  std::fclose(f);
  return folder + "/snapshots/abc";
}

}  // namespace

TEST_CASE("--list-models: repositories of the cache by their names, GGUF files by their paths") {
  const TemporaryFolder work;
  const std::string cache = work.path() + "/hub";
  const std::string whole = snapshot(cache, "org--tiny");
  for (const auto& entry : fs::directory_iterator(kGolden + "arch/qwen3"))
    fs::create_symlink(entry.path(), whole + "/" + entry.path().filename().string());
  const std::string parts = snapshot(cache, "org--parts-GGUF");
  for (const auto& entry : fs::directory_iterator(kGolden + "gguf/qwen3_q8_0_split3"))
    if (entry.path().extension() == ".gguf")
      fs::create_symlink(entry.path(), parts + "/" + entry.path().filename().string());
  fs::create_directories(cache + "/models--org--stopped/snapshots");
  snapshot(cache, "org--empty");
  fs::create_directories(cache + "/datasets--org--texts/snapshots/abc");
  fs::create_symlink("nowhere", snapshot(cache, "org--cut") + "/m.gguf");

  ProgramResult r = list({"--json"}, {"HF_HUB_CACHE=" + cache});
  CHECK(r.rc == 0);
  CHECK(lines_of(r.out).size() == 5);
  const std::string tiny = record_of(r, "org/tiny");
  CHECK(has(tiny, "\"model_type\":\"qwen3\""));
  CHECK(has(tiny, "\"weights\":\"BF16\""));
  CHECK(has(tiny, "\"fits\":true"));
  const std::string first = record_of(r, parts + "/model-00001-of-00003.gguf");  // the others are parts of it
  CHECK(has(first, "\"weights\":\"Q8_0\""));
  CHECK(has(record_of(r, "org/stopped"), "\"error\""));
  CHECK(has(record_of(r, "org/empty"), "neither config.json nor a GGUF file"));
  CHECK(has(r.out, "/m.gguf\""));
  CHECK(has(r.err, "5 models; "));
  // HF_HOME holds it in hub/; the name that is listed is the name that answers.
  r = list({"--json"}, {"HF_HOME=" + work.path(), "HF_HUB_CACHE="});
  CHECK(lines_of(r.out).size() == 5);
  ProgramOptions there;
  there.environment = {"HF_HOME=" + work.path(), "HF_HUB_CACHE="};
  CHECK(run_program("ds-run", {"org/tiny", "--plan"}, there).rc == 0);
  r = list({}, {"HF_HUB_CACHE=" + work.path() + "/absent"});
  CHECK(r.rc == 66);
  CHECK(has(r.err, "absent"));
}

TEST_CASE("--list-models: folders; what is broken is named and the rest still listed, in 80 columns") {
  const TemporaryFolder work;
  const std::string root = work.path();
  fs::create_directories(root + "/a/b");
  fs::copy_file(kGolden + "gguf/llama_spm_bf16/model.gguf", root + "/a/b/good.gguf");
  work.write("cut.gguf", file_bytes(root + "/a/b/good.gguf").substr(0, 5000));
  work.write("no.gguf", "this is no GGUF");
  fs::create_directories(root + "/pytorch");
  work.write("pytorch/config.json", R"({"model_type":"llama"})");
  work.write("pytorch/pytorch_model.bin", "x");
  fs::create_directories(root + "/bad\n\x1b[31mname");
  work.write("bad\n\x1b[31mname/config.json", "{");
  fs::create_directories(root + "/.hidden");
  work.write(".hidden/config.json", "{");
  fs::create_directories(root + "/1/2/3/4");
  work.write("1/2/3/4/config.json", "{");
  fs::create_directory_symlink(root, root + "/a/loop");
  // 819 GB, of which the disk holds nothing.
  fs::create_directories(root + "/huge");
  work.write("huge/config.json",
             R"({"model_type":"llama","num_hidden_layers":0,"num_attention_heads":1,"hidden_size":4096,)"
             R"("intermediate_size":16,"vocab_size":100000000,"tie_word_embeddings":true})");
  std::string header =
      R"({"model.embed_tokens.weight":{"dtype":"BF16","shape":[100000000,4096],)"
      R"("data_offsets":[0,819200000000]},"model.norm.weight":{"dtype":"BF16","shape":[4096],)"
      R"("data_offsets":[819200000000,819200008192]}})";
  const uint64_t length = header.size();
  header.insert(0, reinterpret_cast<const char*>(&length), 8);
  fs::resize_file(work.write("huge/model.safetensors", header), header.size() + 819200008192);

  ProgramResult r = list({root});
  CHECK(r.rc == 0);
  for (const std::string& line : lines_of(r.out)) {
    const bool is_path = has(line, root);
    CHECK((line.size() <= 80 || is_path));
    CHECK(line.find('\x1b') == std::string::npos);
  }
  CHECK(has(r.out, "/a/b/good.gguf"));
  CHECK(has(r.out, "819.200 GB  "));
  CHECK(has(r.out, "bad??[31mname"));
  r = list({root, "--json", "--quiet"});
  CHECK(r.rc == 0);
  CHECK(r.err == "");
  CHECK(has(record_of(r, root + "/a/b/good.gguf"), "\"fits\":true"));
  CHECK(has(record_of(r, root + "/cut.gguf"), "\"error\""));
  CHECK(has(record_of(r, root + "/no.gguf"), "\"error\""));
  CHECK(has(record_of(r, root + "/pytorch"), "\"error\""));
  CHECK(lines_of(r.out).size() == 6);  // none twice, though a link leads back
  CHECK(!has(r.out, "hidden"));
  CHECK(!has(r.out, "1/2/3/4"));
  // A model itself is a list of one, wherever it stands; a folder without any is none.
  CHECK(lines_of(list({kTinyModel, "--json"}).out).size() == 1);
  CHECK(lines_of(run_program("ds-run", {kTinyModel, "--list-models", "--json"}).out).size() == 1);
  CHECK(lines_of(list({kTinyModel, "--json"}, {"DS_MODEL=" + kTinyModel}).out).size() == 1);
  CHECK(has(list({root + "/.hidden/.."}).out, "good.gguf"));
  CHECK(lines_of(list({root + "/a/b/good.gguf", root + "/no.gguf", "--json"}).out).size() == 2);
  CHECK(list({root + "/absent"}).rc == 66);
  CHECK(list({"--score"}).rc == 2);
}
