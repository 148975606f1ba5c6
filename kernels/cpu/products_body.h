// products.h over a Vec of any width; included once by each products_<isa>.cpp after its vec_*.h.
#pragma once
#include "kernels/products.h"

namespace ds::kernels {
namespace {

inline void product_tile(const ProductTile& tile) {
  constexpr int kRows = Vec::kGemmRows, kVecs = Vec::kGemmVecs, kCols = kVecs * Vec::kLanes;
  const float* a[kRows];
  for (int r = 0; r < kRows; ++r) a[r] = tile.a + (r < tile.n_rows ? r : 0) * tile.a_row;
  Vec acc[kRows][kVecs];
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVecs; ++v) acc[r][v] = Vec::zero();
  const float* b = tile.panel;
  for (int64_t k = 0; k < tile.K; ++k, b += kCols) {
    Vec bv[kVecs];
    for (int v = 0; v < kVecs; ++v) bv[v] = Vec::load(b + v * Vec::kLanes);
    for (int r = 0; r < kRows; ++r) {
      const Vec av = Vec::set1(a[r][k * tile.a_col]);
      for (int v = 0; v < kVecs; ++v) acc[r][v] = fma(av, bv[v], acc[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    if (r >= tile.n_rows) break;
    float* c = tile.c + r * tile.ldc;
    if (tile.n_cols == kCols) {
      for (int v = 0; v < kVecs; ++v) (Vec::load(c + v * Vec::kLanes) + acc[r][v]).store(c + v * Vec::kLanes);
    } else {
      float sums[kCols];
      for (int v = 0; v < kVecs; ++v) acc[r][v].store(sums + v * Vec::kLanes);
      for (int64_t n = 0; n < tile.n_cols; ++n) c[n] += sums[n];
    }
  }
}

constexpr int64_t kTileRows = Vec::kGemmRows, kTileCols = Vec::kGemmVecs * Vec::kLanes;

}  // namespace
}  // namespace ds::kernels
