// probe.h over a Vec of any width; included once by each probe_<isa>.cpp after its vec_*.h.
#pragma once
#include "kernels/probe.h"

namespace ds::kernels {
namespace {

inline float probe_read(const void* data, int64_t n_bytes, int64_t prefetch_bytes) {
  const char* p = static_cast<const char*>(data);
  constexpr int64_t kBytes = Vec::kLanes * 4;
  Vec sum[4] = {Vec::zero(), Vec::zero(), Vec::zero(), Vec::zero()};
  for (int64_t i = 0; i + 4 * kBytes <= n_bytes; i += 4 * kBytes) {
    if (prefetch_bytes)
      for (int64_t line = 0; line < 4 * kBytes; line += 64) prefetch(p + i + prefetch_bytes + line);
    for (int v = 0; v < 4; ++v) sum[v] = sum[v] + Vec::load_f32(p + i + v * kBytes);
  }
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])).sum();
}

inline float probe_multiply_add(int64_t n_rounds, double* flops) {
  constexpr int kChains = 12;
  Vec acc[kChains];
  for (int c = 0; c < kChains; ++c) acc[c] = Vec::set1(static_cast<float>(c));
  // Not compile-time constants, or there would be nothing left to do.
  volatile float factor = 0.999f, addend = 0.001f;
  const Vec a = Vec::set1(factor), b = Vec::set1(addend);
  for (int64_t i = 0; i < n_rounds; ++i)
    for (int c = 0; c < kChains; ++c) acc[c] = fma(acc[c], a, b);
  float sum = 0;
  for (int c = 0; c < kChains; ++c) sum += acc[c].sum();
  *flops = static_cast<double>(n_rounds) * kChains * Vec::kLanes * 2;
  return sum;
}

}  // namespace
}  // namespace ds::kernels
