#include <immintrin.h>

#include <cstdint>

namespace ds::kernels {
namespace {

struct Bits16 {
  __m512i v;
  static Bits16 zero() { return {_mm512_setzero_si512()}; }
  uint32_t max_lane() const { return _mm512_reduce_max_epu32(v); }
};
inline Bits16 max(Bits16 a, Bits16 b) { return {_mm512_max_epu32(a.v, b.v)}; }

struct Lanes {
  __m512 v;
  static Lanes zero() { return {_mm512_setzero_ps()}; }
  static Lanes set1(float x) { return {_mm512_set1_ps(x)}; }
  static Lanes load_f32(const void* p) { return {_mm512_loadu_ps(p)}; }
  static Lanes load_bf16(const char* p) {
    const __m256i h = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16))};
  }
  static Lanes load_f16(const char* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  // E4M3 bits moved into binary16 fields read as value / 2^8, subnormals included; only NaN needs a look.
  static Lanes load_e4m3(const uint8_t* p) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m256i w = _mm256_cvtepi8_epi16(codes);
    const __m256i h =
        _mm256_and_si256(_mm256_slli_epi16(w, 7), _mm256_set1_epi16(static_cast<short>(0xBF80)));
    const __m512 value = _mm512_mul_ps(_mm512_cvtph_ps(h), _mm512_set1_ps(256));
    const __mmask16 nan = _mm_cmpeq_epi8_mask(_mm_and_si128(codes, _mm_set1_epi8(0x7F)), _mm_set1_epi8(0x7F));
    const __m512i bits = _mm512_castps_si512(value);
    const __m512i quiet =
        _mm512_or_si512(_mm512_and_si512(bits, _mm512_set1_epi32(static_cast<int>(0x80000000))),
                        _mm512_set1_epi32(0x7FC00000));
    return {_mm512_castsi512_ps(_mm512_mask_mov_epi32(bits, nan, quiet))};
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store_bf16(uint16_t* p) const {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i lsb = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), lsb), 16);
    const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, quiet)));
  }
  // Stores the codes and returns what they decode to. Not for NaN.
  Lanes store_e4m3(uint8_t* p) const {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i sign = _mm512_and_si512(bits, _mm512_set1_epi32(static_cast<int>(0x80000000)));
    const __m512i m =
        _mm512_min_epu32(_mm512_andnot_si512(_mm512_set1_epi32(static_cast<int>(0x80000000)), bits),
                         _mm512_set1_epi32(0x43E00000));                                // 448
    const __mmask16 small = _mm512_cmplt_epu32_mask(m, _mm512_set1_epi32(0x3C800000));  // below 2^-6
    const __m512i lsb = _mm512_and_si512(_mm512_srli_epi32(m, 20), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(m, _mm512_set1_epi32(0x7FFFF)), lsb);
    const __m512i normal = _mm512_srli_epi32(_mm512_sub_epi32(rounded, _mm512_set1_epi32(0x3C000000)), 20);
    // Below 2^-6 the unit is 2^-9, the last bit of a float at 2^14: the adder rounds.
    const __m512 shifted = _mm512_add_ps(_mm512_castsi512_ps(m), _mm512_set1_ps(0x1p14f));
    const __m512i code =
        _mm512_mask_sub_epi32(normal, small, _mm512_castps_si512(shifted), _mm512_set1_epi32(0x46800000));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                     _mm512_cvtepi32_epi8(_mm512_or_si512(code, _mm512_srli_epi32(sign, 24))));
    const __m512i big = _mm512_and_si512(rounded, _mm512_set1_epi32(static_cast<int>(0xFFF00000)));
    const __m512 value =
        _mm512_mask_sub_ps(_mm512_castsi512_ps(big), small, shifted, _mm512_set1_ps(0x1p14f));
    return {_mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(value), sign))};
  }
  Bits16 magnitude_bits() const {
    return {_mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7FFFFFFF))};
  }
  Lanes magnitude() const { return {_mm512_castsi512_ps(magnitude_bits().v)}; }
};
inline Lanes operator+(Lanes a, Lanes b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Lanes operator-(Lanes a, Lanes b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Lanes operator*(Lanes a, Lanes b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Lanes operator/(Lanes a, Lanes b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Lanes max(Lanes a, Lanes b) { return {_mm512_max_ps(a.v, b.v)}; }

}  // namespace
}  // namespace ds::kernels

// The body needs Lanes first.
#include "kernels/cpu/block_quant_body.h"

namespace ds::kernels {

extern const BlockQuantKernel kBlockQuant_avx512 = {"avx512", amax, encode, decode_band<BF16Out>,
                                                    decode_band<F32Out>};

}  // namespace ds::kernels
