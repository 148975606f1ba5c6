// numbers.h against definitions in double precision, written here from the formats' specifications.
#include "core/numbers.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace ds;

namespace {

// A binary format with subnormals: what its bits mean, by definition.
struct Format {
  int exponent_bits, mantissa_bits, bias;
  bool has_infinity;  // IEEE style: the highest exponent is infinity and NaN; e4m3fn spends one code on NaN
                      // alone
  double largest() const {
    const int top = (1 << exponent_bits) - 1;
    return has_infinity ? std::ldexp(2.0 - std::ldexp(1.0, -mantissa_bits), top - 1 - bias)
                        : std::ldexp(2.0 - std::ldexp(2.0, -mantissa_bits), top - bias);
  }
  double decode(uint32_t code) const {
    const uint32_t mantissa = code & ((1u << mantissa_bits) - 1);
    const int exponent = static_cast<int>(code >> mantissa_bits) & ((1 << exponent_bits) - 1);
    const double sign = code >> (mantissa_bits + exponent_bits) & 1 ? -1.0 : 1.0;
    const int top = (1 << exponent_bits) - 1;
    if (has_infinity && exponent == top)
      return mantissa ? std::numeric_limits<double>::quiet_NaN()
                      : sign * std::numeric_limits<double>::infinity();
    if (!has_infinity && exponent == top && mantissa == (1u << mantissa_bits) - 1)
      return std::numeric_limits<double>::quiet_NaN();
    if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * std::ldexp(mantissa + std::ldexp(1.0, mantissa_bits), exponent - bias - mantissa_bits);
  }
  // The nearest value of an unbounded exponent range above, ties to even; then overflow by the caller's rule.
  double round(double x, bool saturate) const {
    if (x == 0) return x;
    const int exponent = std::max(std::ilogb(x), 1 - bias);
    const double unit = std::ldexp(1.0, exponent - mantissa_bits);
    const double rounded = std::nearbyint(x / unit) * unit;  // exact: x has 24 bits, unit is a power of two
    if (std::fabs(rounded) <= largest()) return rounded;
    return std::copysign(saturate ? largest() : std::numeric_limits<double>::infinity(), x);
  }
};
constexpr Format kBf16{8, 7, 127, true}, kF16{5, 10, 15, true}, kE4m3{4, 3, 7, false}, kE5m2{5, 2, 15, true},
    kE2m1{2, 1, 1, false};

bool same(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return a == b && std::signbit(a) == std::signbit(b);
}

// Every upper half of a float32 with lower halves that lie on, beside and between the rounding borders.
template <class Body>
void for_probing_floats(int n_upper_bits, Body&& body) {
  const int n_lower_bits = 32 - n_upper_bits;
  const uint32_t half = 1u << (n_lower_bits - 1), all = (1u << n_lower_bits) - 1;
  for (uint32_t upper = 0; upper < 1u << n_upper_bits; ++upper)
    for (const uint32_t lower : {0u, 1u, half - 1, half, half + 1, all})
      body(std::bit_cast<float>(upper << n_lower_bits | lower));
}

template <class Encode, class Decode>
void check_encoder(const Format& format, bool saturate, int n_upper_bits, Encode encode, Decode decode) {
  int64_t n_wrong = 0;
  float first_wrong = 0;
  for_probing_floats(n_upper_bits, [&](float x) {
    const double want = std::isnan(x)   ? std::numeric_limits<double>::quiet_NaN()
                        : std::isinf(x) ? std::copysign(saturate ? format.largest() : HUGE_VAL, x)
                                        : format.round(x, saturate);
    if (same(decode(encode(x)), want)) return;
    if (n_wrong++ == 0) first_wrong = x;
  });
  CAPTURE(first_wrong);
  CHECK(n_wrong == 0);
}

}  // namespace

TEST_CASE("every code of every narrow format decodes to what its specification says") {
  int n_wrong = 0;
  for (uint32_t c = 0; c < 65536; ++c) {
    n_wrong += !same(bf16_to_f32(static_cast<uint16_t>(c)), kBf16.decode(c));
    n_wrong += !same(f16_to_f32(static_cast<uint16_t>(c)), kF16.decode(c));
  }
  for (uint32_t c = 0; c < 256; ++c) {
    n_wrong += !same(e4m3_to_f32(static_cast<uint8_t>(c)), kE4m3.decode(c));
    n_wrong += !same(e5m2_to_f32(static_cast<uint8_t>(c)), kE5m2.decode(c));
    n_wrong += !same(e8m0_to_f32(static_cast<uint8_t>(c)),
                     c == 255 ? std::nan("") : std::ldexp(1.0, static_cast<int>(c) - 127));
  }
  CHECK(n_wrong == 0);
  // e2m1 has neither infinity nor NaN: all sixteen codes are numbers.
  const double magnitudes[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  for (uint32_t c = 0; c < 16; ++c)
    CHECK(same(e2m1_to_f32(static_cast<uint8_t>(c)), c & 8 ? -magnitudes[c & 7] : magnitudes[c & 7]));
}

TEST_CASE("known corner values") {
  CHECK(e4m3_to_f32(0x7E) == 448.0f);
  CHECK(e4m3_to_f32(0x01) == 0x1p-9f);
  CHECK(e5m2_to_f32(0x7B) == 57344.0f);
  CHECK(e8m0_to_f32(0) == 0x1p-127f);
  CHECK(f32_to_f16(65504.0f) == 0x7BFF);
  CHECK(f32_to_f16(65519.996f) == 0x7BFF);
  CHECK(f32_to_f16(65520.0f) == 0x7C00);
  CHECK(f32_to_f16(0x1p-25f) == 0x0000);         // half the smallest: to even
  CHECK(f32_to_f16(0x1.000002p-25f) == 0x0001);  // a little more
  CHECK(f32_to_bf16(std::numeric_limits<float>::max()) == 0x7F80);
  CHECK(f32_to_bf16(1.00390625f) == 0x3F80);  // 1 + 2^-8: tie, to even
  CHECK(f32_to_e4m3(464.0f) == 0x7E);
  CHECK(f32_to_e4m3(-1e30f) == 0xFE);
  CHECK(f32_to_e4m3(std::numeric_limits<float>::infinity()) == 0x7E);
  CHECK(f32_to_e5m2(-std::numeric_limits<float>::infinity()) == 0xFB);
  CHECK(f32_to_e2m1(std::nanf("")) == 0);
  CHECK(f32_to_e2m1(-0.0f) == 8);
  CHECK(f32_to_e2m1(2.5f) == 4);
  CHECK(f32_to_e2m1(3.5f) == 6);
  CHECK(f32_to_e2m1(5.0f) == 6);
  CHECK(f32_to_e2m1(1e9f) == 7);
}

TEST_CASE("NaN stays NaN with its sign, in every format that has one") {
  for (const uint32_t sign : {0u, 0x80000000u}) {
    for (const uint32_t payload : {1u, 0x1FFFu, 0x400000u, 0x7FFFFFu}) {
      const float nan = std::bit_cast<float>(sign | 0x7F800000u | payload);
      const uint32_t top = sign >> 31;
      CHECK((f32_to_bf16(nan) & 0x7FFF) > 0x7F80);
      CHECK((f32_to_bf16(nan) >> 15) == top);
      CHECK((f32_to_f16(nan) & 0x7FFF) > 0x7C00);
      CHECK((f32_to_f16(nan) >> 15) == top);
      CHECK(f32_to_e4m3(nan) == (top << 7 | 0x7F));
      CHECK(f32_to_e5m2(nan) == (top << 7 | 0x7F));
    }
  }
}

TEST_CASE("encoders round to nearest even: on, beside and between all rounding borders") {
  const auto widen = [](auto decode) {
    return [decode](auto code) { return static_cast<double>(decode(code)); };
  };
  check_encoder(kBf16, false, 16, f32_to_bf16, widen(bf16_to_f32));
  check_encoder(kF16, false, 19, f32_to_f16, widen(f16_to_f32));
  check_encoder(kE4m3, true, 16, f32_to_e4m3, widen(e4m3_to_f32));
  check_encoder(kE5m2, true, 16, f32_to_e5m2, widen(e5m2_to_f32));
}

TEST_CASE("e2m1 rounds to nearest even") {
  int n_wrong = 0;
  for_probing_floats(16, [&](float x) {
    double want = 0;  // NaN becomes +0
    if (!std::isnan(x)) {
      // Nearest of the sixteen values; of two equally near ones that with the even code.
      double best = HUGE_VAL;
      for (uint32_t code = 0; code < 8; ++code) {
        const double value = code == 7 ? 6.0 : kE2m1.decode(code);
        const double distance = std::fabs(std::fmin(std::fabs(x), 100.0) - value);
        if (distance < best || (distance == best && code % 2 == 0)) best = distance, want = value;
      }
      want = std::copysign(want, x);
    }
    n_wrong += !same(e2m1_to_f32(f32_to_e2m1(x)), want);
  });
  CHECK(n_wrong == 0);
}

TEST_CASE("every code survives decoding and encoding") {
  int n_wrong = 0;
  for (uint32_t c = 0; c < 65536; ++c) {
    const auto code = static_cast<uint16_t>(c);
    if (!std::isnan(bf16_to_f32(code))) n_wrong += f32_to_bf16(bf16_to_f32(code)) != code;
    if (!std::isnan(f16_to_f32(code))) n_wrong += f32_to_f16(f16_to_f32(code)) != code;
  }
  for (uint32_t c = 0; c < 256; ++c) {
    const auto code = static_cast<uint8_t>(c);
    if (std::isfinite(e4m3_to_f32(code))) n_wrong += f32_to_e4m3(e4m3_to_f32(code)) != code;
    if (std::isfinite(e5m2_to_f32(code))) n_wrong += f32_to_e5m2(e5m2_to_f32(code)) != code;
    if (c < 16) n_wrong += f32_to_e2m1(e2m1_to_f32(code)) != code;
  }
  CHECK(n_wrong == 0);
}

TEST_CASE("load_unaligned reads from any address") {
  const unsigned char bytes[9] = {0xEE, 1, 2, 3, 4, 5, 6, 7, 8};
  CHECK(load_unaligned<uint64_t>(bytes + 1) == 0x0807060504030201u);
  CHECK(load_unaligned<uint16_t>(bytes + 3) == 0x0403);
}
