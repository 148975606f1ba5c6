// Products of float32 matrices, added to what is there: what gradients and adapters are made of. Private to
// kernels/.
//
//   c[m, n] += sum_k a[m, k] b[k, n]
//
// A sum runs over k in order, in blocks that depend on K alone, and does not depend on M, on other products
// or on threads.
#pragma once
#include <span>

#include "core/cpu.h"
#include "kernels/op.h"
#include "kernels/weight_view.h"

namespace ds::kernels {

struct Product {
  int64_t M = 0, N = 0, K = 0;
  const float* a = nullptr;  // a[m * a_row + k * a_col]
  int64_t a_row = 0, a_col = 1;
  const float* b = nullptr;  // b[k * b_row + n * b_col], one of the two steps being 1
  int64_t b_row = 0, b_col = 1;
  WeightView w;        // in place of b where that is null: [K, N] as stored
  float* c = nullptr;  // c[m * ldc + n]
  int64_t ldc = 0;

  int64_t unit_begin = 0;  // first of its units in the parallel loop
};

// All in one parallel loop: no two may write the same c.
void run_products(const Op& op, std::span<Product> products);

// One tile: rows of a times a panel of b.
struct ProductTile {
  int64_t K = 0;
  const float* a = nullptr;
  int64_t a_row = 0, a_col = 1;
  const float* panel = nullptr;  // [K, cols], columns beyond n_cols are 0
  float* c = nullptr;
  int64_t ldc = 0;
  int64_t n_rows = 0, n_cols = 0;  // up to the kernel's
};
struct ProductKernel {
  const char* name;
  int64_t rows, cols;
  void (*tile)(const ProductTile& tile);
};
const ProductKernel& product_kernel(Isa isa);

}  // namespace ds::kernels
