// numbers.h against tables made with torch and ml_dtypes (tests/golden/number_tables.safetensors):
// decode.* by code; encode_* by bf16 bit pattern, nearest even and saturating; convert.* from f32 bits.
#include <doctest/doctest.h>

#include <cmath>

#include "core/numbers.h"
#include "io/safetensors.h"

using namespace ds;
using namespace ds::io;

namespace {

const SafetensorsFile& tables() {
  static const SafetensorsFile file(std::string(DS_SOURCE_DIR) + "/tests/golden/number_tables.safetensors");
  return file;
}
template <class T>
struct Table {
  const std::byte* bytes;
  int64_t n;
  T operator[](int64_t i) const { return load_unaligned<T>(bytes + i * sizeof(T)); }
};
template <class T>
Table<T> table(const char* name, int64_t n) {
  const TensorInfo* t = tables().find(name);
  REQUIRE(t != nullptr);
  REQUIRE(t->n_elements() == n);
  REQUIRE(tables().data(*t).size() == n * sizeof(T));
  return {tables().data(*t).data(), n};
}
bool same_bits(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

}  // namespace

TEST_CASE("decoding equals the published tables, bit by bit") {
  const auto check = [](const char* name, int n, float (*decode)(uint8_t)) {
    const auto want = table<float>(name, n);
    int n_wrong = 0;
    for (int c = 0; c < n; ++c) n_wrong += !same_bits(decode(static_cast<uint8_t>(c)), want[c]);
    CAPTURE(name);
    CHECK(n_wrong == 0);
  };
  check("decode.e4m3fn", 256, e4m3_to_f32);
  check("decode.e5m2", 256, e5m2_to_f32);
  check("decode.e8m0fnu", 256, e8m0_to_f32);
  check("decode.e2m1", 16, e2m1_to_f32);
}

TEST_CASE("saturating encoders equal the published tables on every bf16 value") {
  const auto e4m3 = table<uint8_t>("encode_bf16_saturating.e4m3fn", 65536);
  const auto e5m2 = table<uint8_t>("encode_bf16_saturating.e5m2", 65536);
  const auto e2m1 = table<float>("encode_bf16_saturating_value.e2m1", 65536);
  int n_wrong[3] = {};
  for (int i = 0; i < 65536; ++i) {
    const float x = bf16_to_f32(static_cast<uint16_t>(i));
    n_wrong[0] += f32_to_e4m3(x) != e4m3[i];
    n_wrong[1] += f32_to_e5m2(x) != e5m2[i];
    n_wrong[2] += e2m1_to_f32(f32_to_e2m1(x)) != e2m1[i];
  }
  CHECK(n_wrong[0] == 0);
  CHECK(n_wrong[1] == 0);
  CHECK(n_wrong[2] == 0);
}

TEST_CASE("f32 to bf16 and f16 equals the published conversions") {
  const int64_t n = tables().find("convert.f32_bits")->n_elements();
  const auto bits = table<uint32_t>("convert.f32_bits", n);
  const auto bf16 = table<uint16_t>("convert.to_bf16_bits", n),
             f16 = table<uint16_t>("convert.to_f16_bits", n);
  int n_wrong = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float x = std::bit_cast<float>(bits[i]);
    n_wrong += f32_to_bf16(x) != bf16[i];
    n_wrong += f32_to_f16(x) != f16[i];
  }
  CHECK(n_wrong == 0);
}
