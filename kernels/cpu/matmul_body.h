// The matrix products of matmul.h over a Vec of any width. Included once by each matmul_<isa>.cpp, after its
// vec_*.h.
#pragma once
#include <cstdint>
#include <cstring>

#include "kernels/matmul_kernels.h"

namespace ds::kernels {
namespace {

struct F32Weight {
  static constexpr int kBytes = 4;
  static constexpr float kFactor = 1;
  static Vec load(const char* p) { return Vec::load_f32(p); }
};
struct BF16Weight {
  static constexpr int kBytes = 2;
  static constexpr float kFactor = 1;
  static Vec load(const char* p) { return Vec::load_bf16(p); }
};
struct F16Weight {
  static constexpr int kBytes = 2;
  static constexpr float kFactor = 1;
  static Vec load(const char* p) { return Vec::load_f16(p); }
};
struct E4M3Weight {
  static constexpr int kBytes = 1;
  static constexpr float kFactor = Vec::kE4M3Factor;
  static Vec load(const char* p) { return Vec::load_e4m3(p); }
};

// The last n < kLanes elements of a row, padded with zeros.
template <class W>
Vec load_tail(const char* p, int64_t n) {
  char padded[Vec::kLanes * W::kBytes] = {};
  std::memcpy(padded, p, n * W::kBytes);
  return W::load(padded);
}
inline Vec load_tail_floats(const float* p, int64_t n) {
  float padded[Vec::kLanes] = {};
  std::memcpy(padded, p, n * 4);
  return Vec::load(padded);
}
inline void store_tail(Vec v, float* p, int64_t n) {
  float all[Vec::kLanes];
  v.store(all);
  std::memcpy(p, all, n * 4);
}

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// The scales of row r, one per column block, or nullptr.
inline const float* row_scales(const WeightView& w, int64_t r) {
  return w.scales ? w.scales + (w.first_row + r) / w.block_rows * w.n_col_blocks() : nullptr;
}
inline int64_t column_block(const WeightView& w) {
  return w.scales ? w.block_cols : (w.cols > 0 ? w.cols : 1);
}

// Longer activations than this do not stay in the first-level cache: several rows share them. Shorter ones
// are read anew for every row, which streams best from memory, and then one sum would wait for its own FMA:
// it is added up in kChains parts. Both follow from the row alone, so that a token's bits do not depend on
// how many are multiplied with it.
constexpr int64_t kLongCols = 4096;
constexpr int kShortChains = 4;

// sum[r][t] = sum_i row_r[i] * x_t[i] over columns [begin, end), NR rows and NT tokens at a time: each vector
// of activations is loaded once for all rows, each vector of weights is decoded once for all tokens.
template <class W, int NR, int NT, int kChains>
inline void dot_block(const char* rows, int64_t row_bytes, int64_t prefetch_bytes, const float* x,
                      int64_t ldx, int64_t begin, int64_t end, Vec (&sum)[NR][NT]) {
  constexpr int kLanes = Vec::kLanes;
  constexpr int kVecsPerLine = 64 / (kLanes * W::kBytes) > 1 ? 64 / (kLanes * W::kBytes) : 1;
  constexpr int kVecs =
      kVecsPerLine > kChains ? kVecsPerLine : kChains;  // of one iteration: whole cache lines
  Vec acc[NR][NT][kChains];
  for (int r = 0; r < NR; ++r)
    for (int t = 0; t < NT; ++t)
      for (int c = 0; c < kChains; ++c) acc[r][t][c] = Vec::zero();
  int64_t i = begin;
  for (; i + kLanes * kVecs <= end; i += kLanes * kVecs) {
    const char* p = rows + i * W::kBytes;
    if (prefetch_bytes) {
      for (int r = 0; r < NR; ++r)
        for (int line = 0; line < kLanes * kVecs * W::kBytes; line += 64)
          prefetch(p + r * row_bytes + prefetch_bytes + line);
    }
    for (int v = 0; v < kVecs; ++v) {
      Vec xv[NT];
      for (int t = 0; t < NT; ++t) xv[t] = Vec::load(x + t * ldx + i + v * kLanes);
      for (int r = 0; r < NR; ++r) {
        const Vec w = W::load(p + r * row_bytes + v * kLanes * W::kBytes);
        for (int t = 0; t < NT; ++t) acc[r][t][v % kChains] = fma(w, xv[t], acc[r][t][v % kChains]);
      }
    }
  }
  for (; i < end; i += kLanes) {
    const int64_t n = smaller(kLanes, end - i);
    for (int t = 0; t < NT; ++t) {
      const Vec xv = n == kLanes ? Vec::load(x + t * ldx + i) : load_tail_floats(x + t * ldx + i, n);
      for (int r = 0; r < NR; ++r) {
        const char* p = rows + r * row_bytes + i * W::kBytes;
        acc[r][t][0] = fma(n == kLanes ? W::load(p) : load_tail<W>(p, n), xv, acc[r][t][0]);
      }
    }
  }
  for (int r = 0; r < NR; ++r) {
    for (int t = 0; t < NT; ++t) {
      sum[r][t] = acc[r][t][0];
      for (int c = 1; c < kChains; ++c) sum[r][t] = sum[r][t] + acc[r][t][c];
    }
  }
}

template <class W, int NR, int NT, int kChains>
void gemv_tile(const MatmulTask& task, int64_t row_bytes, int64_t t0, int64_t row) {
  const WeightView& w = task.w;
  const float* x = task.x + t0 * task.ldx;
  const int64_t block = column_block(w);
  const float* scales[NR];
  Vec total[NR][NT];
  for (int r = 0; r < NR; ++r) {
    scales[r] = row_scales(w, row + r);
    for (int t = 0; t < NT; ++t) total[r][t] = Vec::zero();
  }
  for (int64_t begin = 0, b = 0; begin < w.cols; begin += block, ++b) {
    Vec sum[NR][NT];
    dot_block<W, NR, NT, kChains>(static_cast<const char*>(w.data) + row * row_bytes, row_bytes,
                                  task.prefetch_bytes, x, task.ldx, begin, smaller(begin + block, w.cols),
                                  sum);
    for (int r = 0; r < NR; ++r) {
      const Vec scale = Vec::set1((scales[r] ? scales[r][b] : 1.0f) * W::kFactor);
      for (int t = 0; t < NT; ++t) total[r][t] = fma(sum[r][t], scale, total[r][t]);
    }
  }
  for (int r = 0; r < NR; ++r) {
    const float bias = w.bias ? w.bias[row + r] : 0.0f;
    for (int t = 0; t < NT; ++t) task.y[(t0 + t) * task.ldy + row + r] = total[r][t].sum() + bias;
  }
}

// Rows share a tile by the unit they are in, and units follow from the task's shape: never from threads.
template <class W, int NT>
void gemv_tokens(const MatmulTask& task, int64_t t0, int64_t row_begin, int64_t row_end) {
  constexpr int kRows = 8 / NT;  // sums that the registers hold
  const int64_t row_bytes = task.w.row_bytes();
  int64_t row = row_begin;
  if (task.w.cols > kLongCols) {
    for (; row + kRows <= row_end; row += kRows) gemv_tile<W, kRows, NT, 1>(task, row_bytes, t0, row);
    for (; row < row_end; ++row) gemv_tile<W, 1, NT, 1>(task, row_bytes, t0, row);
  } else {
    for (; row < row_end; ++row) gemv_tile<W, 1, NT, kShortChains>(task, row_bytes, t0, row);
  }
}

template <class W>
void gemv_weight(const MatmulTask& task, int64_t row_begin, int64_t row_end) {
  const bool four = task.w.cols > kLongCols || Vec::kLanes == 16;  // sums of four tokens fit the registers
  int64_t t = 0;
  if (four)
    for (; t + 4 <= task.T; t += 4) gemv_tokens<W, 4>(task, t, row_begin, row_end);
  for (; t + 2 <= task.T; t += 2) gemv_tokens<W, 2>(task, t, row_begin, row_end);
  if (t < task.T) gemv_tokens<W, 1>(task, t, row_begin, row_end);
}

// Blocks with their scales within: a piece of a row is decoded once, then multiplied with every token as
// float32. y holds the sums until all pieces are done.
constexpr int64_t kPieceCols = 1024;  // whole blocks of every format

template <int NT>
void add_piece(const MatmulTask& task, int64_t t0, int64_t row, const float* piece, int64_t begin,
               int64_t end) {
  Vec sum[1][NT];
  dot_block<F32Weight, 1, NT, kShortChains>(reinterpret_cast<const char*>(piece), 0, 0,
                                            task.x + t0 * task.ldx + begin, task.ldx, 0, end - begin, sum);
  for (int t = 0; t < NT; ++t) task.y[(t0 + t) * task.ldy + row] += sum[0][t].sum();
}

inline const std::byte* block_at(const WeightView& w, int64_t row, int64_t col) {
  return static_cast<const std::byte*>(w.row(row)) + w.blocks->bytes_of(col);
}

inline void gemv_blocks(const MatmulTask& task, int64_t row_begin, int64_t row_end) {
  const WeightView& w = task.w;
  float piece[kPieceCols];
  for (int64_t row = row_begin; row < row_end; ++row) {
    for (int64_t t = 0; t < task.T; ++t) task.y[t * task.ldy + row] = w.bias ? w.bias[row] : 0.0f;
    for (int64_t begin = 0; begin < w.cols; begin += kPieceCols) {
      const int64_t end = smaller(begin + kPieceCols, w.cols);
      w.blocks->decode_row(block_at(w, row, begin), end - begin, piece);
      int64_t t = 0;
      for (; t + 4 <= task.T; t += 4) add_piece<4>(task, t, row, piece, begin, end);
      for (; t < task.T; ++t) add_piece<1>(task, t, row, piece, begin, end);
    }
  }
}

inline void gemv(const MatmulTask& task, int64_t row_begin, int64_t row_end) {
  if (task.w.blocks) return gemv_blocks(task, row_begin, row_end);
  switch (task.w.dtype) {
    case DType::kF32:
      return gemv_weight<F32Weight>(task, row_begin, row_end);
    case DType::kF16:
      return gemv_weight<F16Weight>(task, row_begin, row_end);
    case DType::kBF16:
      return gemv_weight<BF16Weight>(task, row_begin, row_end);
    default:
      return gemv_weight<E4M3Weight>(task, row_begin, row_end);
  }
}

// y[c] += x * scale * w[c] row by row, NV vectors of columns at a time within one scale block.
template <class W, int NV>
void transposed_columns(const MatmulTask& task, int64_t t, int64_t col, int64_t tail) {
  const WeightView& w = task.w;
  const float* x = task.x + t * task.ldx;
  Vec acc[NV];
  for (int i = 0; i < NV; ++i) acc[i] = Vec::zero();
  for (int64_t r = 0; r < w.rows; ++r) {
    const float* scales = row_scales(w, r);
    const Vec xr = Vec::set1(x[r] * (scales ? scales[col / w.block_cols] : 1.0f) * W::kFactor);
    const char* p = static_cast<const char*>(w.row(r)) + col * W::kBytes;
    if (tail) {
      acc[0] = fma(xr, load_tail<W>(p, tail), acc[0]);
    } else {
      for (int i = 0; i < NV; ++i) acc[i] = fma(xr, W::load(p + i * Vec::kLanes * W::kBytes), acc[i]);
    }
  }
  float* y = task.y + t * task.ldy + col;
  if (tail) {
    store_tail(acc[0], y, tail);
  } else {
    for (int i = 0; i < NV; ++i) acc[i].store(y + i * Vec::kLanes);
  }
}

template <class W>
void gemv_transposed_weight(const MatmulTask& task, int64_t t_begin, int64_t t_end) {
  const int64_t block = column_block(task.w);
  for (int64_t t = t_begin; t < t_end; ++t) {
    for (int64_t begin = 0; begin < task.w.cols; begin += block) {
      const int64_t end = smaller(begin + block, task.w.cols);
      int64_t c = begin;
      for (; c + 8 * Vec::kLanes <= end; c += 8 * Vec::kLanes) transposed_columns<W, 8>(task, t, c, 0);
      for (; c + Vec::kLanes <= end; c += Vec::kLanes) transposed_columns<W, 1>(task, t, c, 0);
      if (c < end) transposed_columns<W, 1>(task, t, c, end - c);
    }
  }
}

inline void gemv_transposed_blocks(const MatmulTask& task, int64_t t_begin, int64_t t_end) {
  const WeightView& w = task.w;
  float piece[kPieceCols];
  for (int64_t t = t_begin; t < t_end; ++t) {
    float* y = task.y + t * task.ldy;
    for (int64_t c = 0; c < w.cols; ++c) y[c] = 0;
    for (int64_t begin = 0; begin < w.cols; begin += kPieceCols) {
      const int64_t n = smaller(kPieceCols, w.cols - begin);
      for (int64_t r = 0; r < w.rows; ++r) {
        const float xr = task.x[t * task.ldx + r];
        w.blocks->decode_row(block_at(w, r, begin), n, piece);
        for (int64_t c = 0; c < n; ++c) y[begin + c] += xr * piece[c];
      }
    }
  }
}

inline void gemv_transposed(const MatmulTask& task, int64_t t_begin, int64_t t_end) {
  if (task.w.blocks) return gemv_transposed_blocks(task, t_begin, t_end);
  switch (task.w.dtype) {
    case DType::kF32:
      return gemv_transposed_weight<F32Weight>(task, t_begin, t_end);
    case DType::kF16:
      return gemv_transposed_weight<F16Weight>(task, t_begin, t_end);
    case DType::kBF16:
      return gemv_transposed_weight<BF16Weight>(task, t_begin, t_end);
    default:
      return gemv_transposed_weight<E4M3Weight>(task, t_begin, t_end);
  }
}

// out[i] = w[row, begin + i], i < end - begin, scaled.
template <class W>
void dequantize_range(const WeightView& w, int64_t row, int64_t begin, int64_t end, float* out) {
  const char* p = static_cast<const char*>(w.row(row));
  const float* scales = row_scales(w, row);
  const int64_t block = column_block(w);
  for (int64_t c = begin; c < end;) {
    const int64_t stop = smaller((c / block + 1) * block, end);
    const Vec scale = Vec::set1((scales ? scales[c / block] : 1.0f) * W::kFactor);
    for (; c + Vec::kLanes <= stop; c += Vec::kLanes)
      (W::load(p + c * W::kBytes) * scale).store(out + (c - begin));
    if (c < stop) store_tail(load_tail<W>(p + c * W::kBytes, stop - c) * scale, out + (c - begin), stop - c);
    c = stop;
  }
}
// begin and end: whole blocks.
inline void dequantize(const WeightView& w, int64_t row, int64_t begin, int64_t end, float* out) {
  if (w.blocks) return w.blocks->decode_row(block_at(w, row, begin), end - begin, out);
  switch (w.dtype) {
    case DType::kF32:
      return dequantize_range<F32Weight>(w, row, begin, end, out);
    case DType::kF16:
      return dequantize_range<F16Weight>(w, row, begin, end, out);
    case DType::kBF16:
      return dequantize_range<BF16Weight>(w, row, begin, end, out);
    default:
      return dequantize_range<E4M3Weight>(w, row, begin, end, out);
  }
}
inline void dequantize_whole_row(const WeightView& w, int64_t row, float* out) {
  dequantize(w, row, 0, w.cols, out);
}

// ---- many tokens ----
// Packed activations: [panel][in][panel_tokens] f32. A unit decodes a strip of weights [unit_rows,
// kStripCols] to f32 once and runs it against every panel; sums live in `c` [unit_rows, T padded] until all
// columns are done.
constexpr int64_t kStripCols = 256;
constexpr int64_t kPanelTokens = Vec::kGemmVecs * Vec::kLanes;
constexpr int64_t kUnitRows = Vec::kGemmRows * (48 / Vec::kGemmRows);

inline int64_t padded_tokens(int64_t T) { return (T + kPanelTokens - 1) / kPanelTokens * kPanelTokens; }
inline int64_t gemm_panel_floats(int64_t in) { return in * kPanelTokens; }
inline int64_t gemm_scratch_floats(int64_t T) { return kUnitRows * (kStripCols + padded_tokens(T)); }

inline void gemm_pack(const float* x, int64_t ldx, int64_t T, int64_t in, int64_t panel, float* packed,
                      bool) {
  for (int64_t lane = 0; lane < kPanelTokens; ++lane) {
    const int64_t t = panel * kPanelTokens + lane;
    const float* from = x + t * ldx;
    for (int64_t i = 0; i < in; ++i) packed[i * kPanelTokens + lane] = t < T ? from[i] : 0.0f;
  }
}

// c[r][0..panel) += sum_k strip[r][k] * panel[k]
template <int ROWS>
void gemm_tile(const float* strip, int64_t n_k, const float* panel, float* c, int64_t ldc) {
  constexpr int kVecs = Vec::kGemmVecs;
  Vec acc[ROWS][kVecs];
  for (int r = 0; r < ROWS; ++r)
    for (int v = 0; v < kVecs; ++v) acc[r][v] = Vec::load(c + r * ldc + v * Vec::kLanes);
  for (int64_t k = 0; k < n_k; ++k) {
    Vec x[kVecs];
    for (int v = 0; v < kVecs; ++v) x[v] = Vec::load(panel + k * kPanelTokens + v * Vec::kLanes);
    for (int r = 0; r < ROWS; ++r) {
      const Vec w = Vec::set1(strip[r * kStripCols + k]);
      for (int v = 0; v < kVecs; ++v) acc[r][v] = fma(w, x[v], acc[r][v]);
    }
  }
  for (int r = 0; r < ROWS; ++r)
    for (int v = 0; v < kVecs; ++v) acc[r][v].store(c + r * ldc + v * Vec::kLanes);
}

inline void gemm(const MatmulTask& task, const float* packed, int64_t row_begin, int64_t row_end,
                 float* scratch, bool) {
  const WeightView& w = task.w;
  const int64_t n_rows = row_end - row_begin, ldc = padded_tokens(task.T);
  const int64_t n_panels = ldc / kPanelTokens;
  float* strip = scratch;                       // [kUnitRows, kStripCols]
  float* c = scratch + kUnitRows * kStripCols;  // [kUnitRows, ldc]
  std::memset(c, 0, n_rows * ldc * sizeof(float));
  for (int64_t k0 = 0; k0 < w.cols; k0 += kStripCols) {
    const int64_t n_k = smaller(kStripCols, w.cols - k0);
    for (int64_t r = 0; r < n_rows; ++r) dequantize(w, row_begin + r, k0, k0 + n_k, strip + r * kStripCols);
    for (int64_t p = 0; p < n_panels; ++p) {
      const float* panel = packed + p * gemm_panel_floats(w.cols) + k0 * kPanelTokens;
      int64_t r = 0;
      for (; r + Vec::kGemmRows <= n_rows; r += Vec::kGemmRows)
        gemm_tile<Vec::kGemmRows>(strip + r * kStripCols, n_k, panel, c + r * ldc + p * kPanelTokens, ldc);
      for (; r < n_rows; ++r)
        gemm_tile<1>(strip + r * kStripCols, n_k, panel, c + r * ldc + p * kPanelTokens, ldc);
    }
  }
  for (int64_t t = 0; t < task.T; ++t)
    for (int64_t r = 0; r < n_rows; ++r)
      task.y[t * task.ldy + row_begin + r] = c[r * ldc + t] + (w.bias ? w.bias[row_begin + r] : 0.0f);
}

}  // namespace
}  // namespace ds::kernels
