// Rows that a sequence remembers, as a kernel sees them: a table of pages. Owns nothing.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace ds::kernels {

// Row r of a stream lies at pages[(r / page_rows) % n_pages] + (r % page_rows) * width elements. A stream
// with a window is a ring: n_pages pages hold its latest rows and later rows overwrite the oldest, so rows
// are numbered from the sequence's beginning either way. A step appends its rows before it reads: a ring
// holds the window and the longest step.
struct KvRows {
  void* const* pages = nullptr;  // [n_pages], each [page_rows, width]
  int64_t n_pages = 0;
  int64_t page_rows = 0;
  int64_t width = 0;          // elements in a row
  DType dtype = DType::kF32;  // kF32 or kBF16
  bool ring = false;          // false: row r exists for r < n_pages * page_rows only

  void* row(int64_t r) const {
    return static_cast<char*>(pages[r / page_rows % n_pages]) + r % page_rows * width * dtype_bytes(dtype);
  }
};

}  // namespace ds::kernels
