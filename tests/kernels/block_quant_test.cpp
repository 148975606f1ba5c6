// Every level of block_quant against a plain double-precision reading of its contract, and bit by bit against
// the scalar level.
#include "kernels/block_quant.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/numbers.h"
#include "core/rng.h"

using namespace ds;
using namespace ds::kernels;

namespace {

constexpr uint64_t kSeed = 20260501;

// The E4M3 code nearest to x, ties to even: by looking at all 127 magnitudes.
uint8_t nearest_code(double x) {
  const double m = std::fabs(x);
  int best = 0;
  for (int code = 1; code < 0x7F; ++code) {
    const double now = std::fabs(e4m3_to_f32(static_cast<uint8_t>(code)) - m);
    const double before = std::fabs(e4m3_to_f32(static_cast<uint8_t>(best)) - m);
    if (now < before || (now == before && code % 2 == 0)) best = code;
  }
  return static_cast<uint8_t>(best | (std::signbit(x) ? 0x80 : 0));
}

struct Matrix {
  int64_t rows, cols;
  DType dtype;
  std::vector<uint8_t> bytes;
  std::vector<float> values;
};

Matrix random_matrix(int64_t rows, int64_t cols, DType dtype, uint64_t stream) {
  CounterRng rng(kSeed, stream);
  Matrix m{rows, cols, dtype, std::vector<uint8_t>(rows * cols * dtype_bytes(dtype)), {}};
  for (int64_t i = 0; i < rows * cols; ++i) {
    // Magnitudes over 12 binades, exact zeros and ties between codes among them.
    float x = static_cast<float>((rng.next_double() - 0.5) * std::exp2(rng.next_double() * 12 - 8));
    if (rng.next_u32() % 16 == 0) x = 0;
    if (rng.next_u32() % 8 == 0) x = static_cast<float>(static_cast<int>(rng.next_u32() % 65) - 32) / 16;
    uint8_t* at = m.bytes.data() + i * dtype_bytes(dtype);
    if (dtype == DType::kF32) {
      std::memcpy(at, &x, 4);
    } else {
      const uint16_t h = dtype == DType::kBF16 ? f32_to_bf16(x) : f32_to_f16(x);
      std::memcpy(at, &h, 2);
      x = dtype == DType::kBF16 ? bf16_to_f32(h) : f16_to_f32(h);
    }
    m.values.push_back(x);
  }
  return m;
}

Band band_of(const Matrix& m, int64_t block_cols) {
  return {m.bytes.data(), m.dtype, m.rows, m.cols, m.cols, block_cols};
}

}  // namespace

TEST_CASE("block_quant: amax, encode and decode at every level") {
  MESSAGE("seed " << kSeed);
  uint64_t stream = 0;
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32})
    for (const int64_t rows : {0, 1, 3, 128})
      for (const int64_t cols : {0, 1, 15, 16, 33, 129, 576})
        for (const int64_t block_cols : {int64_t{1}, int64_t{32}, int64_t{100}, int64_t{128}}) {
          const Matrix m = random_matrix(rows, cols, dtype, stream++);
          const Band band = band_of(m, block_cols);
          const int64_t n_blocks = band.n_blocks();
          for (const bool multiply : {false, true}) {
            std::vector<uint8_t> scalar_codes;
            std::vector<BlockError> scalar_errors;
            for (const Isa isa : available_isas()) {
              const BlockQuantKernel& kernel = block_quant_kernel(isa);
              std::vector<uint32_t> amax(n_blocks);
              kernel.amax(band, amax.data());
              std::vector<float> factors(n_blocks);
              for (int64_t b = 0; b < n_blocks; ++b) {
                float want = 0;
                for (int64_t r = 0; r < rows; ++r)
                  for (int64_t c = b * block_cols; c < std::min(cols, (b + 1) * block_cols); ++c)
                    want = std::max(want, std::fabs(m.values[r * cols + c]));
                REQUIRE(std::bit_cast<float>(amax[b]) == want);
                factors[b] = want == 0 ? 1.0f : multiply ? 448 / want : want / 448;
              }
              std::vector<uint8_t> codes(rows * cols);
              std::vector<BlockError> errors(n_blocks);
              kernel.encode(band, factors.data(), multiply, codes.data(), cols, errors.data());
              if (isa == Isa::kScalar) {
                scalar_codes = codes, scalar_errors = errors;
                for (int64_t r = 0; r < rows; ++r)
                  for (int64_t c = 0; c < cols; ++c) {
                    const float x = m.values[r * cols + c], f = factors[c / block_cols];
                    REQUIRE(codes[r * cols + c] == nearest_code(multiply ? x * f : x / f));
                  }
                for (int64_t b = 0; b < n_blocks; ++b) {
                  double want = 0, got = 0;
                  for (const float e : errors[b].error) got += e;
                  for (int64_t r = 0; r < rows; ++r)
                    for (int64_t c = b * block_cols; c < std::min(cols, (b + 1) * block_cols); ++c) {
                      const double x = m.values[r * cols + c];
                      const double scaled = multiply ? x * factors[b] : x / factors[b];
                      want += std::pow(scaled - e4m3_to_f32(codes[r * cols + c]), 2);
                    }
                  REQUIRE(got == doctest::Approx(want).epsilon(1e-4));
                }
              } else {
                REQUIRE(codes == scalar_codes);
                REQUIRE((n_blocks == 0 || std::memcmp(errors.data(), scalar_errors.data(),
                                                      n_blocks * sizeof(BlockError)) == 0));
              }
              std::vector<uint16_t> bf16(rows * cols);
              std::vector<float> f32(rows * cols);
              kernel.decode_bf16(codes.data(), rows, cols, cols, block_cols, factors.data(), bf16.data(),
                                 cols);
              kernel.decode_f32(codes.data(), rows, cols, cols, block_cols, factors.data(), f32.data(), cols);
              for (int64_t i = 0; i < rows * cols; ++i) {
                const float want = e4m3_to_f32(codes[i]) * factors[i % cols / block_cols];
                REQUIRE(std::bit_cast<uint32_t>(f32[i]) == std::bit_cast<uint32_t>(want));
                REQUIRE(bf16[i] == f32_to_bf16(want));
              }
            }
          }
        }
}

TEST_CASE("block_quant: non-finite input shows in amax, all codes decode, subnormals survive") {
  for (const Isa isa : available_isas()) {
    const BlockQuantKernel& kernel = block_quant_kernel(isa);
    for (const uint16_t special : {0x7F80, 0xFF80, 0x7FC0, 0xFF81}) {
      std::vector<uint16_t> x(40, 0x3F80);
      x[37] = special;
      uint32_t amax[2] = {};
      kernel.amax({x.data(), DType::kBF16, 1, 40, 40, 32}, amax);
      CHECK(amax[0] == 0x3F800000);
      CHECK(amax[1] == (static_cast<uint32_t>(special) << 16 & 0x7FFFFFFF));
    }
    std::vector<uint8_t> codes(256);
    for (int i = 0; i < 256; ++i) codes[i] = static_cast<uint8_t>(i);
    for (const float scale : {1.0f, 0.37f, 0x1p-126f, 0x1p-133f, 0x1p120f}) {
      std::vector<uint16_t> out(256);
      kernel.decode_bf16(codes.data(), 1, 256, 256, 256, &scale, out.data(), 256);
      for (int i = 0; i < 256; ++i)
        CHECK(out[i] == f32_to_bf16(e4m3_to_f32(static_cast<uint8_t>(i)) * scale));
    }
    // All finite BF16 patterns under scale 1 are what the number table says.
    std::vector<uint16_t> all;
    for (uint32_t bits = 0; bits < 65536; ++bits)
      if ((bits & 0x7FFF) < 0x7F80) all.push_back(static_cast<uint16_t>(bits));
    std::vector<uint8_t> got(all.size());
    const float one = 1;
    const int64_t n = static_cast<int64_t>(all.size());
    kernel.encode({all.data(), DType::kBF16, 1, n, n, n}, &one, false, got.data(), n, nullptr);
    for (size_t i = 0; i < all.size(); ++i) REQUIRE(got[i] == f32_to_e4m3(bf16_to_f32(all[i])));
  }
}
