// Eight floats: AVX2, FMA, F16C. Nothing here may become a symbol another file could share.
#pragma once
#include <immintrin.h>

namespace ds::kernels {
namespace {

struct Vec {
  __m256 v;
  static constexpr int kLanes = 8;
  static constexpr int kGemmRows = 6, kGemmVecs = 2;  // 12 accumulators of 16 registers
  // E4M3 bits moved into binary16 fields read as value / 2^8, subnormals included: exact, and no microcode
  // assists.
  static constexpr float kE4M3Factor = 256;

  static Vec zero() { return {_mm256_setzero_ps()}; }
  static Vec set1(float x) { return {_mm256_set1_ps(x)}; }
  static Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static Vec load_f32(const void* p) { return {_mm256_loadu_ps(static_cast<const float*>(p))}; }
  static Vec load_bf16(const void* p) {
    const __m128i h = _mm_loadu_si128(static_cast<const __m128i*>(p));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16))};
  }
  static Vec load_f16(const void* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)))};
  }
  static Vec load_e4m3(const void* p) {
    const __m128i w =
        _mm_cvtepi8_epi16(_mm_loadl_epi64(static_cast<const __m128i*>(p)));  // sign spread upward
    const __m128i h = _mm_and_si128(_mm_slli_epi16(w, 7), _mm_set1_epi16(static_cast<short>(0xBF80)));
    const __m128i magnitude = _mm_set1_epi16(0x7F);
    const __m128i nan = _mm_cmpeq_epi16(_mm_and_si128(w, magnitude), magnitude);  // all ones: NaN
    return {_mm256_cvtph_ps(_mm_or_si128(h, nan))};
  }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  float sum() const {
    const __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
  }
  float max_lane() const {
    const __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 pair = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair)));
  }
};
inline Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.v, b.v)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }
inline Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.v, b.v)}; }
inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

inline Vec round_to_int(Vec x) {
  return {_mm256_round_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline Vec scale_by_power_of_two(Vec p, Vec n) {
  const __m256i bits =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127)), 23);
  return {_mm256_mul_ps(p.v, _mm256_castsi256_ps(bits))};
}
inline Vec zero_where_less(Vec value, Vec x, Vec limit) {
  return {_mm256_andnot_ps(_mm256_cmp_ps(x.v, limit.v, _CMP_LT_OQ), value.v)};
}
#include "kernels/cpu/vec_exp.h"

}  // namespace
}  // namespace ds::kernels
