// Prefill on AMX tiles: 32 weight rows x 32 tokens in four accumulator tiles. The weight is the A operand:
// sixteen rows of 32 bfloat16 load straight from the file layout; a packed panel is the B operand as it
// stands. Included after a Tiles and a Vec type: the hardware's in matmul_amx.cpp, plain C++ in
// matmul_amx_emulated.cpp.
//
// Tiles: 0..3 accumulators (row half x token half), 4 5 weights, 6 7 activations.
#pragma once
#include "kernels/cpu/bf16_panels.h"

namespace ds::kernels {
namespace {

constexpr int64_t kTileRows = 32;  // two tiles
constexpr int64_t kAmxUnitRows = 32;
static_assert(kAmxUnitRows <= kUnitRows);

// out [32][32] = sum over n_k inputs (a multiple of 32) of weight rows x panel
template <class Tiles>
void amx_tile(Tiles& tiles, const char* w, int64_t w_stride_bytes, int64_t n_k, const char* panel, bool split,
              float* out) {
  const int64_t stride = pair_stride_bytes(split);
  tiles.zero_sums();
  for (int64_t k = 0; k < n_k; k += 32) {
    tiles.load_weights(w + k * 2, w + 16 * w_stride_bytes + k * 2, w_stride_bytes);
    const char* b = panel + k / 2 * stride;
    tiles.load_activations(b, b + 64, stride);
    tiles.multiply();
    if (split) {
      tiles.load_activations(b + kPanelTokens * 4, b + kPanelTokens * 4 + 64, stride);
      tiles.multiply();
    }
  }
  tiles.store_sums(out, 32 * 4);
}

template <class Tiles>
void amx_gemm(const MatmulTask& task, const float* packed, int64_t row_begin, int64_t row_end, float* scratch,
              bool split) {
  const WeightView& w = task.w;
  const int64_t n_rows = row_end - row_begin, ldc = round_up(task.T, kPanelTokens),
                n_panels = ldc / kPanelTokens;
  uint16_t* strip = reinterpret_cast<uint16_t*>(scratch);  // [32, kStripCols]
  float* c = scratch + kUnitRows * kStripCols / 2;         // [32, ldc]
  alignas(64) float sums[32 * 32];
  std::memset(c, 0, n_rows * ldc * sizeof(float));
  Tiles tiles;
  for (int64_t k0 = 0; k0 < w.cols;) {
    const int64_t k1 = strip_end(w, k0), n_k = round_up(k1 - k0, 32);
    const char* rows = reinterpret_cast<const char*>(strip);
    int64_t stride = kStripCols * 2;
    if (w.dtype == DType::kBF16 && k1 - k0 == n_k && n_rows == kTileRows) {
      rows = static_cast<const char*>(w.row(row_begin)) + k0 * 2;
      stride = w.row_bytes();
    } else {
      bf16_strip(w, row_begin, n_rows, kTileRows, k0, k1 - k0, strip);
    }
    for (int64_t p = 0; p < n_panels; ++p) {
      const char* panel = reinterpret_cast<const char*>(packed + p * bf16_panel_floats(w.cols)) +
                          k0 / 2 * pair_stride_bytes(split);
      amx_tile(tiles, rows, stride, n_k, panel, split, sums);
      for (int64_t r = 0; r < n_rows; ++r) {
        const float scale = strip_scale(w, row_begin + r, k0);
        float* out = c + r * ldc + p * kPanelTokens;
        for (int64_t t = 0; t < kPanelTokens; ++t) out[t] += sums[r * 32 + t] * scale;
      }
    }
    k0 = k1;
  }
  store_sums(task, c, ldc, row_begin, n_rows);
}

}  // namespace
}  // namespace ds::kernels
