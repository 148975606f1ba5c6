// Activations and weight strips as pairs of bfloat16, the layout that VDPBF16PS and AMX tiles read.
// Included after a vec_*.h by matmul_avx512bf16.cpp and the AMX files.
//
// A packed panel holds kPanelTokens tokens: for each pair of inputs (2k, 2k+1) the tokens' pairs side by
// side, first the leading bfloat16 terms, then (split) the terms left over: x = hi + lo to 2^-17. Inputs are
// padded to kPadIn.
#pragma once
#include <cstdint>
#include <cstring>

#include "kernels/matmul_kernels.h"

namespace ds::kernels {
namespace {

constexpr int64_t kPanelTokens = 32;
constexpr int64_t kPadIn = 32;       // one AMX tile's worth of inputs
constexpr int64_t kStripCols = 256;  // inputs that one pass over the panels covers
constexpr int64_t kUnitRows = 48;

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// Bytes from one pair of inputs to the next within a panel.
inline int64_t pair_stride_bytes(bool split) { return kPanelTokens * 4 * (split ? 2 : 1); }
inline int64_t bf16_panel_floats(int64_t in) { return round_up(in, kPadIn) / 2 * kPanelTokens * 2; }
inline int64_t bf16_scratch_floats(int64_t T) {
  return kUnitRows * (kStripCols / 2 + round_up(T, kPanelTokens)) + 16;
}

inline uint16_t round_to_bf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}
inline float widen(uint16_t h) {
  const uint32_t bits = static_cast<uint32_t>(h) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

inline void bf16_pack(const float* x, int64_t ldx, int64_t T, int64_t in, int64_t panel, float* packed,
                      bool split) {
  const int64_t stride = pair_stride_bytes(split) / 2, padded = round_up(in, kPadIn);
  uint16_t* out = reinterpret_cast<uint16_t*>(packed);
  std::memset(packed, 0, padded / 2 * pair_stride_bytes(split));
  for (int64_t lane = 0; lane < kPanelTokens; ++lane) {
    const int64_t t = panel * kPanelTokens + lane;
    if (t >= T) return;
    const float* from = x + t * ldx;
    for (int64_t i = 0; i < in; ++i) {
      uint16_t* pair = out + i / 2 * stride + lane * 2 + (i & 1);
      const uint16_t hi = round_to_bf16(from[i]);
      pair[0] = hi;
      if (split) pair[kPanelTokens * 2] = round_to_bf16(from[i] - widen(hi));
    }
  }
}

// Weights [row_begin, +n_rows) x [k0, +n_k) as bfloat16 [n_rows, kStripCols], zero-padded to n_rows_padded
// rows and kPadIn inputs. E4M3 codes are exact in bfloat16; their scale is applied to the sums.
inline void bf16_strip(const WeightView& w, int64_t row_begin, int64_t n_rows, int64_t n_rows_padded,
                       int64_t k0, int64_t n_k, uint16_t* strip) {
  const int64_t n_k_padded = round_up(n_k, kPadIn);
  for (int64_t r = 0; r < n_rows_padded; ++r) {
    uint16_t* out = strip + r * kStripCols;
    if (r >= n_rows) {
      std::memset(out, 0, n_k_padded * 2);
      continue;
    }
    const char* row = static_cast<const char*>(w.row(row_begin + r));
    if (w.dtype == DType::kBF16) {
      std::memcpy(out, row + k0 * 2, n_k * 2);
    } else {
      const Vec factor = Vec::set1(Vec::kE4M3Factor);
      int64_t k = 0;
      for (; k + Vec::kLanes <= n_k; k += Vec::kLanes) {
        float values[Vec::kLanes];
        (Vec::load_e4m3(row + k0 + k) * factor).store(values);
        for (int i = 0; i < Vec::kLanes; ++i) {
          uint32_t bits;
          std::memcpy(&bits, &values[i], 4);
          out[k + i] = static_cast<uint16_t>(bits >> 16);
        }
      }
      if (k < n_k) {
        char padded[Vec::kLanes] = {};
        float values[Vec::kLanes];
        std::memcpy(padded, row + k0 + k, n_k - k);
        (Vec::load_e4m3(padded) * factor).store(values);
        for (int64_t i = 0; k + i < n_k; ++i) {
          uint32_t bits;
          std::memcpy(&bits, &values[i], 4);
          out[k + i] = static_cast<uint16_t>(bits >> 16);
        }
      }
    }
    std::memset(out + n_k, 0, (n_k_padded - n_k) * 2);
  }
}

// Where the column run that starts at k0 ends: a strip never crosses a scale block.
inline int64_t strip_end(const WeightView& w, int64_t k0) {
  const int64_t end = smaller(k0 + kStripCols, w.cols);
  return w.scales ? smaller(end, (k0 / w.block_cols + 1) * w.block_cols) : end;
}
inline float strip_scale(const WeightView& w, int64_t row, int64_t k0) {
  return w.scales ? w.scales[(w.first_row + row) / w.block_rows * w.n_col_blocks() + k0 / w.block_cols]
                  : 1.0f;
}

// y[t, row_begin + r] = c[r, t] + bias
inline void store_sums(const MatmulTask& task, const float* c, int64_t ldc, int64_t row_begin,
                       int64_t n_rows) {
  for (int64_t t = 0; t < task.T; ++t)
    for (int64_t r = 0; r < n_rows; ++r)
      task.y[t * task.ldy + row_begin + r] =
          c[r * ldc + t] + (task.w.bias ? task.w.bias[row_begin + r] : 0.0f);
}

}  // namespace
}  // namespace ds::kernels
