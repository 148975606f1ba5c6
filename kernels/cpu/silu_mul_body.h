// silu_mul.h over a Vec of any width; included once by each silu_mul_<isa>.cpp after its vec_*.h.
#pragma once
#include <cstring>

#include "kernels/silu_mul_kernels.h"

namespace ds::kernels {
namespace {

inline Vec silu_mul_vec(Vec gate, Vec up) {
  const Vec one = Vec::set1(1);
  // For very negative gates exp is huge or infinite; the quotient is then as good as 0, as it should be.
  return gate / (one + exp(Vec::zero() - gate)) * up;
}

inline void silu_mul_row(const float* gate, const float* up, int64_t n, float* y) {
  int64_t i = 0;
  for (; i + Vec::kLanes <= n; i += Vec::kLanes)
    silu_mul_vec(Vec::load(gate + i), Vec::load(up + i)).store(y + i);
  if (i < n) {
    float g[Vec::kLanes] = {}, u[Vec::kLanes] = {};
    std::memcpy(g, gate + i, (n - i) * 4);
    std::memcpy(u, up + i, (n - i) * 4);
    silu_mul_vec(Vec::load(g), Vec::load(u)).store(g);
    std::memcpy(y + i, g, (n - i) * 4);
  }
}

}  // namespace
}  // namespace ds::kernels
