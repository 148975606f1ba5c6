// make_model FOLDER bf16|fp8: random weights in the shape of DeepSeek-R1-Distill-Qwen-1.5B (28 layers, hidden
// 1536, 12 heads over 2, ffn 8960, vocabulary 151936; 1.78 billion parameters), for speed figures only: its
// answers mean nothing. fp8: the projections are E4M3 with one F32 scale per 128x128, as DeepSeek-V3 is
// published.
#include <sys/stat.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/rng.h"
#include "io/safetensors.h"

using namespace ds;
using namespace ds::model;

namespace {

constexpr int64_t kHidden = 1536, kLayers = 28, kKv = 256, kFfn = 8960, kVocab = 151936, kBlock = 128;

struct Tensor {
  TensorInfo info;
  enum class Fill { kRandom, kOnes, kScales } fill;
};

void add(std::vector<Tensor>& tensors, const std::string& name, DType dtype, std::vector<int64_t> shape,
         Tensor::Fill fill) {
  Tensor t;
  t.info.name = name;
  t.info.dtype = dtype;
  t.info.shape = std::move(shape);
  t.fill = fill;
  tensors.push_back(std::move(t));
}

void add_projection(std::vector<Tensor>& tensors, const std::string& name, int64_t out, int64_t in,
                    bool fp8) {
  add(tensors, name + ".weight", fp8 ? DType::kF8E4M3 : DType::kBF16, {out, in}, Tensor::Fill::kRandom);
  if (fp8) {
    const std::vector<int64_t> blocks = {(out + kBlock - 1) / kBlock, (in + kBlock - 1) / kBlock};
    add(tensors, name + ".weight_scale_inv", DType::kF32, blocks, Tensor::Fill::kScales);
  }
}

std::vector<Tensor> all_tensors(bool fp8) {
  std::vector<Tensor> t;
  using Fill = Tensor::Fill;
  add(t, "model.embed_tokens.weight", DType::kBF16, {kVocab, kHidden}, Fill::kRandom);
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string p = "model.layers." + std::to_string(i) + ".";
    add(t, p + "input_layernorm.weight", DType::kBF16, {kHidden}, Fill::kOnes);
    add(t, p + "post_attention_layernorm.weight", DType::kBF16, {kHidden}, Fill::kOnes);
    for (const auto& [name, out] : {std::pair{"q", kHidden}, {"k", kKv}, {"v", kKv}}) {
      add_projection(t, p + "self_attn." + name + "_proj", out, kHidden, fp8);
      add(t, p + "self_attn." + name + "_proj.bias", DType::kBF16, {out}, Fill::kOnes);
    }
    add_projection(t, p + "self_attn.o_proj", kHidden, kHidden, fp8);
    add_projection(t, p + "mlp.gate_proj", kFfn, kHidden, fp8);
    add_projection(t, p + "mlp.up_proj", kFfn, kHidden, fp8);
    add_projection(t, p + "mlp.down_proj", kHidden, kFfn, fp8);
  }
  add(t, "model.norm.weight", DType::kBF16, {kHidden}, Fill::kOnes);
  add(t, "lm_head.weight", DType::kBF16, {kVocab, kHidden}, Fill::kRandom);
  return t;
}

void write_tensor(const Tensor& t, CounterRng& rng, AtomicFile& out) {
  const auto n_bytes = static_cast<int64_t>(t.info.end - t.info.begin);
  std::vector<char> chunk;
  for (int64_t done = 0; done < n_bytes; done += static_cast<int64_t>(chunk.size())) {
    chunk.resize(std::min<int64_t>(n_bytes - done, 1 << 20));
    for (size_t i = 0; i + 4 <= chunk.size(); i += 4) {
      uint32_t word = rng.next_u32();
      if (t.fill == Tensor::Fill::kOnes) word = 0x3F803F80;
      if (t.fill == Tensor::Fill::kScales) word = 0x3A000000 | (word & 0xFFFF);  // about 2^-11
      if (t.info.dtype == DType::kBF16 && t.fill == Tensor::Fill::kRandom)
        word = (word & 0x807F807F) | 0x3C803C80;               // +-(2^-6 .. 2^-5)
      if (t.info.dtype == DType::kF8E4M3) word &= 0xF7F7F7F7;  // no NaN code
      std::memcpy(chunk.data() + i, &word, 4);
    }
    out.write({chunk.data(), chunk.size()});
  }
}

void make(const std::string& folder, bool fp8) {
  ::mkdir(folder.c_str(), 0777);
  std::vector<Tensor> tensors = all_tensors(fp8);
  std::vector<TensorInfo> infos;
  for (const Tensor& t : tensors) infos.push_back(t.info);
  AtomicFile weights(folder + "/model.safetensors");
  weights.write(make_safetensors_header(infos, {{"format", "pt"}}));
  CounterRng rng(1);
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].info = infos[i];
    write_tensor(tensors[i], rng, weights);
  }
  weights.commit();
  std::string config =
      R"({"model_type": "qwen2", "hidden_size": 1536, "num_hidden_layers": 28, "num_attention_heads": 12,
 "num_key_value_heads": 2, "intermediate_size": 8960, "vocab_size": 151936, "max_position_embeddings": 131072,
 "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": false, "eos_token_id": 151643)";
  if (fp8)
    config += R"(,
 "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]})";
  AtomicFile json(folder + "/config.json");
  json.write(config + "}\n");
  json.commit();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || (std::string(argv[2]) != "bf16" && std::string(argv[2]) != "fp8")) {
    std::fprintf(stderr, "usage: make_model FOLDER bf16|fp8\n");
    return 2;
  }
  try {
    make(argv[1], std::string(argv[2]) == "fp8");
  } catch (const Error& e) {
    std::fprintf(stderr, "make_model: %s\n", e.message().c_str());
    return static_cast<int>(e.kind());
  }
}
