// Rows of floats as GGUF's blocks. kernels' decoders for them are in checkpoint/gguf_types.h.
//
// Bytes are those of ggml's reference quantisers (without an importance matrix) wherever their arithmetic is
// defined; where it is not (a scale whose inverse is no float), the block decodes to zeros.
#pragma once
#include <cstdint>

#include "io/gguf.h"

namespace ds::quant {

using io::GgufType;

// One type of block, and how n values, a multiple of block_values, become some.
struct GgufBlockRow {
  GgufType type;
  const char* name;
  int64_t block_values;
  float most;  // what is larger may overflow a binary16 scale
  void (*encode)(const float* x, int64_t n, uint8_t* out);
};
// nullptr for plain numbers.
const GgufBlockRow* find_gguf_blocks(GgufType type);

// 32 values. The value of largest magnitude becomes code 0, that is -8 (Q4_0) or -16 (Q5_0) times the scale:
// one of both signs is exact.
void encode_q4_0(const float* x, int64_t n, uint8_t* out);  // 18 bytes
void encode_q5_0(const float* x, int64_t n, uint8_t* out);  // 22
// Scale amax / 127, then int8 codes, half away from zero.
void encode_q8_0(const float* x, int64_t n, uint8_t* out);  // 34

// 256 values in 8 groups of 32, each with a scale and a minimum of six bits: for each group the best of 21
// scales by weighted squares, then scales and minima are rounded, then the codes found anew.
void encode_q4_k(const float* x, int64_t n, uint8_t* out);  // 144
// 256 values in 16 groups of 16, each with a scale of eight bits: the best of 19 by squares weighted with
// x^2.
void encode_q6_k(const float* x, int64_t n, uint8_t* out);  // 210

}  // namespace ds::quant
