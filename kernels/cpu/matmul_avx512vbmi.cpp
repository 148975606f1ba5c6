// Decode of E4M3 weights: each byte's magnitude indexes two 128-entry tables that hold the upper and lower
// byte of its bfloat16 value (exact, subnormals and NaN included); interleaving them yields bfloat16 weights
// that VDPBF16PS multiplies with the activations' two bfloat16 terms. Twice the rate of converting to float32
// first.
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/matmul_kernels.h"

namespace ds::kernels {
namespace {

constexpr int64_t kGroup = 64;  // weights of one vector of bytes

int64_t groups(int64_t in) { return (in + kGroup - 1) / kGroup; }
// A token is [group][hi A, hi B, lo A, lo B] of 32 bfloat16 each: A and B are the orders of unpacklo and
// unpackhi.
int64_t prepared_floats(int64_t T, int64_t in) { return T * groups(in) * kGroup; }

uint16_t round_to_bf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}
float widen(uint16_t h) {
  const uint32_t bits = static_cast<uint32_t>(h) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

void prepare(const float* x, int64_t ldx, int64_t T, int64_t in, float* prepared) {
  uint16_t* out = reinterpret_cast<uint16_t*>(prepared);
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t g = 0; g < groups(in); ++g, out += 4 * 32) {
      float values[kGroup] = {};
      const int64_t n = in - g * kGroup < kGroup ? in - g * kGroup : kGroup;
      std::memcpy(values, x + t * ldx + g * kGroup, n * sizeof(float));
      for (int lane = 0; lane < 4; ++lane) {
        for (int half = 0; half < 2; ++half) {
          for (int i = 0; i < 8; ++i) {
            const float v = values[lane * 16 + half * 8 + i];
            const uint16_t hi = round_to_bf16(v);
            out[half * 32 + lane * 8 + i] = hi;
            out[64 + half * 32 + lane * 8 + i] = round_to_bf16(v - widen(hi));
          }
        }
      }
    }
  }
}

struct Tables {
  __m512i upper[2], lower[2];  // by magnitude code 0..127
};

// bfloat16 bits of an E4M3 magnitude code.
constexpr uint16_t magnitude_bits(int code) {
  const int exponent = code >> 3, mantissa = code & 7;
  if (code == 0x7F) return 0x7FC0;
  if (exponent > 0) return static_cast<uint16_t>((exponent + 120) << 7 | mantissa << 4);
  if (mantissa == 0) return 0;
  // mantissa * 2^-9 with its leading bit moved to the implied one.
  const int top = mantissa >= 4 ? 2 : mantissa >= 2 ? 1 : 0;
  return static_cast<uint16_t>((127 - 9 + top) << 7 | ((mantissa << (7 - top)) & 0x7F));
}

struct TableBytes {
  alignas(64) uint8_t upper[128], lower[128];
};
constexpr TableBytes make_table_bytes() {
  TableBytes t{};
  for (int code = 0; code < 128; ++code) {
    t.upper[code] = static_cast<uint8_t>(magnitude_bits(code) >> 8);
    t.lower[code] = static_cast<uint8_t>(magnitude_bits(code) & 0xFF);
  }
  return t;
}
constexpr TableBytes kTableBytes = make_table_bytes();

Tables load_tables() {
  return {{_mm512_load_si512(kTableBytes.upper), _mm512_load_si512(kTableBytes.upper + 64)},
          {_mm512_load_si512(kTableBytes.lower), _mm512_load_si512(kTableBytes.lower + 64)}};
}

template <int NR, int NT>
void tile(const MatmulTask& task, const Tables& tables, int64_t t0, int64_t row) {
  const WeightView& w = task.w;
  const int64_t n_groups = groups(w.cols), token_bytes = n_groups * kGroup * 4;
  const int64_t block_groups = w.scales ? (w.block_cols + kGroup - 1) / kGroup : n_groups;
  const char* x = reinterpret_cast<const char*>(task.prepared) + t0 * token_bytes;
  const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
  const char* rows[NR];
  const float* scales[NR];
  __m512 total[NR][NT];
  for (int r = 0; r < NR; ++r) {
    rows[r] = static_cast<const char*>(w.data) + (row + r) * w.cols;  // a byte a weight
    scales[r] = w.scales ? w.scales + (w.first_row + row + r) / w.block_rows * w.n_col_blocks() : nullptr;
    for (int t = 0; t < NT; ++t) total[r][t] = _mm512_setzero_ps();
  }
  for (int64_t g0 = 0, b = 0; g0 < n_groups; g0 += block_groups, ++b) {
    const int64_t g1 = g0 + block_groups < n_groups ? g0 + block_groups : n_groups;
    // Four chains: two orders, two terms; the products' latency is longer than their number otherwise.
    __m512 acc[NR][NT][4];
    for (int r = 0; r < NR; ++r)
      for (int t = 0; t < NT; ++t)
        acc[r][t][0] = acc[r][t][1] = acc[r][t][2] = acc[r][t][3] = _mm512_setzero_ps();
    const auto add = [&](int64_t g, const auto& codes_at) __attribute__((always_inline)) {
      for (int r = 0; r < NR; ++r) {
        const char* p = rows[r] + g * kGroup;
        if (task.prefetch_bytes) _mm_prefetch(p + task.prefetch_bytes, _MM_HINT_T0);
        const __m512i codes = codes_at(p);
        // upper byte | sign: (codes & 0x80) | table
        const __m512i upper = _mm512_ternarylogic_epi32(
            _mm512_permutex2var_epi8(tables.upper[0], codes, tables.upper[1]), codes, sign, 0xF8);
        const __m512i lower = _mm512_permutex2var_epi8(tables.lower[0], codes, tables.lower[1]);
        const __m512bh a = (__m512bh)_mm512_unpacklo_epi8(lower, upper);
        const __m512bh b2 = (__m512bh)_mm512_unpackhi_epi8(lower, upper);
        for (int t = 0; t < NT; ++t) {
          const char* q = x + t * token_bytes + g * 256;
          acc[r][t][0] = _mm512_dpbf16_ps(acc[r][t][0], a, (__m512bh)_mm512_loadu_si512(q));
          acc[r][t][1] = _mm512_dpbf16_ps(acc[r][t][1], b2, (__m512bh)_mm512_loadu_si512(q + 64));
          acc[r][t][2] = _mm512_dpbf16_ps(acc[r][t][2], a, (__m512bh)_mm512_loadu_si512(q + 128));
          acc[r][t][3] = _mm512_dpbf16_ps(acc[r][t][3], b2, (__m512bh)_mm512_loadu_si512(q + 192));
        }
      }
    };
    // Only the last group of a row may be cut short. Loading every group through a mask would halve the rate
    // on the Zen 5 family.
    const int64_t whole = g1 < w.cols / kGroup ? g1 : w.cols / kGroup;
    int64_t g = g0;
    for (; g < whole; ++g) add(g, [](const char* p) { return _mm512_loadu_si512(p); });
    if (g < g1) {
      const __mmask64 left = (__mmask64{1} << (w.cols - g * kGroup)) - 1;
      add(g, [left](const char* p) { return _mm512_maskz_loadu_epi8(left, p); });
    }
    for (int r = 0; r < NR; ++r) {
      const __m512 scale = _mm512_set1_ps(scales[r] ? scales[r][b] : 1.0f);
      for (int t = 0; t < NT; ++t) {
        const __m512 sum = _mm512_add_ps(_mm512_add_ps(acc[r][t][0], acc[r][t][1]),
                                         _mm512_add_ps(acc[r][t][2], acc[r][t][3]));
        total[r][t] = _mm512_fmadd_ps(sum, scale, total[r][t]);
      }
    }
  }
  for (int r = 0; r < NR; ++r) {
    const float bias = w.bias ? w.bias[row + r] : 0.0f;
    for (int t = 0; t < NT; ++t)
      task.y[(t0 + t) * task.ldy + row + r] = _mm512_reduce_add_ps(total[r][t]) + bias;
  }
}

template <int NT>
void gemv_tokens(const MatmulTask& task, const Tables& tables, int64_t t0, int64_t row_begin,
                 int64_t row_end) {
  // As in matmul_body.h: long activations are shared by several rows.
  constexpr int kLongRows = NT == 1 ? 8 : 2;
  constexpr int64_t kLongCols = 4096;
  int64_t row = row_begin;
  if (task.w.cols * NT > kLongCols)
    for (; row + kLongRows <= row_end; row += kLongRows) tile<kLongRows, NT>(task, tables, t0, row);
  for (; row < row_end; ++row) tile<1, NT>(task, tables, t0, row);
}

void gemv(const MatmulTask& task, int64_t row_begin, int64_t row_end) {
  const Tables tables = load_tables();
  int64_t t = 0;
  for (; t + 2 <= task.T; t += 2) gemv_tokens<2>(task, tables, t, row_begin, row_end);
  if (t < task.T) gemv_tokens<1>(task, tables, t, row_begin, row_end);
}

}  // namespace

extern const GemvE4M3Kernels kGemvE4M3_avx512vbmi = {"avx512vbmi", prepared_floats, prepare, gemv};

}  // namespace ds::kernels
