#include "quant/gguf_mixture.h"

#include <cstdio>

#include "quant/gguf_blocks.h"

namespace ds::quant {
namespace {

bool is_wanted_finer(const std::string& name, int64_t n_layers) {
  int layer = 0;
  if (std::sscanf(name.c_str(), "blk.%6d.", &layer) != 1) return false;
  if (name.find("attn_v.weight") == std::string::npos && name.find("ffn_down") == std::string::npos)
    return false;
  return layer < n_layers / 8 || layer >= 7 * n_layers / 8 || (layer - n_layers / 8) % 3 == 2;
}

}  // namespace

GgufType GgufMixture::wanted(const std::string& name, const std::vector<int64_t>& shape) const {
  if (shape.size() < 2 || name.find("ffn_gate_inp") != std::string::npos) return GgufType::kF32;
  const bool is_four_bits = wide == GgufType::kQ4_0 || wide == GgufType::kQ4_K;
  if (is_four_bits && name == (is_tied ? "token_embd.weight" : "output.weight")) return GgufType::kQ6_K;
  if (wide == GgufType::kQ4_K && is_wanted_finer(name, n_layers)) return GgufType::kQ6_K;
  return wide;
}

GgufType fitting(GgufType wanted, int64_t cols) {
  const GgufBlockRow* blocks = find_gguf_blocks(wanted);
  if (!blocks || cols % blocks->block_values == 0) return wanted;
  if (cols % 32 != 0) return GgufType::kBF16;
  return wanted == GgufType::kQ4_K ? GgufType::kQ5_0 : GgufType::kQ8_0;
}

const char* gguf_type_name(GgufType type) {
  if (const GgufBlockRow* blocks = find_gguf_blocks(type)) return blocks->name;
  return type == GgufType::kF32 ? "F32" : type == GgufType::kF16 ? "F16" : "BF16";
}

int gguf_file_type(GgufType wide) {
  switch (wide) {
    case GgufType::kF32:
      return 0;
    case GgufType::kF16:
      return 1;
    case GgufType::kQ4_0:
      return 2;
    case GgufType::kQ8_0:
      return 7;
    case GgufType::kQ5_0:
      return 8;
    case GgufType::kQ4_K:
      return 15;
    case GgufType::kQ6_K:
      return 18;
    case GgufType::kBF16:
      break;
  }
  return 32;
}

}  // namespace ds::quant
