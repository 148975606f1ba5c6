// Model folders as people have them, through both programs: the same answers whatever the folder is spelled
// like, and the same refusals.
#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>

#include "run_program.h"

namespace {

namespace fs = std::filesystem;

const std::string kArch = DS_SOURCE_DIR "/tests/golden/arch/";

// A copy of a model folder in which files can be changed.
class Copy {
 public:
  explicit Copy(const std::string& original) {
    for (const auto& entry : fs::directory_iterator(original))
      fs::copy_file(entry.path(), fs::path(folder_.path()) / entry.path().filename());
  }
  const std::string& path() const { return folder_.path(); }
  std::string read(const std::string& name) const { return file_bytes(path() + "/" + name); }
  void write(const std::string& name, const std::string& bytes) const { folder_.write(name, bytes); }
  // Every `from`, in all files that end so.
  void replace(const std::string& ending, const std::string& from, const std::string& to) const {
    int n = 0;
    for (const auto& entry : fs::directory_iterator(path())) {
      const std::string name = entry.path().filename();
      if (!name.ends_with(ending) || name.rfind("golden", 0) == 0) continue;
      std::string bytes = read(name);
      const bool is_container = ending == ".safetensors";
      const size_t end = is_container ? 8 + header_bytes(bytes) : bytes.size();
      std::string text = bytes.substr(is_container ? 8 : 0, end - (is_container ? 8 : 0));
      for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size(), ++n)
        text.replace(at, from.size(), to);
      if (is_container) {
        const uint64_t length = text.size();
        text.insert(0, reinterpret_cast<const char*>(&length), 8);
        bytes = text + bytes.substr(end);
      } else {
        bytes = text;
      }
      write(name, bytes);
    }
    REQUIRE(n > 0);
  }

 private:
  static uint64_t header_bytes(const std::string& bytes) {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    return length;
  }
  TemporaryFolder folder_;
};

ProgramResult score(const std::string& model, const std::vector<std::string>& environment = {}) {
  ProgramOptions options;
  options.in = "{\"input_ids\": [7, 3, 9, 1, 12, 5, 30, 2]}\n";
  options.environment = environment;
  return run_program("ds-run", {model, "--score"}, options);
}
ProgramResult dry_run(const std::string& model) {
  return run_program("ds-quantize", {model, "--dry-run", "--to", "bf16"});
}
// The same log-probabilities, to the last digit.
void check_same(const std::string& model, const std::string& as) {
  const ProgramResult a = score(model), b = score(as);
  CAPTURE(a.err);
  CHECK(a.rc == 0);
  CHECK(b.rc == 0);
  CHECK(a.out == b.out);
  CHECK(dry_run(model).rc == 0);
}
void check_refused(const std::string& model, int rc, const std::string& word) {
  CAPTURE(word);
  for (const ProgramResult& r : {score(model), dry_run(model)}) {
    CAPTURE(r.err);
    CHECK(r.rc == rc);
    CHECK(r.out.empty());
    CHECK(r.err.find(word) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("folders spelled otherwise give the same answers") {
  const Copy no_prefix(kArch + "llama");
  no_prefix.replace(".safetensors", "\"model.", "\"");
  check_same(no_prefix.path(), kArch + "llama");

  // As llm-compressor writes block-scaled FP8.
  const Copy compressed(kArch + "deepseek_v3_fp8");
  compressed.replace(".safetensors", "weight_scale_inv", "weight_scale");
  compressed.replace("index.json", "weight_scale_inv", "weight_scale");
  compressed.replace(
      "config.json", "\"weight_block_size\"",
      "\"config_groups\":{\"group_0\":{\"weights\":"
      "{\"strategy\":\"block\",\"num_bits\":8,\"type\":\"float\",\"block_structure\":[128,128]}}},"
      "\"not_read\"");
  compressed.replace("config.json", "\"fp8\"", "\"compressed-tensors\"");
  check_same(compressed.path(), kArch + "deepseek_v3_fp8");

  const Copy specials(kArch + "qwen2");
  specials.replace("config.json", "\"model_type\"", "\"unused\": [Infinity, -Infinity, NaN], \"model_type\"");
  check_same(specials.path(), kArch + "qwen2");
}

TEST_CASE("weights in a folder below give the same answers, and are converted into one") {
  const Copy below(kArch + "llama_tied");
  fs::create_directory(below.path() + "/w");
  std::string index = below.read("model.safetensors.index.json");
  for (size_t at = 0; (at = index.find("\"model-", at)) != std::string::npos; at += 3)
    index.insert(at + 1, "w/");
  below.write("model.safetensors.index.json", index);
  for (const auto& entry : fs::directory_iterator(below.path()))
    if (entry.path().extension() == ".safetensors")
      fs::rename(entry.path(), below.path() + "/w/" + entry.path().filename().string());
  check_same(below.path(), kArch + "llama_tied");
  const TemporaryFolder out;
  for (const char* keep : {"--keep-shards", "--max-shard-size=1GB"}) {
    const std::string to = out.path() + "/" + (keep + 2);
    const ProgramResult r =
        run_program("ds-quantize", {below.path(), "-o", to, "--to", "bf16", "--no-sync", keep});
    CAPTURE(r.err);
    CHECK(r.rc == 0);
    check_same(to, below.path());
  }
  CHECK(fs::is_directory(out.path() + "/keep-shards/w"));
}

TEST_CASE("both programs refuse the same folders, with the same code") {
  const Copy gptq(kArch + "llama");
  gptq.replace(".safetensors", "q_proj.weight\"", "q_proj.qweight\"");
  check_refused(gptq.path(), 78, "GPTQ");
  const Copy bitsandbytes(kArch + "llama");
  bitsandbytes.replace("config.json", "\"model_type\"",
                       "\"quantization_config\": {\"quant_method\": \"bitsandbytes\"}, \"model_type\"");
  bitsandbytes.replace(".safetensors", "k_proj.weight\"", "k_proj.SCB\"");
  check_refused(bitsandbytes.path(), 78, "bitsandbytes");
  const Copy blocks(kArch + "deepseek_v3_fp8");
  blocks.replace("config.json", "\"weight_block_size\": [\n      128", "\"weight_block_size\": [\n      48");
  check_refused(blocks.path(), 78, "48x128");
  const Copy twice(kArch + "llama");
  twice.replace(".safetensors", "\"dtype\"", "\"shape\":[1],\"dtype\"");
  check_refused(twice.path(), 78, "shape is there twice");
  const Copy pointer(kArch + "llama");
  pointer.write("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n");
  check_refused(pointer.path(), 66, "Git LFS");
  check_refused("Org/Absent", 66, "hf download Org/Absent");
  const TemporaryFolder gguf;
  check_refused(gguf.write("m.gguf", "GGUF"), 78, "GGUF header needs 4 bytes");
}

TEST_CASE("what does not fit together is refused by both, too: tensors, sizes, families, RoPE") {
  const auto edited = [](const char* ending, const char* from, const char* to, const char* word) {
    const Copy copy(kArch + "llama");
    copy.replace(ending, from, to);
    check_refused(copy.path(), 78, word);
  };
  edited(".safetensors", "model.norm.weight\"", "model.morn.weight\"", "model.norm.weight is missing");
  edited(".safetensors", "up_proj.weight\"", "up_porj.weight\"", "up_proj.weight is missing");
  edited("config.json", "\"vocab_size\": ", "\"vocab_size\": 1", "model.embed_tokens.weight");
  edited("config.json", "\"hidden_size\": ", "\"hidden_size\": 1", "was expected");
  edited("config.json", "\"num_hidden_layers\": ", "\"num_hidden_layers\": 1", "is missing");
  edited("config.json", "\"model_type\": \"llama\"", "\"model_type\": \"lama\"",
         "model_type 'lama' is unknown");
  edited("config.json", "\"model_type\": \"llama\"", "\"model_type\": \"\"", "model_type is missing");
  edited("config.json", "\"llama3\"", "\"longrope\"", "longrope");
  edited("config.json", "\"vocab_size\"", "\"vocab\"", "vocab_size is missing");
}

TEST_CASE("a folder of every architecture is converted; one that is not run yet with a word") {
  int n = 0;
  for (const auto& entry : fs::directory_iterator(kArch)) {
    const std::string folder = entry.path();
    if (folder.find("deepseek_v4") != std::string::npos) continue;  // no weights are here
    const ProgramResult r = dry_run(folder);
    CAPTURE(folder);
    CAPTURE(r.err);
    CHECK(r.rc == 0);
    CHECK(r.err.find("not run here yet") == std::string::npos);
    ++n;
  }
  CHECK(n == 16);
  const Copy later(kArch + "llama");
  later.replace("config.json", "\"model_type\": \"llama\"", "\"model_type\": \"deepseek_v4\"");
  const ProgramResult r = dry_run(later.path());
  CHECK(r.rc == 0);
  CHECK(r.err.find("model_type deepseek_v4 is not run here yet") != std::string::npos);
  CHECK(dry_run(kTinyModel).rc == 0);
}

TEST_CASE(
    "NaN in a large weight: harmless while nothing needs it, refused with its place when it reaches logits") {
  // A BF16 row of the embedding, [V, D]: only token 7's.
  const Copy nan(kArch + "qwen2");
  std::string bytes = nan.read("model.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  const std::string header = bytes.substr(8, length);
  const size_t entry = header.find("\"model.embed_tokens.weight\"");
  REQUIRE(entry != std::string::npos);
  const auto number_after = [&](const std::string& word, size_t skip) {
    return std::stoull(header.substr(header.find(word, entry) + word.size() + skip));
  };
  const size_t begin = number_after("\"data_offsets\"", 2);
  const size_t row = 2 * 64 * 7;
  REQUIRE(header.substr(entry, 200).find("BF16") != std::string::npos);
  bytes[8 + length + begin + row + 1] = 0x7F;
  bytes[8 + length + begin + row] = static_cast<char>(0xC0);
  nan.write("model.safetensors", bytes);
  ProgramOptions options;
  options.in = "{\"input_ids\": [3, 9, 1]}\n";
  CHECK(run_program("ds-run", {nan.path(), "--score"}, options).rc == 0);
  options.in = "{\"input_ids\": [3, 7, 1]}\n";
  for (const char* job : {"--score", "--jsonl"}) {
    const ProgramResult r = run_program("ds-run", {nan.path(), job}, options);
    CAPTURE(r.err);
    CHECK(r.rc == 78);
    CHECK(r.err.find("model.embed_tokens.weight, element " + std::to_string(64 * 7)) != std::string::npos);
  }
}

TEST_CASE("a repository's name means its snapshot in the Hugging Face cache") {
  const TemporaryFolder home;
  const fs::path repository = home.path() + "/hub/models--Org--Name";
  fs::create_directories(repository / "snapshots");
  fs::create_directories(repository / "refs");
  home.write("hub/models--Org--Name/refs/main", "0123abc");
  fs::create_directory_symlink(kArch + "qwen2", repository / "snapshots/0123abc");
  const ProgramResult named = score("Org/Name", {"HF_HOME=" + home.path()});
  CAPTURE(named.err);
  CHECK(named.rc == 0);
  CHECK(named.out == score(kArch + "qwen2").out);
}
