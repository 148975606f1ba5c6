// Conversions between float32 and the narrow formats of checkpoints. Decoding is exact; encoding rounds to
// nearest even. One place for all of it: every scalar kernel, the quantiser and the tests' expectations come
// here. Source: OCP 8-bit floating point and microscaling specifications.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace ds {

// Reads a little-endian value from memory of any alignment: tensors inside a mapped file may start anywhere.
template <class T>
inline T load_unaligned(const void* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

inline float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

// NaN stays NaN (quiet), infinities stay.
inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}

inline float f16_to_f32(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  const uint32_t exponent = h >> 10 & 0x1F, mantissa = h & 0x3FF;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | mantissa << 13);
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

// Overflow becomes infinity, NaN stays NaN.
inline uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return static_cast<uint16_t>(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
  if (magnitude >= 0x477FF000) return static_cast<uint16_t>(sign | 0x7C00);  // >= 65520 rounds to infinity
  if (magnitude < 0x38800000) {  // below 2^-14: subnormal, unit 2^-24
    // Adding 0.5 lines the unit up with the last mantissa bit, so the adder itself rounds to nearest even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000u));
  }
  const uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

// e4m3fn: bias 7, max 448, no infinity, 0x7F and 0xFF are NaN.
inline float e4m3_to_f32(uint8_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x80) << 24;
  const uint32_t exponent = code >> 3 & 15, mantissa = code & 7;
  if ((code & 0x7F) == 0x7F) return std::bit_cast<float>(sign | 0x7FC00000u);
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-9f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  return std::bit_cast<float>(sign | (exponent + 120) << 23 | mantissa << 20);
}

// Saturating: anything beyond 448, infinities included, becomes +-448; NaN becomes 0x7F with its sign.
inline uint8_t f32_to_e4m3(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 24 & 0x80, magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return static_cast<uint8_t>(sign | 0x7F);
  if (magnitude >= 0x43E00000) return static_cast<uint8_t>(sign | 0x7E);  // >= 448
  if (magnitude < 0x3C800000) {                                           // below 2^-6: subnormal, unit 2^-9
    const float shifted = std::bit_cast<float>(magnitude) + 0x1p14f;      // unit of 2^14 is 2^-9
    return static_cast<uint8_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x46800000u));
  }
  const uint32_t rounded = magnitude + 0x7FFFF + (magnitude >> 20 & 1);
  return static_cast<uint8_t>(sign | ((rounded - 0x3C000000u) >> 20));
}

// e5m2 is the upper byte of binary16.
inline float e5m2_to_f32(uint8_t code) { return f16_to_f32(static_cast<uint16_t>(code << 8)); }

// Saturating: infinities and overflow become +-57344; NaN becomes 0x7F with its sign.
inline uint8_t f32_to_e5m2(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 24 & 0x80, magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return static_cast<uint8_t>(sign | 0x7F);
  if (magnitude >= 0x47600000) return static_cast<uint8_t>(sign | 0x7B);  // >= 57344
  if (magnitude < 0x38800000) {                                           // below 2^-14: unit 2^-16
    const float shifted = std::bit_cast<float>(magnitude) + 0x1p7f;       // unit of 2^7 is 2^-16
    return static_cast<uint8_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x43000000u));
  }
  const uint32_t rounded = magnitude + 0xFFFFF + (magnitude >> 21 & 1);
  return static_cast<uint8_t>(sign | ((rounded - 0x38000000u) >> 21));
}

// e8m0: 2^(code-127); code 0 is the float32 subnormal 2^-127, 0xFF is NaN.
inline float e8m0_to_f32(uint8_t code) {
  if (code == 0) return 0x1p-127f;
  if (code == 0xFF) return std::bit_cast<float>(0x7FC00000u);
  return std::bit_cast<float>(static_cast<uint32_t>(code) << 23);
}

// e2m1 (FP4): low four bits are the code, bit 3 the sign.
inline float e2m1_to_f32(uint8_t code) {
  constexpr float kMagnitude[8] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  const float magnitude = kMagnitude[code & 7];
  return code & 8 ? -magnitude : magnitude;
}

// Saturating, nearest even on the grid {0, .5, 1, 1.5, 2, 3, 4, 6}; NaN becomes +0.
inline uint8_t f32_to_e2m1(float value) {
  const float magnitude = std::fabs(value);
  if (!(magnitude >= 0.0f)) return 0;
  // Ties go to the even code: 0.25 -> 0, 0.75 -> 1.0, 1.25 -> 1.0, 1.75 -> 2, 2.5 -> 2, 3.5 -> 4, 5 -> 4.
  const uint8_t code = magnitude <= 0.25f   ? 0
                       : magnitude < 0.75f  ? 1
                       : magnitude <= 1.25f ? 2
                       : magnitude < 1.75f  ? 3
                       : magnitude <= 2.5f  ? 4
                       : magnitude < 3.5f   ? 5
                       : magnitude <= 5.0f  ? 6
                                            : 7;
  return static_cast<uint8_t>(code | (std::signbit(value) ? 8 : 0));
}

}  // namespace ds
