// What an adapter adds to a matrix: y += scale * B (A x) (LoRA, Hu et al. 2021). Owns nothing.
struct LowRank {
  const float* a = nullptr;  // [r, in]
  const float* b = nullptr;  // [out, r]
  int64_t r = 0;
  float scale = 1;
};

// A matrix as the checkpoint stores it. Owns nothing; FP8 stays FP8 in memory, blocks stay blocks.
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "kernels/tensor_format.h"

namespace ds::kernels {

struct WeightView {
  const void* data = nullptr;     // [rows, cols] row-major, any alignment
  DType dtype = DType::kUnknown;  // F32, F16, BF16 or F8_E4M3; kUnknown: `blocks`
  // Values in blocks with their scales within, decoded piece by piece; cols is whole blocks. No `scales`
  // then.
  const TensorFormat* blocks = nullptr;
  int64_t rows = 0, cols = 0;
  const float* bias = nullptr;  // [rows] or none

  // Block scaling: value(r, c) = element * scales[(first_row + r) / block_rows][c / block_cols]. Block shape
  // comes from the file; scale types other than F32 are decoded when the weights are bound.
  const float* scales = nullptr;  // [ceil((first_row + rows) / block_rows), n_col_blocks] or none
  int64_t block_rows = 0, block_cols = 0;
  int64_t first_row = 0;  // where `data` starts in the matrix that `scales` and `low_rank` describe

  const LowRank* low_rank = nullptr;  // an adapter beside it, or none

  int64_t n_col_blocks() const { return (cols + block_cols - 1) / block_cols; }
  int64_t row_bytes() const { return blocks ? blocks->bytes_of(cols) : cols * dtype_bytes(dtype); }
  const void* row(int64_t r) const { return static_cast<const char*>(data) + r * row_bytes(); }

  // Rows [begin, begin + n) as a matrix of their own.
  WeightView rows_from(int64_t begin, int64_t n) const {
    WeightView part = *this;
    part.data = row(begin);
    part.rows = n;
    part.bias = bias ? bias + begin : nullptr;
    part.first_row = first_row + begin;
    return part;
  }
};

}  // namespace ds::kernels
