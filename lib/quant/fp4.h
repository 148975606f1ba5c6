// FP4 weights as DeepSeek-V4 stores its experts: E2M1, two a byte (low nibble first), one E8M0 scale a group.
#pragma once
#include <cstdint>

#include "checkpoint/model_folder.h"

namespace ds::quant {

// The E8M0 codes of a rectangle's groups, [rows, groups]. Throws Error{kBadModel} for NaN.
void read_fp4_scales(const ModelFolder& model, const WeightCoding& coding, int64_t row, int64_t rows,
                     int64_t col, int64_t cols, uint8_t* to);

// packed [rows, cols / 2], exponents [rows, ceil(cols / group)] -> out [rows, cols]. Exact but where BF16
// ends.
void fp4_to_bf16(const uint8_t* packed, const uint8_t* exponents, int64_t rows, int64_t cols, int64_t group,
                 uint16_t* out);

// One block row: out [rows, cols] E4M3 under scales [ceil(cols / block_cols)] E8M0, the same values exactly.
// false when no such scales exist (group scales of one block more than 2^14 apart, roughly).
bool fp4_to_e4m3(const uint8_t* packed, const uint8_t* exponents, int64_t rows, int64_t cols, int64_t group,
                 int64_t block_cols, uint8_t* out, uint8_t* scales);

}  // namespace ds::quant
