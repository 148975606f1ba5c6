// Prefill on CPUs with VDPBF16PS: two bfloat16 products a lane and cycle. Weight pairs are broadcast straight
// from the file layout (BF16) or from a decoded strip (E4M3).
#include "kernels/cpu/vec_avx512.h"
// The panels need Vec first.
#include "kernels/cpu/bf16_panels.h"

namespace ds::kernels {
namespace {

constexpr int kTileRows = 12;

// c[r][0..32) += scale[r] * sum over n_pairs of w[r] pairs x panel pairs
template <int ROWS, bool SPLIT>
void tile(const char* w, int64_t w_stride_bytes, int64_t n_pairs, const char* panel, const float* scale,
          float* c, int64_t ldc) {
  constexpr int64_t kStride = kPanelTokens * 4 * (SPLIT ? 2 : 1);
  __m512 acc[ROWS][2];
  for (int r = 0; r < ROWS; ++r) acc[r][0] = acc[r][1] = _mm512_setzero_ps();
  for (int64_t k = 0; k < n_pairs; ++k, panel += kStride) {
    const __m512bh h0 = (__m512bh)_mm512_loadu_si512(panel), h1 = (__m512bh)_mm512_loadu_si512(panel + 64);
    __m512bh l0 = h0, l1 = h1;
    if constexpr (SPLIT) {
      l0 = (__m512bh)_mm512_loadu_si512(panel + 128);
      l1 = (__m512bh)_mm512_loadu_si512(panel + 192);
    }
    for (int r = 0; r < ROWS; ++r) {
      int pair;
      std::memcpy(&pair, w + r * w_stride_bytes + k * 4, 4);
      const __m512bh b = (__m512bh)_mm512_set1_epi32(pair);
      acc[r][0] = _mm512_dpbf16_ps(acc[r][0], h0, b);
      acc[r][1] = _mm512_dpbf16_ps(acc[r][1], h1, b);
      if constexpr (SPLIT) {
        acc[r][0] = _mm512_dpbf16_ps(acc[r][0], l0, b);
        acc[r][1] = _mm512_dpbf16_ps(acc[r][1], l1, b);
      }
    }
  }
  for (int r = 0; r < ROWS; ++r) {
    const __m512 s = _mm512_set1_ps(scale[r]);
    float* out = c + r * ldc;
    _mm512_storeu_ps(out, _mm512_fmadd_ps(acc[r][0], s, _mm512_loadu_ps(out)));
    _mm512_storeu_ps(out + 16, _mm512_fmadd_ps(acc[r][1], s, _mm512_loadu_ps(out + 16)));
  }
}

template <bool SPLIT>
void gemm_split(const MatmulTask& task, const float* packed, int64_t row_begin, int64_t row_end,
                float* scratch) {
  const WeightView& w = task.w;
  const int64_t n_rows = row_end - row_begin, ldc = round_up(task.T, kPanelTokens),
                n_panels = ldc / kPanelTokens;
  uint16_t* strip = reinterpret_cast<uint16_t*>(scratch);  // [kUnitRows, kStripCols]
  float* c = scratch + kUnitRows * kStripCols / 2;         // [kUnitRows, ldc]
  float scale[kUnitRows];
  std::memset(c, 0, n_rows * ldc * sizeof(float));
  for (int64_t k0 = 0; k0 < w.cols;) {
    const int64_t k1 = strip_end(w, k0), n_pairs = (k1 - k0 + 1) / 2;
    const char* rows = reinterpret_cast<const char*>(strip);
    int64_t stride = kStripCols * 2;
    if (w.dtype == DType::kBF16 && (k1 - k0) % 2 == 0) {
      rows = static_cast<const char*>(w.row(row_begin)) + k0 * 2;
      stride = w.row_bytes();
    } else {
      bf16_strip(w, row_begin, n_rows, n_rows, k0, k1 - k0, strip);
    }
    for (int64_t r = 0; r < n_rows; ++r) scale[r] = strip_scale(w, row_begin + r, k0);
    for (int64_t p = 0; p < n_panels; ++p) {
      const char* panel = reinterpret_cast<const char*>(packed + p * bf16_panel_floats(w.cols)) +
                          k0 / 2 * pair_stride_bytes(SPLIT);
      float* out = c + p * kPanelTokens;
      int64_t r = 0;
      for (; r + kTileRows <= n_rows; r += kTileRows)
        tile<kTileRows, SPLIT>(rows + r * stride, stride, n_pairs, panel, scale + r, out + r * ldc, ldc);
      for (; r < n_rows; ++r)
        tile<1, SPLIT>(rows + r * stride, stride, n_pairs, panel, scale + r, out + r * ldc, ldc);
    }
    k0 = k1;
  }
  store_sums(task, c, ldc, row_begin, n_rows);
}

void gemm(const MatmulTask& task, const float* packed, int64_t row_begin, int64_t row_end, float* scratch,
          bool split) {
  split ? gemm_split<true>(task, packed, row_begin, row_end, scratch)
        : gemm_split<false>(task, packed, row_begin, row_end, scratch);
}

}  // namespace

extern const GemmKernels kGemm_avx512bf16 = {"avx512bf16", kPanelTokens,        kUnitRows, bf16_panel_floats,
                                             bf16_pack,    bf16_scratch_floats, gemm};

}  // namespace ds::kernels
