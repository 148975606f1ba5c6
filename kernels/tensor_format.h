// How values lie in memory, as files have them: a matrix [rows, cols] is rows of whole blocks.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ds::kernels {

struct TensorFormat {
  const char* name;
  int64_t block_cols, block_bytes;  // the least piece of a row that can be read by itself: values and bytes
  enum class Scales {
    kNone,    // the values are the stored numbers
    kWithin,  // each block begins or ends with factors of its own, which decode_row applies
    kBeside,  // a tensor of its own holds one factor per block of rows and columns
  } scales;
  // n values from their blocks, n a multiple of block_cols; without the factors of kBeside.
  void (*decode_row)(const std::byte* from, int64_t n, float* to);

  int64_t bytes_of(int64_t n) const { return n / block_cols * block_bytes; }
};

}  // namespace ds::kernels
