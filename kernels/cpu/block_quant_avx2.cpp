#include <immintrin.h>

#include <cstdint>

namespace ds::kernels {
namespace {

struct Bits16 {
  __m256i a, b;
  static Bits16 zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  uint32_t max_lane() const {
    const __m256i eight = _mm256_max_epu32(a, b);
    __m128i m = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4E));
    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xB1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(m));
  }
};
inline Bits16 max(Bits16 x, Bits16 y) { return {_mm256_max_epu32(x.a, y.a), _mm256_max_epu32(x.b, y.b)}; }

inline __m128i load_128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

// Sign-extended codes but NaN: moved into binary16's fields they are 2^8 too small.
inline __m256 e4m3_to_floats(__m128i w) {
  const __m128i h = _mm_and_si128(_mm_slli_epi16(w, 7), _mm_set1_epi16(static_cast<short>(0xBF80)));
  return _mm256_mul_ps(_mm256_cvtph_ps(h), _mm256_set1_ps(256));
}
inline __m256 with_nan(__m256 value, __m128i w) {
  const __m128i nan = _mm_cmpeq_epi16(_mm_and_si128(w, _mm_set1_epi16(0x7F)), _mm_set1_epi16(0x7F));
  const __m256 quiet = _mm256_or_ps(_mm256_and_ps(value, _mm256_set1_ps(-0.0f)),
                                    _mm256_castsi256_ps(_mm256_set1_epi32(0x7FC00000)));
  return _mm256_blendv_ps(value, quiet, _mm256_castsi256_ps(_mm256_cvtepi16_epi32(nan)));
}

inline __m256i bf16_bits(__m256 v) {  // in the low half of each lane
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i upper = _mm256_srli_epi32(bits, 16);
  const __m256i lsb = _mm256_and_si256(upper, _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), lsb), 16);
  const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
  return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
}

// Rounds to the nearest E4M3 value, ties to even, saturating: the adder rounds to multiples of the code's
// unit (2^-3 of the value's power of two, at least 2^-9) when something whose last bit has that weight is
// added and taken away.
inline __m256 to_e4m3(__m256 v) {
  const __m256 sign = _mm256_and_ps(v, _mm256_set1_ps(-0.0f));
  v = _mm256_min_ps(_mm256_max_ps(v, _mm256_set1_ps(-448)), _mm256_set1_ps(448));
  const __m256i power = _mm256_max_epi32(
      _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7F800000)), _mm256_set1_epi32(0x3C800000));
  const __m256 adder =
      _mm256_castsi256_ps(_mm256_add_epi32(power, _mm256_set1_epi32(0x0A400000)));  // * 1.5 * 2^20
  return _mm256_or_ps(_mm256_sub_ps(_mm256_add_ps(v, adder), adder), sign);
}

// The codes of E4M3 values in 16 bits each, seven places too high and the sign eight: halved eight times they
// are binary16 numbers with the same exponent and mantissa fields.
inline __m128i shifted_codes(__m256 e4m3) {
  return _mm256_cvtps_ph(_mm256_mul_ps(e4m3, _mm256_set1_ps(0x1p-8f)), _MM_FROUND_TO_NEAREST_INT);
}

struct Lanes {
  __m256 a, b;
  static Lanes zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Lanes set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static Lanes load_f32(const void* p) {
    return {_mm256_loadu_ps(static_cast<const float*>(p)), _mm256_loadu_ps(static_cast<const float*>(p) + 8)};
  }
  static Lanes load_bf16(const char* p) {
    const auto widen = [](__m128i h) {
      return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
    };
    return {widen(load_128(p)), widen(load_128(p + 16))};
  }
  static Lanes load_f16(const char* p) {
    return {_mm256_cvtph_ps(load_128(p)), _mm256_cvtph_ps(load_128(p + 16))};
  }
  static Lanes load_e4m3(const uint8_t* p) {
    const __m128i codes = load_128(p), nan = _mm_set1_epi8(0x7F);
    const __m256i w = _mm256_cvtepi8_epi16(codes);
    const __m128i low = _mm256_castsi256_si128(w), high = _mm256_extracti128_si256(w, 1);
    const Lanes v = {e4m3_to_floats(low), e4m3_to_floats(high)};
    if (_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_and_si128(codes, nan), nan)) == 0) return v;
    return {with_nan(v.a, low), with_nan(v.b, high)};
  }
  void store(float* p) const {
    _mm256_storeu_ps(p, a);
    _mm256_storeu_ps(p + 8, b);
  }
  void store_bf16(uint16_t* p) const {
    // packus works on 128-bit halves: the permute puts the quarters in order.
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(bf16_bits(a), bf16_bits(b)), 0xD8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), packed);
  }
  // Stores the codes and returns what they decode to. Not for NaN.
  Lanes store_e4m3(uint8_t* p) const {
    const Lanes decoded = {to_e4m3(a), to_e4m3(b)};
    const auto codes = [](__m128i h) {
      return _mm_or_si128(_mm_and_si128(_mm_srli_epi16(h, 7), _mm_set1_epi16(0x7F)),
                          _mm_and_si128(_mm_srli_epi16(h, 8), _mm_set1_epi16(0x80)));
    };
    const __m128i bytes = _mm_packus_epi16(codes(shifted_codes(decoded.a)), codes(shifted_codes(decoded.b)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
    return decoded;
  }
  Bits16 magnitude_bits() const {
    const __m256i mask = _mm256_set1_epi32(0x7FFFFFFF);
    return {_mm256_and_si256(_mm256_castps_si256(a), mask), _mm256_and_si256(_mm256_castps_si256(b), mask)};
  }
  Lanes magnitude() const {
    const Bits16 m = magnitude_bits();
    return {_mm256_castsi256_ps(m.a), _mm256_castsi256_ps(m.b)};
  }
};
inline Lanes operator+(Lanes x, Lanes y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline Lanes operator-(Lanes x, Lanes y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline Lanes operator*(Lanes x, Lanes y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline Lanes operator/(Lanes x, Lanes y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline Lanes max(Lanes x, Lanes y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }

}  // namespace
}  // namespace ds::kernels

// The body needs Lanes first.
#include "kernels/cpu/block_quant_body.h"

namespace ds::kernels {

extern const BlockQuantKernel kBlockQuant_avx2 = {"avx2", amax, encode, decode_band<BF16Out>,
                                                  decode_band<F32Out>};

}  // namespace ds::kernels
