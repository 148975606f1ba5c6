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

inline void silu_mul_backward_vec(const float* gate, const float* up, float* dy, float* dgate, float* dup) {
  const Vec one = Vec::set1(1), g = Vec::load(gate), d = Vec::load(dy);
  const Vec s = one / (one + exp(Vec::zero() - g));
  Vec::zero().store(dy);  // before the others: it may be one of them
  (Vec::load(dgate) + d * Vec::load(up) * s * (one + g * (one - s))).store(dgate);
  (Vec::load(dup) + d * g * s).store(dup);
}

inline void silu_mul_backward_row(const float* gate, const float* up, int64_t n, float* dy, float* dgate,
                                  float* dup) {
  int64_t i = 0;
  for (; i + Vec::kLanes <= n; i += Vec::kLanes)
    silu_mul_backward_vec(gate + i, up + i, dy + i, dgate + i, dup + i);
  if (i < n) {
    const int64_t bytes = (n - i) * 4;
    float g[Vec::kLanes] = {}, u[Vec::kLanes] = {}, d[Vec::kLanes] = {}, dg[Vec::kLanes] = {},
          du[Vec::kLanes] = {};
    std::memcpy(g, gate + i, bytes);
    std::memcpy(u, up + i, bytes);
    std::memcpy(d, dy + i, bytes);
    std::memset(dy + i, 0, bytes);
    std::memcpy(dg, dgate + i, bytes);
    std::memcpy(du, dup + i, bytes);
    silu_mul_backward_vec(g, u, d, dg, du);
    std::memcpy(dgate + i, dg, bytes);
    std::memcpy(dup + i, du, bytes);
  }
}

}  // namespace
}  // namespace ds::kernels
