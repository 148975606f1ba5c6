// Tensors and a context for tests of single ops.
#pragma once
#include <cmath>
#include <vector>

#include "core/rng.h"
#include "kernels/context.h"

namespace ds::test {

// Owns what a view shows; rows lie `gap` elements apart from each other's ends.
template <class T>
struct Tensor {
  std::vector<T> values;
  int64_t rows, cols, ld;
  Tensor(int64_t n_rows, int64_t n_cols, T fill = T(), int64_t gap = 0)
      : values(n_rows * (n_cols + gap), fill), rows(n_rows), cols(n_cols), ld(n_cols + gap) {}
  TensorView view() {
    return {values.data(), sizeof(T) == 4 && T(0.5f) == T(0) ? DType::kI32 : DType::kF32,
            Device::kCpu,  rows,
            cols,          ld};
  }
  T* row(int64_t r) { return values.data() + r * ld; }
  T& at(int64_t r, int64_t c) { return values[r * ld + c]; }
};
using Floats = Tensor<float>;
using Ints = Tensor<int32_t>;

inline Floats random_tensor(CounterRng& rng, int64_t rows, int64_t cols, double scale = 1, int64_t gap = 0) {
  Floats t(rows, cols, NAN, gap);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) t.at(r, c) = static_cast<float>((rng.next_double() * 2 - 1) * scale);
  return t;
}

// Everything an op needs at one level.
struct Bench {
  ThreadPool pool;
  kernels::Arena arena{8 << 20};
  kernels::Context context;
  explicit Bench(Isa isa, int n_threads = 2, kernels::Activations activations = kernels::Activations::kF32)
      : pool(n_threads), context{&pool, arena, {isa, activations}} {}
};

}  // namespace ds::test
