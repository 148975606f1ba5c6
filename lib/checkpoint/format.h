// How values lie in a file: one row per format, for matrices and for their scales.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace ds::checkpoint {

struct TensorFormat {
  const char* name;
  int64_t block_cols, block_bytes;  // the least piece of a row that can be read by itself: values and bytes
  enum class Scales {
    kNone,    // the values are the stored numbers
    kBeside,  // a tensor of its own holds one factor per block of rows and columns
  } scales;
  // n values from their blocks, n a multiple of block_cols; without the factors of kBeside.
  void (*decode_row)(const std::byte* from, int64_t n, float* to);

  int64_t bytes_of(int64_t n) const { return n / block_cols * block_bytes; }
};

// nullptr for types that hold no values of a matrix: integers, booleans, unknown ones.
const TensorFormat* format_of(DType dtype);
extern const TensorFormat kE2M1Format;  // two a byte, low nibble first; safetensors call the bytes I8 or U8
extern const TensorFormat kE4M3Format;

}  // namespace ds::checkpoint
