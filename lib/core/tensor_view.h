// A matrix somewhere in memory: what ops take and what passes between them. Owns nothing; only kernels
// dereference `data`, everybody else cuts views out of views.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace ds {

enum class Device : uint8_t {
  kCpu,
  kGuarded,  // memory that only ops may touch, on the CPU: how tests prove that nobody else does
};

struct TensorView {
  void* data = nullptr;  // [rows, cols], rows ld elements apart
  DType dtype = DType::kF32;
  Device device = Device::kCpu;
  int64_t rows = 0, cols = 0, ld = 0;

  explicit operator bool() const { return data != nullptr; }
  TensorView rows_from(int64_t begin, int64_t n) const { return part(begin * ld, n, cols); }
  TensorView cols_from(int64_t begin, int64_t n) const { return part(begin, rows, n); }
  // The same elements, `width` to a row: [T, H * D] as [T * H, D]. Rows must follow each other without gaps.
  TensorView split(int64_t width) const {
    TensorView view = *this;
    view.rows = rows * (cols / width), view.cols = width, view.ld = width;
    return view;
  }

 private:
  TensorView part(int64_t offset, int64_t n_rows, int64_t n_cols) const {
    TensorView view = *this;
    if (data) view.data = static_cast<char*>(data) + offset * dtype_bytes(dtype);
    view.rows = n_rows, view.cols = n_cols;
    return view;
  }
};

}  // namespace ds
