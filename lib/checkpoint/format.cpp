#include "checkpoint/format.h"

#include <cstring>

#include "core/numbers.h"

namespace ds::checkpoint {
namespace {

template <class Stored, float (*widen)(Stored)>
void decode(const std::byte* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; ++i)
    to[i] = widen(load_unaligned<Stored>(from + static_cast<int64_t>(sizeof(Stored)) * i));
}
float narrow(double v) { return static_cast<float>(v); }

void copy_f32(const std::byte* from, int64_t n, float* to) { std::memcpy(to, from, n * sizeof(float)); }

void decode_e2m1(const std::byte* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; i += 2) {
    const auto pair = static_cast<uint8_t>(from[i / 2]);
    to[i] = e2m1_to_f32(pair & 15);
    to[i + 1] = e2m1_to_f32(pair >> 4);
  }
}

using Scales = TensorFormat::Scales;
constexpr TensorFormat kF64 = {"F64", 1, 8, Scales::kNone, decode<double, narrow>};
constexpr TensorFormat kF32 = {"F32", 1, 4, Scales::kNone, copy_f32};
constexpr TensorFormat kF16 = {"F16", 1, 2, Scales::kNone, decode<uint16_t, f16_to_f32>};
constexpr TensorFormat kBF16 = {"BF16", 1, 2, Scales::kNone, decode<uint16_t, bf16_to_f32>};
constexpr TensorFormat kE8M0 = {"F8_E8M0", 1, 1, Scales::kNone, decode<uint8_t, e8m0_to_f32>};

}  // namespace

const TensorFormat kE4M3Format = {"F8_E4M3", 1, 1, Scales::kBeside, decode<uint8_t, e4m3_to_f32>};
const TensorFormat kE2M1Format = {"E2M1", 2, 1, Scales::kBeside, decode_e2m1};

const TensorFormat* format_of(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return &kF64;
    case DType::kF32:
      return &kF32;
    case DType::kF16:
      return &kF16;
    case DType::kBF16:
      return &kBF16;
    case DType::kF8E8M0:
      return &kE8M0;
    case DType::kF8E4M3:
      return &kE4M3Format;
    default:
      return nullptr;
  }
}

}  // namespace ds::checkpoint
