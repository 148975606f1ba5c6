// Sixteen floats: AVX-512 F BW DQ VL. Nothing here may become a symbol another file could share.
#pragma once
#include <immintrin.h>

namespace ds::kernels {
namespace {

struct Vec {
  __m512 v;
  static constexpr int kLanes = 16;
  static constexpr int kGemmRows = 12, kGemmVecs = 2;  // 24 accumulators of 32 registers
  static constexpr float kE4M3Factor = 256;            // as in vec_avx2.h

  static Vec zero() { return {_mm512_setzero_ps()}; }
  static Vec set1(float x) { return {_mm512_set1_ps(x)}; }
  static Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static Vec load_f32(const void* p) { return {_mm512_loadu_ps(p)}; }
  static Vec load_bf16(const void* p) {
    const __m256i h = _mm256_loadu_si256(static_cast<const __m256i*>(p));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16))};
  }
  static Vec load_f16(const void* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))};
  }
  static Vec load_e4m3(const void* p) {
    const __m256i w = _mm256_cvtepi8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)));
    const __m256i h =
        _mm256_and_si256(_mm256_slli_epi16(w, 7), _mm256_set1_epi16(static_cast<short>(0xBF80)));
    const __m256i magnitude = _mm256_set1_epi16(0x7F);
    const __m256i nan = _mm256_cmpeq_epi16(_mm256_and_si256(w, magnitude), magnitude);  // all ones: NaN
    return {_mm512_cvtph_ps(_mm256_or_si256(h, nan))};
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  float sum() const { return _mm512_reduce_add_ps(v); }
  float max_lane() const { return _mm512_reduce_max_ps(v); }
};
inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

inline Vec round_to_int(Vec x) {
  return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline Vec scale_by_power_of_two(Vec p, Vec n) { return {_mm512_scalef_ps(p.v, n.v)}; }
inline Vec zero_where_less(Vec value, Vec x, Vec limit) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, limit.v, _CMP_NLT_UQ), value.v)};
}
#include "kernels/cpu/vec_exp.h"

}  // namespace
}  // namespace ds::kernels
