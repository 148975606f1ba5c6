// Which tensor of a GGUF gets which type, when its matrices are asked for in one.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "io/gguf.h"

namespace ds::quant {

using io::GgufType;

struct GgufMixture {
  GgufType wide = GgufType::kBF16;  // what was asked for
  int64_t n_layers = 0;
  bool is_tied = false;  // the embeddings are the head, too

  // As llama-quantize has it for Q4_0, Q4_K_M, Q6_K and Q8_0, but for what it adds for models of 80 layers or
  // of 8 experts:
  //
  //   vectors, routers              F32
  //   head, or embeddings as head   Q6_K, also beside Q4_0
  //   attn_v, ffn_down              Q6_K beside Q4_K: in the first and last eighth, and every third layer
  //   between
  GgufType wanted(const std::string& name, const std::vector<int64_t>& shape) const;
};

// The type itself, or what stands in for it where the columns are no whole blocks: Q5_0 for Q4_K, Q8_0 for
// Q6_K, BF16 for those of 32.
GgufType fitting(GgufType wanted, int64_t cols);
const char* gguf_type_name(GgufType type);
// llama.cpp's number for the whole file: general.file_type.
int gguf_file_type(GgufType wide);

}  // namespace ds::quant
