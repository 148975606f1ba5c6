// The GGUF file read back by a reader of its own, Q8_0 blocks against the format's definition, and the
// vocabulary's keys.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "checkpoint/model_maker.h"
#include "checkpoint/rope_scaling.h"
#include "core/error.h"
#include "quant/bands.h"
#include "quant/gguf_export.h"
#include "quant/quantize.h"

using namespace ds;
using namespace ds::quant;
using namespace ds::test;

namespace {

// GGUF version 3 as ggml/docs/gguf.md has it. Values as text; arrays joined by '|'.
struct ReadGguf {
  struct Tensor {
    std::vector<uint64_t> dims;  // innermost first
    uint32_t type = 0;
    std::string bytes;
  };
  std::map<std::string, std::string> keys;
  std::map<std::string, Tensor> tensors;

  explicit ReadGguf(std::string file) : file_(std::move(file)) {
    REQUIRE(file_.substr(0, 4) == "GGUF");
    at_ = 4;
    REQUIRE(get<uint32_t>() == 3);
    const auto n_tensors = get<uint64_t>(), n_keys = get<uint64_t>();
    for (uint64_t i = 0; i < n_keys; ++i) {
      const std::string key = string();
      CHECK(keys.emplace(key, value(get<uint32_t>())).second);
    }
    std::map<std::string, uint64_t> offsets;
    for (uint64_t i = 0; i < n_tensors; ++i) {
      const std::string name = string();
      Tensor t;
      t.dims.resize(get<uint32_t>());
      for (uint64_t& d : t.dims) d = get<uint64_t>();
      t.type = get<uint32_t>();
      offsets[name] = get<uint64_t>();
      tensors[name] = t;
    }
    const uint64_t data = (at_ + 31) / 32 * 32;
    uint64_t end = data;
    for (auto& [name, t] : tensors) {
      uint64_t n = 1;
      for (const uint64_t d : t.dims) n *= d;
      const uint64_t bytes = t.type == 0 ? 4 * n : t.type == 8 ? n / 32 * 34 : 2 * n;
      CHECK(offsets[name] % 32 == 0);
      REQUIRE(data + offsets[name] + bytes <= file_.size());
      t.bytes = file_.substr(data + offsets[name], bytes);
      end = std::max(end, (data + offsets[name] + bytes + 31) / 32 * 32);
    }
    CHECK(end == file_.size());
  }

 private:
  template <class T>
  T get() {
    T v;
    REQUIRE(at_ + sizeof v <= file_.size());
    std::memcpy(&v, file_.data() + at_, sizeof v);
    at_ += sizeof v;
    return v;
  }
  std::string string() {
    const auto n = get<uint64_t>();
    REQUIRE(n <= file_.size() - at_);
    at_ += n;
    return file_.substr(at_ - n, n);
  }
  std::string value(uint32_t type) {
    switch (type) {
      case 4:
        return std::to_string(get<uint32_t>());
      case 5:
        return std::to_string(get<int32_t>());
      case 6:
        return std::to_string(get<float>());
      case 7:
        return get<uint8_t>() ? "true" : "false";
      case 8:
        return string();
      case 9: {
        const auto of = get<uint32_t>();
        std::string all;
        for (auto n = get<uint64_t>(); n > 0; --n) all += value(of) + (n > 1 ? "|" : "");
        return all;
      }
      default:
        FAIL("value type ", type);
        return "";
    }
  }
  std::string file_;
  size_t at_ = 0;
};

// What a model of one layer becomes; `more` is inserted in its config.json.
struct Exporter {
  TempFolder model, out;
  QuantizeOptions o;
  void config(const std::string& type, const std::string& more = "") const {
    model.write("config.json",
                "{\"model_type\":\"" + type +
                    "\",\"num_hidden_layers\":1,\"num_attention_heads\":2,\"hidden_size\":64,"
                    "\"intermediate_size\":64,\"vocab_size\":8,\"max_position_embeddings\":64" +
                    more + "}");
  }
  ReadGguf run() {
    o.out = out / "m.gguf";
    o.force = true;
    const ModelFolder checkpoint(model.path());
    export_gguf(checkpoint, o);
    return ReadGguf(slurp(o.out));
  }
};

// Of all binary16 numbers >= 0 the nearest, ties to the even one.
uint16_t nearest_f16(double v) {
  static const std::vector<double> values = [] {
    std::vector<double> all;
    for (int bits = 0; bits <= 0x7C00; ++bits) {
      const int exponent = bits >> 10, fraction = bits & 1023;
      all.push_back(exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24));
    }
    return all;
  }();
  const auto above = std::lower_bound(values.begin(), values.end(), v);
  const auto i = static_cast<uint16_t>(above - values.begin());
  if (*above == v || i == 0) return i;
  const double up = *above - v, down = v - values[i - 1];
  return up < down || (up == down && i % 2 == 0) ? i : static_cast<uint16_t>(i - 1);
}

}  // namespace

TEST_CASE("GGUF: Q8_0 blocks are amax / 127 in binary16 and the nearest multiples, halves away from zero") {
  Exporter e;
  e.o.target = QuantTarget::kGgufQ8_0;
  e.o.n_threads = 2;
  e.config("llama");
  constexpr int64_t kRows = 61, kCols = 64;
  std::vector<float> x = random_values(kRows * kCols, 3);
  // Every row has its own power of two, from where scales are subnormal in binary16 to where they are large.
  for (int64_t i = 0; i < kRows * kCols; ++i) x[i] = std::ldexp(x[i], static_cast<int>(i / kCols) - 38);
  std::fill_n(x.begin(), 32, 0.0f);
  x[5] = -0.0f;
  for (int i = 0; i < 32; ++i) x[32 + i] = (i % 2 ? -1 : 1) * (i + 0.5f) / 16;  // ties: the scale is 1/16
  x[32 + 31] = 127.0f / 16;
  for (int i = 0; i < 32; ++i) x[64 + i] = std::ldexp(i - 7.0f, -132);  // 1 / scale is no float
  write_shard(e.model, "model.safetensors",
              {f32_tensor("model.layers.0.mlp.up_proj.weight", {kRows, kCols}, x)});
  const ReadGguf gguf = e.run();
  const ReadGguf::Tensor& t = gguf.tensors.at("blk.0.ffn_up.weight");
  CHECK(t.dims == std::vector<uint64_t>{kCols, kRows});
  CHECK(t.type == 8);
  for (int64_t b = 0; b < kRows * kCols / 32; ++b) {
    float amax = 0;
    for (int i = 0; i < 32; ++i) amax = std::max(amax, std::fabs(x[b * 32 + i]));
    const float d = amax / 127, inverse = std::isfinite(1 / d) ? 1 / d : 0;
    uint16_t scale;
    std::memcpy(&scale, t.bytes.data() + b * 34, 2);
    CHECK(scale == nearest_f16(d));
    for (int i = 0; i < 32; ++i) {
      const int code = static_cast<int8_t>(t.bytes[b * 34 + 2 + i]);
      const long want = std::lround(x[b * 32 + i] * inverse);
      if (code != want) FAIL_CHECK("block ", b, " value ", i, ": ", code, " for ", want);
    }
  }
}

TEST_CASE(
    "GGUF: every tensor stands where its offset says, behind sizes that are no multiple of 32; rows are "
    "named") {
  Exporter e;
  e.o.target = QuantTarget::kGgufBF16;
  e.o.n_threads = 2;
  e.config("llama");
  // Two bytes a value: sizes of 2, 32, 34, 64, 66, 198 bytes and so on, each with values of its own.
  const std::map<std::string, int64_t> columns = {{"q", 1},  {"k", 16},  {"v", 17},
                                                  {"o", 32}, {"up", 33}, {"down", 99}};
  std::vector<MadeTensor> tensors;
  std::map<std::string, std::vector<float>> want;
  uint64_t stream = 1;
  for (const auto& [name, n] : columns) {
    const std::string of = name.size() > 1 ? "mlp." : "self_attn.";
    const int64_t rows = of == "mlp." ? 3 : 1;
    if (name == "q" || name == "k") continue;  // whose rows are interleaved
    want[name] = random_values(rows * n, stream++);
    tensors.push_back(f32_tensor("model.layers.0." + of + name + "_proj.weight", {rows, n}, want[name]));
  }
  write_shard(e.model, "model.safetensors", tensors);
  const ReadGguf gguf = e.run();
  const std::map<std::string, std::string> names = {
      {"v", "attn_v"}, {"o", "attn_output"}, {"up", "ffn_up"}, {"down", "ffn_down"}};
  for (const auto& entry : want) {
    const std::string& name = entry.first;
    const auto& values = entry.second;
    const ReadGguf::Tensor& t = gguf.tensors.at("blk.0." + names.at(name) + ".weight");
    INFO(name);
    REQUIRE(t.bytes.size() == 2 * values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      uint16_t bits;
      std::memcpy(&bits, t.bytes.data() + 2 * i, 2);
      CHECK(bits == f32_to_bf16(values[i]));
    }
  }
  // What cannot be written is named by its row in the whole tensor, whichever thread and batch meets it.
  std::vector<float> large = random_values(70'000 * 64, 9);
  large[69'999 * 64 + 5] = NAN;
  write_shard(e.model, "model.safetensors", {f32_tensor("model.embed_tokens.weight", {70'000, 64}, large)});
  try {
    e.run();
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.message().find("[69999, 5] is NaN") != std::string::npos);
  }
}

TEST_CASE("GGUF: the two halves of kv_b_proj: keys transposed head by head, values as they are") {
  constexpr int64_t kNope = 3, kValue = 5;
  // Of the larger one a thread's piece ends inside a head.
  for (const auto& sizes : {std::pair<int64_t, int64_t>{2, 40}, {2, 400'000}}) {
    const int64_t n_heads = sizes.first, n_latent = sizes.second;
    Exporter e;
    e.o.target = QuantTarget::kGgufBF16;
    e.o.n_threads = 2;
    e.config("deepseek_v3",
             ",\"qk_rope_head_dim\":2,\"qk_nope_head_dim\":3,\"v_head_dim\":5,\"kv_lora_rank\":" +
                 std::to_string(n_latent));
    const std::vector<float> x = random_values(n_heads * (kNope + kValue) * n_latent, 5);
    write_shard(
        e.model, "model.safetensors",
        {f32_tensor("model.layers.0.self_attn.kv_b_proj.weight", {n_heads * (kNope + kValue), n_latent}, x)});
    const ReadGguf gguf = e.run();
    const auto differs = [&](const std::string& bytes, int64_t at, int64_t head, int64_t row, int64_t r) {
      uint16_t bits;
      std::memcpy(&bits, bytes.data() + 2 * at, 2);
      return bits != f32_to_bf16(x[(head * (kNope + kValue) + row) * n_latent + r]);
    };
    const std::string &keys = gguf.tensors.at("blk.0.attn_k_b.weight").bytes,
                      &values = gguf.tensors.at("blk.0.attn_v_b.weight").bytes;
    int64_t n_wrong = 0;
    for (int64_t h = 0; h < n_heads; ++h)
      for (int64_t r = 0; r < n_latent; ++r) {
        for (int64_t d = 0; d < kNope; ++d) n_wrong += differs(keys, (h * n_latent + r) * kNope + d, h, d, r);
        for (int64_t d = 0; d < kValue; ++d)
          n_wrong += differs(values, (h * kValue + d) * n_latent + r, h, kNope + d, r);
      }
    CHECK(n_wrong == 0);
  }
}

TEST_CASE("GGUF: types, shapes and names; what has no name is refused") {
  Exporter e;
  e.o.target = QuantTarget::kGgufQ8_0;
  e.config("llama", ",\"tie_word_embeddings\":true");
  const auto tensors = [](const std::string& odd) {
    return std::vector<MadeTensor>{bf16_tensor("model.embed_tokens.weight", {8, 64}, random_values(512, 1)),
                                   bf16_tensor("lm_head.weight", {8, 64}, random_values(512, 1)),
                                   f32_tensor("model.norm.weight", {64}, random_values(64, 2)),
                                   bf16_tensor("model.layers.0." + odd, {4, 33}, random_values(132, 3))};
  };
  write_shard(e.model, "model.safetensors", tensors("mlp.down_proj.weight"));
  const ReadGguf gguf = e.run();
  CHECK(gguf.tensors.size() == 4);  // the head that is there counts, whatever tie_word_embeddings says
  CHECK(gguf.tensors.at("token_embd.weight").type == 8);
  CHECK(gguf.tensors.at("output_norm.weight").type == 0);
  CHECK(gguf.tensors.at("blk.0.ffn_down.weight").type == 30);  // 33 columns fill no blocks: BF16
  CHECK(gguf.keys.at("general.architecture") == "llama");
  CHECK(gguf.keys.at("llama.block_count") == "1");
  CHECK(gguf.keys.count("tokenizer.ggml.model") == 0);
  write_shard(e.model, "model.safetensors", tensors("mlp.mystery.weight"));
  CHECK_THROWS_AS(e.run(), Error);
  write_shard(e.model, "model.safetensors", tensors("mlp.down_proj.weight"));
  e.config("bert");
  CHECK_THROWS_AS(e.run(), Error);
}

TEST_CASE("GGUF: token ids are the tokenizer's own, config.json's only where it says none") {
  Exporter e;
  e.o.target = QuantTarget::kGgufBF16;
  e.config("llama", ",\"bos_token_id\":0,\"eos_token_id\":[1,0],\"pad_token_id\":null");
  write_shard(e.model, "model.safetensors", {f32_tensor("model.norm.weight", {64}, random_values(64, 2))});
  e.model.write(
      "tokenizer.json",
      R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"]]},"added_tokens":[)"
      R"({"id":4,"content":"<s>","special":true},{"id":5,"content":"<|end|>","special":false},)"
      R"({"id":6,"content":"word","special":false}]})");
  ReadGguf gguf = e.run();
  CHECK(gguf.keys.at("tokenizer.ggml.tokens") == "a|b|ab|[PAD3]|<s>|<|end|>|word|[PAD7]");
  CHECK(gguf.keys.at("tokenizer.ggml.token_type") == "1|1|1|5|3|3|4|5");
  CHECK(gguf.keys.at("tokenizer.ggml.merges") == "a b");
  CHECK(gguf.keys.at("tokenizer.ggml.bos_token_id") == "0");
  CHECK(gguf.keys.at("tokenizer.ggml.eos_token_id") == "1");
  CHECK(gguf.keys.count("tokenizer.ggml.padding_token_id") == 0);
  CHECK(gguf.keys.at("tokenizer.ggml.add_bos_token") == "false");
  e.model.write("tokenizer_config.json",
                R"({"bos_token":{"content":"<s>"},"eos_token":"<|end|>","pad_token":"absent",)"
                R"("add_bos_token":true,"chat_template":"{{ x }}"})");
  gguf = e.run();
  CHECK(gguf.keys.at("tokenizer.ggml.bos_token_id") == "4");
  CHECK(gguf.keys.at("tokenizer.ggml.eos_token_id") == "5");
  CHECK(gguf.keys.count("tokenizer.ggml.padding_token_id") == 0);
  CHECK(gguf.keys.at("tokenizer.ggml.add_bos_token") == "true");
  CHECK(gguf.keys.at("tokenizer.chat_template") == "{{ x }}");
  e.model.write("tokenizer.json", R"({"model":{"type":"Unigram"}})");
  CHECK_THROWS_AS(e.run(), Error);
}

TEST_CASE("GGUF: the pre-tokenizer is named by its pattern") {
  const std::string gpt2 = R"('s|\\p{L}+|\\p{N}+)", qwen = R"((?i:'s)|\\p{L}+|\\p{N}|\\s+)",
                    llama = R"((?i:'s)|\\p{L}+|\\p{N}{1,3}|\\s+)", v3 = R"(\\p{N}{1,3}|[一-龥]+)";
  struct Case {
    std::string type, pattern, more, want;
  };
  for (const Case& c : {Case{"llama", gpt2, "", "gpt-2"}, Case{"qwen2", qwen, "", "qwen2"},
                        Case{"llama", llama, ",\"ignore_merges\":true", "llama-bpe"},
                        Case{"llama", llama, "", "smaug-bpe"}, Case{"deepseek_v3", v3, "", "deepseek-v3"},
                        Case{"llama", v3, "", "deepseek-v3"}, Case{"deepseek", qwen, "", "deepseek-llm"}}) {
    Exporter e;
    e.o.target = QuantTarget::kGgufBF16;
    const char* mla = ",\"qk_rope_head_dim\":2,\"qk_nope_head_dim\":2,\"kv_lora_rank\":2,\"v_head_dim\":2";
    e.config(c.type, c.type == "deepseek_v3" ? mla : "");
    write_shard(e.model, "model.safetensors", {f32_tensor("model.norm.weight", {64}, random_values(64, 2))});
    e.model.write("tokenizer.json", R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":")" + c.pattern +
                                        R"("}},"model":{"type":"BPE","vocab":{"a":0},"merges":[])" + c.more +
                                        "}}");
    CHECK(e.run().keys.at("tokenizer.ggml.pre") == c.want);
  }
}

TEST_CASE("GGUF: keys that config.json leaves out have the family's values, as everywhere") {
  Exporter e;
  e.o.target = QuantTarget::kGgufBF16;
  write_shard(e.model, "model.safetensors", {f32_tensor("model.norm.weight", {64}, random_values(64, 2))});
  const std::string sizes =
      R"(,"qk_rope_head_dim":2,"qk_nope_head_dim":2,"kv_lora_rank":2,"v_head_dim":2,"n_routed_experts":16,)"
      R"("num_experts_per_tok":4,"moe_intermediate_size":8)";
  e.config("deepseek_v3", sizes);
  const auto left_out = e.run().keys;
  // DeepSeek-V3's published config.json spells them out.
  e.config("deepseek_v3", sizes +
                              R"(,"n_shared_experts":1,"routed_scaling_factor":2.5,"norm_topk_prob":true,)"
                              R"("scoring_func":"sigmoid","n_group":8,"topk_group":4,)"
                              R"("first_k_dense_replace":3,"topk_method":"noaux_tc","moe_layer_freq":1)");
  CHECK(left_out == e.run().keys);
  CHECK(left_out.at("deepseek2.expert_shared_count") == "1");
  CHECK(left_out.at("deepseek2.expert_weights_scale") == std::to_string(2.5f));
  CHECK(left_out.at("deepseek2.expert_weights_norm") == "true");
  CHECK(left_out.at("deepseek2.expert_gating_func") == "2");
}

TEST_CASE("GGUF: what a Q8_0 block cannot hold is refused with its place; BF16 holds it") {
  Exporter e;
  e.config("llama");
  std::vector<float> values = random_values(512, 1);
  const auto with = [&](float v) {
    values[70] = v;
    write_shard(e.model, "model.safetensors", {f32_tensor("model.embed_tokens.weight", {8, 64}, values)});
  };
  e.o.target = QuantTarget::kGgufQ8_0;
  with(-127 * 65504.0f);  // the largest scale binary16 has
  CHECK_NOTHROW(e.run());
  with(-8.5e6f);
  try {
    e.run();
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kBadModel);
    CHECK(error.message().find("[1, 6]") != std::string::npos);
  }
  e.o.target = QuantTarget::kGgufBF16;
  CHECK_NOTHROW(e.run());
}

TEST_CASE("GGUF: an exported folder is read back with the same config, names, order of rows and values") {
  const TempFolder out;
  const auto values = [](const ModelFolder& model, const StoredTensor& t) {
    const WeightCoding c = model.coding(t);
    BandScratch scratch;
    std::vector<float> x(static_cast<size_t>(c.rows * c.cols));
    read_values(model, t, c, Isa::kScalar, 0, c.rows, 0, c.cols, scratch, x.data());
    return x;
  };
  for (const char* name : {"llama", "llama_tied", "qwen2", "qwen3", "qwen3_yarn", "qwen3_moe", "deepseek_v1",
                           "deepseek_v2", "deepseek_v2_lite", "deepseek_v3", "deepseek_v3_fp8"}) {
    CAPTURE(name);
    const ModelFolder folder(DS_SOURCE_DIR "/tests/golden/arch/" + std::string(name));
    QuantizeOptions o;
    o.target = QuantTarget::kGgufBF16;
    o.out = out / (name + std::string(".gguf"));
    export_gguf(folder, o);
    const ModelFolder gguf(o.out);
    const ModelConfig &a = folder.config(), &b = gguf.config();
    CHECK(b.num_hidden_layers == a.num_hidden_layers);
    CHECK(b.num_key_value_heads == a.num_key_value_heads);
    CHECK(b.max_position_embeddings == a.max_position_embeddings);
    CHECK(b.tie_word_embeddings == a.tie_word_embeddings);
    CHECK(b.q_lora_rank == a.q_lora_rank);
    CHECK(b.qk_nope_head_dim == a.qk_nope_head_dim);
    CHECK(b.v_head_dim == a.v_head_dim);
    CHECK(b.scoring_func == a.scoring_func);
    CHECK(b.topk_method == a.topk_method);
    CHECK(b.n_group == a.n_group);
    CHECK(b.topk_group == a.topk_group);
    CHECK(b.norm_topk_prob == a.norm_topk_prob);
    CHECK(b.routed_scaling_factor == doctest::Approx(a.routed_scaling_factor));
    const int64_t rotated = a.kv_lora_rank ? a.qk_rope_head_dim : a.head_dim;
    const RopeTable x = make_rope_table(a, rotated), y = make_rope_table(b, rotated);
    CHECK(y.magnitude == doctest::Approx(x.magnitude));
    for (size_t j = 0; j < x.theta.size(); ++j) CHECK(y.theta[j] == doctest::Approx(x.theta[j]));
    for (int64_t i = 0; i < a.num_hidden_layers; ++i) CHECK(b.is_moe_layer(i) == a.is_moe_layer(i));
    int64_t n_compared = 0;
    for (const StoredTensor& t : folder.tensors()) {
      if (folder.is_companion(t)) continue;
      CAPTURE(t.info.name);
      const StoredTensor* read = gguf.find(folder.canonical_name(t));
      REQUIRE(read != nullptr);
      std::vector<float> wanted = values(folder, t);
      if (t.info.shape.size() > 1 && read->info.dtype == DType::kBF16)
        for (float& v : wanted) v = bf16_to_f32(f32_to_bf16(v));
      CHECK(values(gguf, *read) == wanted);
      ++n_compared;
    }
    CHECK(n_compared == static_cast<int64_t>(gguf.tensors().size()));
  }
}

TEST_CASE(
    "GGUF to a BF16 folder: blocks decoded and rounded, the rest as it is, tokenizer and config beside") {
  const ModelFolder gguf(DS_SOURCE_DIR "/tests/golden/gguf/llama_spm_bf16/model.gguf");
  const ModelFolder blocks(DS_SOURCE_DIR "/tests/golden/gguf/deepseek2_qlora_legacy_q8_0/model.gguf");
  for (const ModelFolder* model : {&gguf, &blocks}) {
    const TempFolder out;
    QuantizeOptions o;
    o.target = QuantTarget::kBF16;
    o.out = out / "folder";
    quantize(*model, plan_quantize(*model, o), o);
    const ModelFolder folder(o.out);
    folder.require_readable();
    CHECK(folder.config_json()["model_type"] == model->config_json()["model_type"]);
    CHECK(folder.tensors().size() == model->tensors().size());
    CHECK(folder.other_files() == model->other_files());
    CHECK_FALSE(folder.other_files().empty());
    BandScratch scratch;
    for (const StoredTensor& t : model->tensors()) {
      const WeightCoding c = model->coding(t);
      const auto n = static_cast<size_t>(c.rows * c.cols);
      std::vector<float> wanted(n), got(n);
      const StoredTensor* other = folder.find(t.info.name);
      REQUIRE(other != nullptr);
      read_values(*model, t, c, Isa::kScalar, 0, c.rows, 0, c.cols, scratch, wanted.data());
      read_values(folder, *other, folder.coding(*other), Isa::kScalar, 0, c.rows, 0, c.cols, scratch,
                  got.data());
      if (t.blocks)
        for (float& v : wanted) v = bf16_to_f32(f32_to_bf16(v));
      CHECK(got == wanted);
    }
  }
  QuantizeOptions o;
  o.out = "unused";
  CHECK_THROWS_AS(plan_quantize(blocks, o), Error);  // to FP8: what is not chosen would stay in blocks
}
