#include "kernels/products.h"

#include <algorithm>
#include <cstring>

#include "kernels/matmul_kernels.h"

namespace ds::kernels {

DS_KERNEL_LEVELS(ProductKernel, kProduct, kProductLevels);

const ProductKernel& product_kernel(Isa isa) { return pick(kProductLevels, isa); }

namespace {

// A unit of work is kUnitRows x kUnitCols of c; its part of b is packed in blocks of kBlock of k, which stay
// in the second-level cache. Every tile's width divides kUnitCols.
constexpr int64_t kUnitRows = 480, kUnitCols = 256, kBlock = 256;

int64_t units(int64_t n, int64_t size) { return (n + size - 1) / size; }

// Columns [begin, + n) of row k of a stored matrix. whole: scratch for a row, for scale blocks that columns
// cannot be cut at.
void decode(const MatmulKernels& kernels, const WeightView& w, int64_t k, int64_t begin, int64_t n,
            float* whole, float* out) {
  WeightView part = w.rows_from(k, 1);
  part.bias = nullptr;
  const int64_t grain = w.blocks ? w.blocks->block_cols : w.scales ? w.block_cols : 1;
  const int64_t end = std::min((begin + n + grain - 1) / grain * grain, w.cols);
  if (begin % grain == 0 && end - begin <= kUnitCols) {
    part.data = static_cast<const char*>(part.data) +
                (w.blocks ? w.blocks->bytes_of(begin) : begin * dtype_bytes(w.dtype));
    if (w.scales) {
      part.scales = w.scales + part.first_row / w.block_rows * w.n_col_blocks() + begin / w.block_cols;
      part.first_row = 0;
    }
    part.cols = end - begin;
    kernels.dequantize_row(part, 0, whole);
    std::memcpy(out, whole, n * sizeof(float));
  } else {
    kernels.dequantize_row(part, 0, whole);
    std::memcpy(out, whole + begin, n * sizeof(float));
  }
}

// b[k0 + k, n0 + n] in panels of the tile's width: [panels][n_k][width], 0 beyond the last column.
void pack(const Product& p, const MatmulKernels& kernels, int64_t width, int64_t k0, int64_t n_k, int64_t n0,
          int64_t n_n, float* whole, float* packed) {
  const int64_t n_panels = units(n_n, width);
  if (n_n % width) std::memset(packed + (n_panels - 1) * n_k * width, 0, n_k * width * sizeof(float));
  if (p.b && p.b_col != 1) {
    for (int64_t n = 0; n < n_n; ++n) {
      const float* from = p.b + (n0 + n) * p.b_col + k0 * p.b_row;
      float* to = packed + n / width * n_k * width + n % width;
      for (int64_t k = 0; k < n_k; ++k) to[k * width] = from[k * p.b_row];
    }
    return;
  }
  float row[kUnitCols];
  for (int64_t k = 0; k < n_k; ++k) {
    const float* from = row;
    if (p.b) {
      from = p.b + (k0 + k) * p.b_row + n0;
    } else {
      decode(kernels, p.w, k0 + k, n0, n_n, whole, row);
    }
    for (int64_t n = 0; n < n_n; n += width)
      std::memcpy(packed + n / width * n_k * width + k * width, from + n,
                  std::min(width, n_n - n) * sizeof(float));
  }
}

}  // namespace

void run_products(const Op& op, std::span<Product> products) {
  const ProductKernel& kernel = product_kernel(op.isa());
  DS_CHECK(kUnitCols % kernel.cols == 0);
  int64_t n_units = 0, longest = kUnitCols;
  for (Product& p : products) {
    p.unit_begin = n_units;
    if (p.M > 0 && p.K > 0) n_units += units(p.M, kUnitRows) * units(p.N, kUnitCols);
    if (!p.b) longest = std::max(longest, p.N);
  }
  const Arena::Mark mark = op.context().arena.mark();
  const int64_t per_thread = kBlock * kUnitCols + longest;
  float* scratch = op.scratch(per_thread * op.context().n_threads());
  if (!op.dry()) {
    const MatmulKernels& decoders = matmul_kernels(op.isa());
    op.parallel_for(n_units, 1, [&](int64_t begin, int64_t end, int thread_idx) {
      float* packed = scratch + thread_idx * per_thread;
      for (int64_t u = begin; u < end; ++u) {
        const auto after = std::upper_bound(products.begin(), products.end(), u,
                                            [](int64_t v, const Product& p) { return v < p.unit_begin; });
        const Product& p = *(after - 1);
        const int64_t n_col_units = units(p.N, kUnitCols);
        const int64_t m0 = (u - p.unit_begin) / n_col_units * kUnitRows;
        const int64_t n0 = (u - p.unit_begin) % n_col_units * kUnitCols;
        const int64_t n_m = std::min(kUnitRows, p.M - m0), n_n = std::min(kUnitCols, p.N - n0);
        for (int64_t k0 = 0; k0 < p.K; k0 += kBlock) {
          const int64_t n_k = std::min(kBlock, p.K - k0);
          pack(p, decoders, kernel.cols, k0, n_k, n0, n_n, packed + kBlock * kUnitCols, packed);
          for (int64_t n = 0; n < n_n; n += kernel.cols) {
            for (int64_t m = 0; m < n_m; m += kernel.rows) {
              kernel.tile({n_k, p.a + (m0 + m) * p.a_row + k0 * p.a_col, p.a_row, p.a_col, packed + n * n_k,
                           p.c + (m0 + m) * p.ldc + n0 + n, p.ldc, std::min(kernel.rows, n_m - m),
                           std::min(kernel.cols, n_n - n)});
            }
          }
        }
      }
    });
  }
  op.context().arena.reset_to(mark);
}

}  // namespace ds::kernels
