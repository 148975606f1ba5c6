// Block-scaled E4M3: value(r, c) = code(r, c) * scale(r / block_rows, c / block_cols). The hot loops of
// ds-quantize, one block row (a band of at most block_rows rows) at a time.
//
// Every level gives the same bits: scales come from an exact maximum, encoding divides (or multiplies, as the
// recipe says) once in float32 and rounds to nearest even with saturation, error sums are kept in sixteen
// lanes whose order does not depend on the vector width.
#pragma once
#include <cstdint>

#include "core/cpu.h"
#include "core/dtype.h"

namespace ds::kernels {

// A band of a matrix in memory: rows `ld` elements apart.
struct Band {
  const void* data = nullptr;     // [rows, cols], any alignment
  DType dtype = DType::kUnknown;  // F32, F16 or BF16
  int64_t rows = 0, cols = 0, ld = 0;
  int64_t block_cols = 0;
  int64_t n_blocks() const { return block_cols > 0 ? (cols + block_cols - 1) / block_cols : 0; }
};

// How the quantised values differ from the originals, in units of the block's scale, lane = column in the
// block modulo 16. Add up what a block's rows give; total with double arithmetic.
struct BlockError {
  float signal[16] = {};     // sum of (x / scale)^2
  float error[16] = {};      // sum of (x / scale - code)^2
  float max_error[16] = {};  // max of |x / scale - code|
};

struct BlockQuantKernel {
  const char* name;
  // amax[b] = max(amax[b], bits of the largest |x| in column block b). Infinities and NaN have bits of at
  // least 0x7F800000, so they show up in the result.
  void (*amax)(const Band& band, uint32_t* amax_bits);
  // codes[r][c] = e4m3(x / factor[b]), or x * factor[b] when `multiply`. Finite input. errors: [n_blocks],
  // may be null.
  void (*encode)(const Band& band, const float* factors, bool multiply, uint8_t* codes, int64_t ld_codes,
                 BlockError* errors);
  // out[r][c] = bf16(code * scales[b]); codes 0x7F and 0xFF give NaN. Scales are finite.
  void (*decode_bf16)(const uint8_t* codes, int64_t rows, int64_t cols, int64_t ld, int64_t block_cols,
                      const float* scales, uint16_t* out, int64_t ld_out);
  // The same, not rounded.
  void (*decode_f32)(const uint8_t* codes, int64_t rows, int64_t cols, int64_t ld, int64_t block_cols,
                     const float* scales, float* out, int64_t ld_out);
};
const BlockQuantKernel& block_quant_kernel(Isa isa);

}  // namespace ds::kernels
