#include <immintrin.h>

#include "kernels/probe.h"

namespace ds::kernels {
namespace {

float multiply_add(int64_t n_rounds, double* flops) {
  constexpr int kChains = 12;
  __m512 acc[kChains];
  for (int c = 0; c < kChains; ++c) acc[c] = _mm512_set1_ps(static_cast<float>(c));
  volatile int pair = 0x3C003C00;  // two small bfloat16 numbers
  const __m512bh a = (__m512bh)_mm512_set1_epi32(pair);
  for (int64_t i = 0; i < n_rounds; ++i)
    for (int c = 0; c < kChains; ++c) acc[c] = _mm512_dpbf16_ps(acc[c], a, a);
  float sum = 0;
  for (int c = 0; c < kChains; ++c) sum += _mm512_reduce_add_ps(acc[c]);
  *flops = static_cast<double>(n_rounds) * kChains * 32 * 2;
  return sum;
}

}  // namespace

extern const ProbeKernels kProbe_avx512bf16 = {"avx512bf16", nullptr, multiply_add};

}  // namespace ds::kernels
