#include "quant/fp4.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/numbers.h"

namespace ds::quant {
namespace {

// A block's scale is its largest group scale / 2^6: then 6 * 64 = 384 is the largest code.
constexpr int kHeadroom = 6;

}  // namespace

void read_fp4_scales(const ModelFolder& model, const WeightCoding& c, int64_t row, int64_t rows, int64_t col,
                     int64_t cols, uint8_t* to) {
  const int64_t all = c.scale_cols(), first = col / c.block_cols;
  const int64_t n = (cols + c.block_cols - 1) / c.block_cols;
  for (int64_t r = 0; r < rows;) {
    // One scale row covers block_rows value rows; for V4 that is one.
    const int64_t scale_row = (row + r) / c.block_rows;
    if (n == all && c.block_rows == 1) {
      model.read(*c.scale, scale_row * all, to, rows * n);
      break;
    }
    model.read(*c.scale, scale_row * all + first, to + r * n, n);
    ++r;
  }
  const uint8_t* nan = std::find(to, to + rows * n, uint8_t{0xFF});
  if (nan != to + rows * n)
    throw Error(ErrorKind::kBadModel, "a scale near row " + std::to_string(row + (nan - to) / n) + " is NaN",
                model.where(*c.scale), "the checkpoint is damaged: fetch it again");
}

void fp4_to_bf16(const uint8_t* packed, const uint8_t* exponents, int64_t rows, int64_t cols, int64_t group,
                 uint16_t* out) {
  const int64_t n_groups = (cols + group - 1) / group;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < n_groups; ++g) {
      const float scale = e8m0_to_f32(exponents[r * n_groups + g]);
      uint16_t value[16];
      for (int code = 0; code < 16; ++code)
        value[code] = f32_to_bf16(e2m1_to_f32(static_cast<uint8_t>(code)) * scale);
      const int64_t begin = g * group, end = std::min(cols, begin + group);
      for (int64_t k = begin; k < end; k += 2) {
        const uint8_t byte = packed[(r * cols + k) / 2];
        out[r * cols + k] = value[byte & 15];
        if (k + 1 < end) out[r * cols + k + 1] = value[byte >> 4];
      }
    }
  }
}

bool fp4_to_e4m3(const uint8_t* packed, const uint8_t* exponents, int64_t rows, int64_t cols, int64_t group,
                 int64_t block_cols, uint8_t* out, uint8_t* scales) {
  // Codes of magnitude * 2^ratio; 0xFF where E4M3 cannot hold it.
  constexpr int kLeastRatio = -9 - kHeadroom;
  std::array<std::array<uint8_t, 8>, kHeadroom - kLeastRatio + 1> table;
  for (int ratio = kLeastRatio; ratio <= kHeadroom; ++ratio)
    for (int code = 0; code < 8; ++code) {
      const float value = std::ldexp(e2m1_to_f32(static_cast<uint8_t>(code)), ratio);
      const uint8_t e4m3 = f32_to_e4m3(value);
      table[ratio - kLeastRatio][code] = e4m3_to_f32(e4m3) == value ? e4m3 : 0xFF;
    }
  const int64_t n_groups = (cols + group - 1) / group, n_blocks = (cols + block_cols - 1) / block_cols;
  std::vector<int> most(n_blocks, 0);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < cols; k += std::min(group, block_cols)) {
      int& m = most[k / block_cols];
      m = std::max<int>(m, exponents[r * n_groups + k / group]);
    }
  for (int64_t b = 0; b < n_blocks; ++b) scales[b] = static_cast<uint8_t>(std::max(most[b] - kHeadroom, 0));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < cols; ++k) {
      const uint8_t byte = packed[(r * cols + k) / 2];
      const uint8_t code = k % 2 ? byte >> 4 : byte & 15;
      const int ratio = exponents[r * n_groups + k / group] - scales[k / block_cols];
      const uint8_t e4m3 = (code & 7) == 0       ? 0
                           : ratio < kLeastRatio ? 0xFF
                                                 : table[ratio - kLeastRatio][code & 7];
      if (e4m3 == 0xFF) return false;
      out[r * cols + k] = static_cast<uint8_t>(e4m3 | (code & 8) << 4);
    }
  return true;
}

}  // namespace ds::quant
