// matmul at every level and weight type against a double-precision reference written here.
#include "kernels/matmul.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "core/numbers.h"
#include "kernels/embed.h"
#include "kernels/matmul_kernels.h"
#include "tensors.h"

using namespace ds;
using namespace ds::kernels;
using namespace ds::test;

namespace {

constexpr uint64_t kSeed = 20260924;

// A weight matrix in its stored form, and its values in double.
struct Weight {
  std::vector<uint8_t> bytes;
  std::vector<float> scales, bias;
  std::vector<double> values;  // [rows, cols]
  WeightView view;
};

Weight make_weight(CounterRng& rng, DType dtype, int64_t rows, int64_t cols, int64_t block_rows,
                   int64_t block_cols, bool with_bias) {
  Weight w;
  const int64_t size = dtype_bytes(dtype), misaligned = 1;  // files promise no alignment
  w.bytes.resize(rows * cols * size + misaligned + 64);
  w.values.resize(rows * cols);
  const int64_t n_col_blocks = block_cols ? (cols + block_cols - 1) / block_cols : 0;
  if (dtype == DType::kF8E4M3)
    for (int64_t i = 0; i < (rows + block_rows - 1) / block_rows * n_col_blocks; ++i)
      w.scales.push_back(static_cast<float>(0.01 + 0.1 * rng.next_double()));
  for (int64_t i = 0; i < rows * cols; ++i) {
    const float x = static_cast<float>(rng.next_double() * 2 - 1);
    uint8_t* p = w.bytes.data() + misaligned + i * size;
    if (dtype == DType::kF32) {
      std::memcpy(p, &x, 4);
      w.values[i] = x;
    } else if (dtype == DType::kF16) {
      const uint16_t h = f32_to_f16(i % 17 ? x : x * 1e-6f);  // subnormals too
      std::memcpy(p, &h, 2);
      w.values[i] = f16_to_f32(h);
    } else if (dtype == DType::kBF16) {
      const uint16_t h = f32_to_bf16(x);
      std::memcpy(p, &h, 2);
      w.values[i] = bf16_to_f32(h);
    } else {
      uint8_t code = static_cast<uint8_t>(rng.next_u32());  // every code, subnormals and -0 included, but NaN
      if ((code & 0x7F) == 0x7F) code = 0x7E;
      *p = code;
      w.values[i] =
          double(e4m3_to_f32(code)) * w.scales[i / cols / block_rows * n_col_blocks + i % cols / block_cols];
    }
  }
  if (with_bias)
    for (int64_t r = 0; r < rows; ++r) w.bias.push_back(static_cast<float>(rng.next_double()));
  w.view.data = w.bytes.data() + misaligned;
  w.view.dtype = dtype;
  w.view.rows = rows;
  w.view.cols = cols;
  w.view.bias = with_bias ? w.bias.data() : nullptr;
  if (dtype == DType::kF8E4M3) {
    w.view.scales = w.scales.data();
    w.view.block_rows = block_rows;
    w.view.block_cols = block_cols;
  }
  return w;
}

std::vector<float> random_floats(CounterRng& rng, int64_t n) {
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(rng.next_double() * 2 - 1);
  return x;
}

TensorView matrix(const std::vector<float>& x, int64_t rows, int64_t cols) {
  return {const_cast<float*>(x.data()), DType::kF32, Device::kCpu, rows, cols, cols};
}

// The largest |got - want| relative to the sum of |products|, the scale of rounding errors.
double worst_error(const Weight& w, const std::vector<float>& x, int64_t T, const std::vector<float>& y) {
  const int64_t rows = w.view.rows, cols = w.view.cols;
  double worst = 0;
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t r = 0; r < rows; ++r) {
      double want = w.view.bias ? w.view.bias[r] : 0, size = 1e-30 + std::fabs(want);
      for (int64_t c = 0; c < cols; ++c) {
        want += x[t * cols + c] * w.values[r * cols + c];
        size += std::fabs(x[t * cols + c] * w.values[r * cols + c]);
      }
      const double error = std::fabs(y[t * rows + r] - want) / size;
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

// Per level and activations. Float32 sums err by a few 2^-24 a product; two bfloat16 terms keep 2^-17; one
// keeps 2^-9.
constexpr double kF32Tolerance = 4e-6, kSplitTolerance = 2e-5, kBF16Tolerance = 8e-3;

struct Shape {
  int64_t rows, cols, block_rows, block_cols;
};
constexpr Shape kShapes[] = {
    {1, 1, 1, 1},      {3, 17, 128, 128},    {48, 64, 32, 32},  {50, 130, 128, 128}, {97, 257, 128, 128},
    {64, 300, 32, 32}, {160, 576, 128, 128}, {33, 256, 33, 48}, {5, 513, 2, 7},      {96, 512, 128, 128}};

}  // namespace

TEST_CASE("matmul: all levels, types, shapes and token counts") {
  std::printf("matmul seed %llu\n", static_cast<unsigned long long>(kSeed));
  for (const Isa isa : available_isas()) {
    for (const Activations activations : {Activations::kF32, Activations::kBF16}) {
      Bench bench(isa, 2, activations);
      for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3}) {
        CounterRng rng(kSeed);
        for (const Shape& s : kShapes) {
          const Weight w = make_weight(rng, dtype, s.rows, s.cols, s.block_rows, s.block_cols, s.rows % 2);
          for (const int64_t T : {0, 1, 2, 3, 6, 7, 33, 70}) {
            const auto x = random_floats(rng, T * s.cols);
            std::vector<float> y(T * s.rows, NAN);
            const MatmulJob job[] = {{w.view, matrix(x, T, s.cols), matrix(y, T, s.rows)}};
            matmul(bench.context, job);
            INFO(isa_name(isa), " ", dtype_name(dtype), " ", s.rows, "x", s.cols, " T ", T);
            CHECK(worst_error(w, x, T, y) <
                  (activations == Activations::kF32 ? kSplitTolerance : kBF16Tolerance));
          }
        }
      }
    }
  }
}

TEST_CASE("matmul: the AMX kernel's source over emulated tiles") {
  const GemmKernels& kernels = gemm_kernels_amx_emulated();
  for (const bool split : {true, false}) {
    for (const DType dtype : {DType::kBF16, DType::kF8E4M3}) {
      CounterRng rng(kSeed + 1);
      for (const Shape& s : kShapes) {
        if (dtype == DType::kF8E4M3 && s.block_cols % 32) continue;  // such blocks go to another kernel
        const Weight w = make_weight(rng, dtype, s.rows, s.cols, s.block_rows, s.block_cols, true);
        for (const int64_t T : {1, 31, 32, 70}) {
          const auto x = random_floats(rng, T * s.cols);
          const int64_t n_panels = (T + kernels.panel_tokens - 1) / kernels.panel_tokens;
          std::vector<float> packed(n_panels * kernels.panel_floats(s.cols)),
              scratch(kernels.scratch_floats(T)), y(T * s.rows, NAN);
          for (int64_t p = 0; p < n_panels; ++p)
            kernels.pack(x.data(), s.cols, T, s.cols, p, packed.data() + p * kernels.panel_floats(s.cols),
                         split);
          const MatmulTask job{w.view, x.data(), s.cols, T, y.data(), s.rows};
          for (int64_t r = 0; r < s.rows; r += kernels.unit_rows)
            kernels.gemm(job, packed.data(), r, std::min(r + kernels.unit_rows, s.rows), scratch.data(),
                         split);
          INFO(dtype_name(dtype), " ", s.rows, "x", s.cols, " T ", T, " split ", split);
          CHECK(worst_error(w, x, T, y) < (split ? kSplitTolerance : kBF16Tolerance));
        }
      }
    }
  }
}

TEST_CASE("matmul: several jobs at once, shared and separate inputs, strided outputs") {
  for (const Isa isa : available_isas()) {
    Bench bench(isa, 3);
    CounterRng rng(kSeed + 2);
    const Weight a = make_weight(rng, DType::kBF16, 70, 96, 0, 0, false),
                 b = make_weight(rng, DType::kF32, 31, 96, 0, 0, true),
                 c = make_weight(rng, DType::kF8E4M3, 129, 96, 64, 32, false);
    for (const int64_t T : {1, 4, 40}) {
      const auto x = random_floats(rng, T * 96), z = random_floats(rng, T * 96);
      std::vector<float> ya(T * 70), yb(T * 31), yc(T * 129);
      const MatmulJob jobs[] = {{a.view, matrix(x, T, 96), matrix(ya, T, 70)},
                                {b.view, matrix(x, T, 96), matrix(yb, T, 31)},
                                {c.view, matrix(z, T, 96), matrix(yc, T, 129)}};
      matmul(bench.context, jobs);
      INFO(isa_name(isa), " T ", T);
      CHECK(worst_error(a, x, T, ya) < kSplitTolerance);
      CHECK(worst_error(b, x, T, yb) < kF32Tolerance);
      CHECK(worst_error(c, z, T, yc) < kSplitTolerance);
    }
  }
}

TEST_CASE("a token's bits do not depend on how many are multiplied with it") {
  for (const Isa isa : available_isas()) {
    Bench bench(isa);
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3}) {
      CounterRng rng(kSeed + 5);
      // Short and long rows, and numbers of rows that no tile divides.
      for (const Shape& s : {Shape{50, 130, 128, 128}, {13, 4200, 128, 128}, {97, 257, 128, 128}}) {
        const Weight w = make_weight(rng, dtype, s.rows, s.cols, s.block_rows, s.block_cols, false);
        constexpr int64_t T = 34;
        const auto x = random_floats(rng, T * s.cols);
        const auto multiply = [&](int64_t begin, int64_t n, std::vector<TokenRun> runs) {
          std::vector<float> y(n * s.rows, NAN);
          const MatmulJob job[] = {{w.view, matrix(x, T, s.cols).rows_from(begin, n), matrix(y, n, s.rows)}};
          matmul(bench.context, job, runs);
          return y;
        };
        // Ones and threes, a prompt of 20, a few more.
        const int64_t sizes[] = {1, 3, 20, 6, 1, 3};
        std::vector<TokenRun> runs;
        for (const int64_t n : sizes) runs.push_back({n, few_or_many(n)});
        const auto together = multiply(0, T, runs);
        int64_t begin = 0;
        for (const int64_t n : sizes) {
          const auto alone = multiply(begin, n, {});
          INFO(isa_name(isa), " ", dtype_name(dtype), " ", s.rows, "x", s.cols, " ", n, " tokens at ", begin);
          CHECK(std::memcmp(alone.data(), together.data() + begin * s.rows, alone.size() * 4) == 0);
          begin += n;
        }
        // Decoded side by side or one by one.
        const auto five = multiply(0, 5, {});
        for (int64_t t = 0; t < 5; ++t)
          CHECK(std::memcmp(multiply(t, 1, {}).data(), five.data() + t * s.rows, s.rows * 4) == 0);
      }
    }
  }
}

// The places where the code of a product of few tokens changes, from every constant in kernels/matmul.h,
// matmul.cpp and cpu/: rows of more than kLongCols = 4096 columns (one chain of sums and tiles of 8 / NT
// rows, else four chains and one row), NT of 4, 2 and 1 tokens, kFewTokens = 6, units of kTile = 8 rows and
// of kGemvUnitBytes = 128 KiB (two tiles of rows from 16 units on, kMinGemvUnits), vectors of 1, 8 and 16
// lanes by kShortChains = 4 with a ragged last one, groups of 32 and 64 E4M3 weights, and of many tokens
// kStripCols = 256 columns, 48 rows a unit, panels of 8, 16 and 32 tokens.
TEST_CASE("matmul: long rows, ragged tiles, a bias and scales of each row's own") {
  constexpr int64_t kGap = 3;
  struct Long {
    Shape shape;
    std::vector<int64_t> tokens;
  };
  const Long cases[] = {{{9, 4095, 3, 128}, {1, 2, 4}},     {{9, 4096, 3, 128}, {1, 2, 4}},
                        {{1, 4097, 2, 128}, {1, 3}},        {{7, 4097, 2, 128}, {1, 4}},
                        {{8, 4097, 3, 32}, {1, 2}},         {{19, 4129, 3, 128}, {1, 2, 3, 4, 5, 6, 7}},
                        {{17, 4352, 128, 4352}, {1, 2, 5}},  // one scale a row of blocks
                        {{17, 4200, 5, 40}, {1, 3, 6}},      // blocks that no group divides
                        {{283, 4100, 128, 128}, {1, 2}}};    // units of several tiles, the last cut short
  for (const Isa isa : available_isas()) {
    Bench bench(isa, 3);
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3}) {
      CounterRng rng(kSeed + 6);
      for (const Long& c : cases) {
        const Shape& s = c.shape;
        Weight w = make_weight(rng, dtype, s.rows, s.cols, s.block_rows, s.block_cols, true);
        for (float& b : w.bias) b *= 50;  // a bias of another row is far from rounding
        for (const int64_t T : c.tokens) {
          Floats x = random_tensor(rng, T, s.cols, 1, kGap), y(T, s.rows, -7, kGap);
          const MatmulJob job[] = {{w.view, x.view(), y.view()}};
          matmul(bench.context, job);
          std::vector<float> dense_x, dense_y;
          for (int64_t t = 0; t < T; ++t) {
            dense_x.insert(dense_x.end(), x.row(t), x.row(t) + s.cols);
            dense_y.insert(dense_y.end(), y.row(t), y.row(t) + s.rows);
            for (int64_t i = 0; i < kGap; ++i) CHECK(y.row(t)[s.rows + i] == -7);
          }
          INFO(isa_name(isa), " ", dtype_name(dtype), " ", s.rows, "x", s.cols, " T ", T);
          CHECK(worst_error(w, dense_x, T, dense_y) < kSplitTolerance);
        }
        // A part of the rows takes its own scales and biases.
        if (s.rows < 9) continue;
        const auto x = random_floats(rng, s.cols);
        std::vector<float> y(s.rows - 5, NAN), all(s.rows);
        const MatmulJob part[] = {{w.view.rows_from(4, s.rows - 5), matrix(x, 1, s.cols),
                                   matrix(y, 1, s.rows - 5)}},
                        whole[] = {{w.view, matrix(x, 1, s.cols), matrix(all, 1, s.rows)}};
        matmul(bench.context, part);
        matmul(bench.context, whole);
        for (int64_t r = 0; r < s.rows - 5; ++r) CHECK(y[r] == doctest::Approx(all[r + 4]).epsilon(1e-4));
      }
    }
  }
}

TEST_CASE("matmul_heads, its transpose, and embed over parts of rows") {
  for (const Isa isa : available_isas()) {
    Bench bench(isa);
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3}) {
      CounterRng rng(kSeed + 3);
      constexpr int64_t H = 3, kHead = 20, kFirst = 7, kRows = 9, kCols = 130;
      const Weight w = make_weight(rng, dtype, H * kHead, kCols, 16, 64, false);
      for (const int64_t T : {1, 3, 9}) {
        const auto wide = random_floats(rng, T * H * kCols), narrow = random_floats(rng, T * H * kRows);
        std::vector<float> y(T * H * kRows, NAN), z(T * H * kCols, NAN), row(kCols, NAN);
        HeadsMatmulJob job{
            w.view, H, kHead, kFirst, kRows, matrix(wide, T, H * kCols), kCols, matrix(y, T, H * kRows),
            kRows};
        matmul_heads(bench.context, job, {});
        job.x = matrix(narrow, T, H * kRows), job.x_head = kRows;
        job.y = matrix(z, T, H * kCols), job.y_head = kCols;
        matmul_heads_transposed(bench.context, job, {});
        double worst = 0;
        const auto value = [&](int64_t h, int64_t r, int64_t c) {
          return w.values[(h * kHead + kFirst + r) * kCols + c];
        };
        for (int64_t i = 0; i < T * H; ++i) {
          for (int64_t r = 0; r < kRows; ++r) {
            double want = 0, size = 1e-30;
            for (int64_t c = 0; c < kCols; ++c) {
              want += wide[i * kCols + c] * value(i % H, r, c);
              size += std::fabs(wide[i * kCols + c] * value(i % H, r, c));
            }
            worst = std::max(worst, std::fabs(y[i * kRows + r] - want) / size);
          }
          for (int64_t c = 0; c < kCols; ++c) {
            double want = 0, size = 1e-30;
            for (int64_t r = 0; r < kRows; ++r) {
              want += narrow[i * kRows + r] * value(i % H, r, c);
              size += std::fabs(narrow[i * kRows + r] * value(i % H, r, c));
            }
            worst = std::max(worst, std::fabs(z[i * kCols + c] - want) / size);
          }
        }
        INFO(isa_name(isa), " ", dtype_name(dtype), " T ", T);
        CHECK(worst < kSplitTolerance);
        const int32_t last[] = {kRows - 1};
        embed(bench.context, w.view.rows_from(kFirst, kRows), last, matrix(row, 1, kCols));
        for (int64_t c = 0; c < kCols; ++c)
          CHECK(row[c] == doctest::Approx(value(0, kRows - 1, c)).epsilon(1e-6));
      }
    }
  }
}

TEST_CASE("E4M3 decode: extreme activations, and a NaN code reaches its row alone") {
  for (const Isa isa : available_isas()) {
    Bench bench(isa, 1);
    CounterRng rng(kSeed + 4);
    std::vector<Shape> shapes(std::begin(kShapes), std::end(kShapes));
    shapes.push_back({19, 4129, 3, 128});  // rows in tiles
    for (const Shape& s : shapes) {
      Weight w = make_weight(rng, DType::kF8E4M3, s.rows, s.cols, s.block_rows, s.block_cols, false);
      for (const int64_t T : {1, 2, 5}) {
        INFO(isa_name(isa), " ", s.rows, "x", s.cols, " T ", T);
        std::vector<float> y(T * s.rows);
        for (const float size : {1e-18f, 1e12f}) {
          auto x = random_floats(rng, T * s.cols);
          for (float& v : x) v *= size;
          const MatmulJob job[] = {{w.view, matrix(x, T, s.cols), matrix(y, T, s.rows)}};
          matmul(bench.context, job);
          CHECK(worst_error(w, x, T, y) < kSplitTolerance);
        }
        const auto x = random_floats(rng, T * s.cols);
        for (const uint8_t nan : {uint8_t{0x7F}, uint8_t{0xFF}}) {
          uint8_t& code = w.bytes[1 + (s.rows / 2) * s.cols + s.cols - 1];
          const uint8_t kept = std::exchange(code, nan);
          const MatmulJob job[] = {{w.view, matrix(x, T, s.cols), matrix(y, T, s.rows)}};
          matmul(bench.context, job);
          for (int64_t i = 0; i < T * s.rows; ++i) CHECK(std::isnan(y[i]) == (i % s.rows == s.rows / 2));
          code = kept;
        }
      }
    }
  }
}

TEST_CASE("the level that was asked for is the level that runs") {
  for (const Isa isa : available_isas()) {
    const std::string name = isa_name(isa);
    WeightView f32, bf16;
    f32.dtype = DType::kF32;
    bf16.dtype = DType::kBF16;
    const std::string gemv = matmul_kernels(isa).name, gemm_f32 = gemm_kernels(isa, f32).name,
                      gemm_bf16 = gemm_kernels(isa, bf16).name;
    // AMX has no decode kernel of its own: it takes the level below.
    CHECK(gemv == (isa == Isa::kAmx ? "avx512" : name));
    CHECK(gemm_f32 == (isa == Isa::kAmx ? "avx512" : name));
    WeightView e4m3;
    e4m3.dtype = DType::kF8E4M3;
    e4m3.cols = 256;
    const GemvE4M3Kernels* prepared = gemv_e4m3_kernels(isa, e4m3);
    if (isa == Isa::kScalar) CHECK(prepared == nullptr);
    if (isa == Isa::kAvx2) CHECK(std::string(prepared->name) == "avx2");
    CHECK(gemm_bf16 == (isa == Isa::kAvx512 && cpu_features().avx512_bf16 ? "avx512bf16" : name));
  }
}

namespace {

// Blocks of 32 values: a float, then a byte each.
constexpr int64_t kBlock = 32, kBlockBytes = 36;
void decode_test_blocks(const std::byte* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; ++i) {
    const std::byte* block = from + i / kBlock * kBlockBytes;
    to[i] = load_unaligned<float>(block) * static_cast<float>(load_unaligned<int8_t>(block + 4 + i % kBlock));
  }
}
constexpr TensorFormat kTestBlocks = {"blocks", kBlock, kBlockBytes, TensorFormat::Scales::kWithin,
                                      decode_test_blocks};

Weight make_blocks(CounterRng& rng, int64_t rows, int64_t cols, bool with_bias) {
  Weight w;
  w.bytes.resize(rows * cols / kBlock * kBlockBytes + 1);
  for (int64_t b = 0; b < rows * cols / kBlock; ++b) {
    uint8_t* block = w.bytes.data() + 1 + b * kBlockBytes;
    const auto scale = static_cast<float>(rng.next_double() / 100);
    std::memcpy(block, &scale, 4);
    for (int64_t i = 0; i < kBlock; ++i) {
      block[4 + i] = static_cast<uint8_t>(rng.next_u32());
      w.values.push_back(double(scale) * static_cast<int8_t>(block[4 + i]));
    }
  }
  for (int64_t r = 0; with_bias && r < rows; ++r) w.bias.push_back(static_cast<float>(rng.next_double()));
  w.view.data = w.bytes.data() + 1;
  w.view.blocks = &kTestBlocks;
  w.view.rows = rows;
  w.view.cols = cols;
  w.view.bias = with_bias ? w.bias.data() : nullptr;
  return w;
}

}  // namespace

TEST_CASE("matmul over blocks: all levels, piece borders, and a token's bits whatever its companions") {
  for (const Isa isa : available_isas()) {
    Bench bench(isa, 2, Activations::kF32);
    CounterRng rng(kSeed);
    for (const int64_t rows : {1, 7, 50})
      for (const int64_t cols : {32, 256, 992, 1024, 1056, 2080, 4128}) {
        INFO(isa_name(isa), " ", rows, "x", cols);
        const Weight w = make_blocks(rng, rows, cols, rows == 7);
        const auto x = random_floats(rng, 33 * cols);
        std::vector<float> alone(rows);
        for (const int64_t T : {0, 1, 2, 4, 5, 6, 7, 33}) {
          std::vector<float> y(T * rows, NAN);
          const MatmulJob job[] = {{w.view, matrix(x, T, cols), matrix(y, T, rows)}};
          matmul(bench.context, job);
          CHECK(worst_error(w, x, T, y) < kF32Tolerance);
          if (T == 1) alone = y;
          if (T > 1 && T <= kFewTokens) CHECK(std::equal(alone.begin(), alone.end(), y.begin()));
        }
        const int32_t token[] = {static_cast<int32_t>(rows - 1)};
        std::vector<float> row(cols), z(2 * cols, NAN);
        embed(bench.context, w.view, token, matrix(row, 1, cols));
        for (int64_t c = 0; c < cols; ++c)
          CHECK(row[c] == static_cast<float>(w.values[(rows - 1) * cols + c]));
        HeadsMatmulJob heads;
        heads.w = w.view, heads.H = 1, heads.head_rows = heads.n_rows = rows;
        heads.x = matrix(x, 2, rows), heads.y = matrix(z, 2, cols);
        heads.x_head = rows, heads.y_head = cols;
        matmul_heads_transposed(bench.context, heads, {});
        for (int64_t t = 0; t < 2; ++t)
          for (int64_t c = 0; c < cols; ++c) {
            double want = 0, size = 1e-30;
            for (int64_t r = 0; r < rows; ++r) {
              want += x[t * rows + r] * w.values[r * cols + c];
              size += std::fabs(x[t * rows + r] * w.values[r * cols + c]);
            }
            if (!(std::fabs(z[t * cols + c] - want) <= kF32Tolerance * size))
              FAIL_CHECK("row ", t, " column ", c);
          }
      }
  }
}
