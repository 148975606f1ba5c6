// GGUF files as models: what is refused, by name and with what to do.
#include <doctest/doctest.h>

#include "checkpoint/gguf_config.h"
#include "checkpoint/model_folder.h"
#include "core/error.h"
#include "io/temp_folder.h"

using namespace ds;
using namespace ds::checkpoint;
using ds::test::TempFolder;

namespace {

// A llama of one layer, far enough to be opened.
struct Maker {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;
  void add(const std::string& name, std::vector<int64_t> shape) {
    GgufTensor t;
    t.name = name;
    t.shape = std::move(shape);
    tensors.push_back(t);
  }
  std::string file() {
    std::string out = metadata.header(tensors);
    for (const GgufTensor& t : tensors)
      out += std::string(
          static_cast<size_t>((t.bytes() + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment), '\0');
    return out;
  }
};
Maker llama(const std::string& left_out = "", const std::string& architecture = "llama") {
  Maker m;
  m.metadata.set_string("general.architecture", architecture);
  for (const auto& [key, value] :
       {std::pair("block_count", 1), std::pair("context_length", 64), std::pair("embedding_length", 8),
        std::pair("feed_forward_length", 16), std::pair("attention.head_count", 2)})
    if (key != left_out) m.metadata.set_u32("llama." + std::string(key), value);
  m.metadata.set_f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
  m.add("token_embd.weight", {4, 8});
  m.add("blk.0.attn_q.weight", {8, 8});
  return m;
}
std::string refusal(const std::string& path) {
  try {
    ModelFolder(path).config();
    return "";
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kBadModel);
    return e.message();
  }
}
bool has(const std::string& text, const std::string& word) { return text.find(word) != std::string::npos; }

}  // namespace

TEST_CASE("GGUF: the metadata as config.json; what is missing or odd is named") {
  const TempFolder folder;
  const auto refused = [&](Maker m) { return refusal(folder.write("m.gguf", m.file())); };
  CHECK(refused(llama()).empty());
  const ModelFolder model(folder / "m.gguf");
  CHECK(model.model_type() == "llama");
  CHECK(model.config().vocab_size == 4);
  CHECK(model.config().num_key_value_heads == 2);
  CHECK(model.config().head_dim == 4);
  CHECK(model.config().rope_theta == 10000);
  CHECK(model.config().tie_word_embeddings);
  CHECK(model.other_files().empty());
  for (const char* key : {"block_count", "embedding_length", "attention.head_count"})
    CHECK(has(refused(llama(key)), "llama." + std::string(key) + " is missing"));
  CHECK(has(refused(llama("", "mamba")), "architecture mamba is not read from GGUF; read are llama, qwen2"));
  Maker kv = llama();
  kv.metadata.set_i32s("llama.attention.head_count_kv", {1, 2});
  CHECK(has(refused(kv), "num_key_value_heads is [1,2]"));
  Maker split = llama();
  split.metadata.set_u32("split.no", 1);
  split.metadata.set_u32("split.count", 2);
  CHECK(has(refused(split), "is part 2 of 2"));
  Maker first = llama();
  first.metadata.set_u32("split.no", 0);
  first.metadata.set_u32("split.count", 2);
  CHECK(has(refused(first), "-00001-of-00002.gguf"));
}

TEST_CASE("GGUF: tensors that cannot be read are refused by name, with what to do") {
  const TempFolder folder;
  const auto refused = [&](Maker m) { return refusal(folder.write("m.gguf", m.file())); };
  Maker type = llama();
  type.tensors[1].type = static_cast<GgufType>(16);
  const std::string message = refused(type);
  CHECK(has(message, "tensor blk.0.attn_q.weight"));
  CHECK(has(message, "of type IQ2_XXS, which is not read; read are F32, F16, BF16, Q8_0"));
  CHECK(has(message, "Q4_K_M"));
  type.tensors[1].type = static_cast<GgufType>(77);
  CHECK(has(refused(type), "of type number 77"));
  type.tensors[1].type = static_cast<GgufType>(2);
  CHECK(has(refused(type), "rows of 8 values, which are no whole blocks of Q4_0"));
  Maker unknown = llama();
  unknown.add("blk.0.attn_sinks.weight", {2});
  CHECK(has(refused(unknown), "attn_sinks.weight: is not known of architecture llama"));
  Maker heads = llama();
  heads.tensors[1].shape = {6, 8};
  CHECK(has(refused(heads), "does not divide into 2 heads of pairs"));
  const std::string file = llama().file();
  folder.write("m.gguf", file.substr(0, file.size() - 32));
  CHECK(has(refusal(folder / "m.gguf"), "cut short"));
}

TEST_CASE("GGUF: the tokenizer's files are members of it; unknown kinds are refused by name") {
  const TempFolder folder;
  Maker m = llama();
  m.metadata.set_string("tokenizer.ggml.model", "gpt2");
  m.metadata.set_string("tokenizer.ggml.pre", "qwen2");
  m.metadata.set_strings("tokenizer.ggml.tokens", {"a", "b", "ab", "<e>"});
  m.metadata.set_i32s("tokenizer.ggml.token_type", {1, 1, 1, 3});
  m.metadata.set_strings("tokenizer.ggml.merges", {"a b"});
  m.metadata.set_u32("tokenizer.ggml.eos_token_id", 3);
  m.metadata.set_string("tokenizer.chat_template", "{{ x }}");
  const std::string path = folder.write("m.gguf", m.file());
  const ModelFolder model(path);
  CHECK(model.other_files() == std::vector<std::string>{"tokenizer.json", "tokenizer_config.json"});
  CHECK(model.config().eos_token_ids == std::vector<int32_t>{3});
  CHECK(gguf_above(path + "/tokenizer.json") == path);
  CHECK(gguf_above(path).empty());
  CHECK_FALSE(gguf_member_exists(path, "generation_config.json"));
  CHECK(has(gguf_member_text(path, "tokenizer.json"),
            R"("vocab":{"a":0,"b":1,"ab":2,"<e>":3},"merges":["a b"])"));
  CHECK(gguf_member_text(path, "tokenizer_config.json") ==
        R"({"eos_token":"<e>","add_bos_token":false,"add_eos_token":false,"chat_template":"{{ x }}"})");
  const auto refused = [&](const char* model_name, const char* pre) {
    Maker other = llama();
    other.metadata.set_string("tokenizer.ggml.model", model_name);
    other.metadata.set_string("tokenizer.ggml.pre", pre);
    other.metadata.set_strings("tokenizer.ggml.tokens", {"a"});
    other.metadata.set_strings("tokenizer.ggml.merges", {});
    try {
      gguf_member_text(folder.write("t.gguf", other.file()), "tokenizer.json");
      return std::string();
    } catch (const Error& e) {
      return e.message();
    }
  };
  CHECK(refused("gpt2", "qwen2").empty());
  CHECK(has(refused("t5", "qwen2"), "is 't5', read are gpt2 and llama"));
  CHECK(has(refused("gpt2", "tekken"), "is 'tekken', which is not known; known are llama-bpe"));
}
