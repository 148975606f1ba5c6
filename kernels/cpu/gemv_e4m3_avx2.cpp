// Decode of E4M3 weights with AVX2. A code shifted right by four within 16 bits, sign kept, is the bfloat16
// of its value / 2^120; half of a 32-bit lane each, two of them become float32 by a mask and by a shift. That
// is nine operations for 32 weights, where converting through binary16 takes twenty. E4M3's subnormals become
// float32 subnormals, which multiply exactly. Activations are first brought into the order in which this
// delivers weights, and multiplied by 2^80, so that products stay far from float32's own limits.
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/matmul_kernels.h"

namespace ds::kernels {
namespace {

constexpr int64_t kGroup = 32;                                 // weights of one vector of bytes
constexpr float kInputFactor = 0x1p80f, kSumFactor = 0x1p40f;  // 2^120 / 2^80
constexpr uint8_t kNaN = 0x7F;                                 // magnitude code

int64_t groups(int64_t in) { return (in + kGroup - 1) / kGroup; }
// A token is [group][4][8]: vector k holds inputs 4 * lane + k of the group.
int64_t prepared_floats(int64_t T, int64_t in) { return T * groups(in) * kGroup; }

void prepare(const float* x, int64_t ldx, int64_t T, int64_t in, float* prepared) {
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t g = 0; g < groups(in); ++g, prepared += kGroup) {
      float inputs[kGroup] = {};
      const int64_t n = in - g * kGroup < kGroup ? in - g * kGroup : kGroup;
      std::memcpy(inputs, x + t * ldx + g * kGroup, n * sizeof(float));
      for (int k = 0; k < 4; ++k)
        for (int lane = 0; lane < 8; ++lane) prepared[8 * k + lane] = inputs[4 * lane + k] * kInputFactor;
    }
  }
}

__m256i load_tail(const char* p, int64_t n) {
  char padded[kGroup] = {};
  std::memcpy(padded, p, n);
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(padded));
}

// Vectors 0 and 2 (even) or 1 and 3 (odd bytes at the top of 16 bits) of the codes, as weights / 2^120.
struct Pair {
  __m256 low, high;
};
Pair weights(__m256i codes) {
  const __m256i bf16 =
      _mm256_and_si256(_mm256_srai_epi16(codes, 4), _mm256_set1_epi16(static_cast<short>(0x87F0)));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(bf16, 16)),
          _mm256_castsi256_ps(_mm256_and_si256(bf16, _mm256_set1_epi32(static_cast<int>(0xFFFF0000))))};
}

float sum(__m256 v) {
  const __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}

bool has_nan(const char* row, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    if ((row[i] & 0x7F) == kNaN) return true;
  return false;
}

// kChains independent sums hide the latency of FMA.
template <int NR, int NT, int kChains>
void tile(const MatmulTask& task, int64_t t0, int64_t row) {
  const WeightView& w = task.w;
  const int64_t n_groups = groups(w.cols), token_floats = n_groups * kGroup;
  const int64_t block_groups = w.scales ? (w.block_cols + kGroup - 1) / kGroup : n_groups;
  const float* x = task.prepared + t0 * token_floats;
  const __m256i magnitude = _mm256_set1_epi8(0x7F);
  __m256i largest = _mm256_setzero_si256();  // magnitude codes of all rows
  const char* rows[NR];
  const float* scales[NR];
  __m256 total[NR][NT];
  for (int r = 0; r < NR; ++r) {
    rows[r] = static_cast<const char*>(w.data) + (row + r) * w.cols;  // a byte a weight
    scales[r] = w.scales ? w.scales + (w.first_row + row + r) / w.block_rows * w.n_col_blocks() : nullptr;
    for (int t = 0; t < NT; ++t) total[r][t] = _mm256_setzero_ps();
  }
  for (int64_t g0 = 0, b = 0; g0 < n_groups; g0 += block_groups, ++b) {
    const int64_t g1 = g0 + block_groups < n_groups ? g0 + block_groups : n_groups;
    __m256 acc[NR][NT][kChains];
    for (int r = 0; r < NR; ++r)
      for (int t = 0; t < NT; ++t)
        for (int c = 0; c < kChains; ++c) acc[r][t][c] = _mm256_setzero_ps();
    const auto add = [&](int64_t g, const auto& codes_at) __attribute__((always_inline)) {
      for (int r = 0; r < NR; ++r) {
        const char* p = rows[r] + g * kGroup;
        const __m256i codes = codes_at(p);
        largest = _mm256_max_epu8(largest, _mm256_and_si256(codes, magnitude));
        const Pair even = weights(_mm256_slli_epi16(codes, 8)), odd = weights(codes);
        const __m256 weight[4] = {even.low, odd.low, even.high, odd.high};
        for (int t = 0; t < NT; ++t) {
          const float* q = x + t * token_floats + g * kGroup;
          for (int k = 0; k < 4; ++k)
            acc[r][t][k % kChains] =
                _mm256_fmadd_ps(weight[k], _mm256_loadu_ps(q + 8 * k), acc[r][t][k % kChains]);
        }
      }
    };
    // The last group of a row may be cut short.
    const int64_t whole = g1 < w.cols / kGroup ? g1 : w.cols / kGroup;
    int64_t g = g0;
#pragma GCC unroll 4
    for (; g < whole; ++g) {
      if (task.prefetch_bytes)
        for (int r = 0; r < NR; ++r) _mm_prefetch(rows[r] + g * kGroup + task.prefetch_bytes, _MM_HINT_T0);
      add(g, [](const char* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); });
    }
    if (g < g1) add(g, [&](const char* p) { return load_tail(p, w.cols - g * kGroup); });
    for (int r = 0; r < NR; ++r) {
      const __m256 scale = _mm256_set1_ps(scales[r] ? scales[r][b] : 1.0f);
      for (int t = 0; t < NT; ++t) {
        __m256 all = acc[r][t][0];
        for (int c = 1; c < kChains; ++c) all = _mm256_add_ps(all, acc[r][t][c]);
        total[r][t] = _mm256_fmadd_ps(all, scale, total[r][t]);
      }
    }
  }
  const bool any_nan = _mm256_movemask_epi8(_mm256_cmpeq_epi8(largest, magnitude)) != 0;
  for (int r = 0; r < NR; ++r) {
    float more = w.bias ? w.bias[row + r] : 0.0f;
    if (any_nan && has_nan(rows[r], w.cols)) more = __builtin_nanf("");
    for (int t = 0; t < NT; ++t) task.y[(t0 + t) * task.ldy + row + r] = sum(total[r][t]) * kSumFactor + more;
  }
}

template <int NT>
void gemv_tokens(const MatmulTask& task, int64_t t0, int64_t row_begin, int64_t row_end) {
  // As in matmul_body.h: long activations are shared by several rows, and order follows from the row alone.
  constexpr int kRows = 8 / NT, kShortChains = 4;
  constexpr int64_t kLongCols = 4096;
  int64_t row = row_begin;
  if (task.w.cols > kLongCols) {
    for (; row + kRows <= row_end; row += kRows) tile<kRows, NT, 1>(task, t0, row);
    for (; row < row_end; ++row) tile<1, NT, 1>(task, t0, row);
  } else {
    for (; row < row_end; ++row) tile<1, NT, kShortChains>(task, t0, row);
  }
}

void gemv(const MatmulTask& task, int64_t row_begin, int64_t row_end) {
  int64_t t = 0;
  for (; t + 2 <= task.T; t += 2) gemv_tokens<2>(task, t, row_begin, row_end);
  if (t < task.T) gemv_tokens<1>(task, t, row_begin, row_end);
}

}  // namespace

extern const GemvE4M3Kernels kGemvE4M3_avx2 = {"avx2", prepared_floats, prepare, gemv};

}  // namespace ds::kernels
