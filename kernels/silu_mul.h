// The gate of a SwiGLU: y[i] = gate[i] / (1 + exp(-gate[i])) * up[i].
#pragma once
#include <cstdint>

#include "kernels/exec.h"

namespace ds::kernels {

// gate, up, y: [T, F], rows ld* floats apart. y may be gate or up.
void silu_mul(const Exec& exec, const float* gate, int64_t ldg, const float* up, int64_t ldu, int64_t T,
              int64_t F, float* y, int64_t ldy);

struct SiluMulKernel {
  const char* name;
  void (*row)(const float* gate, const float* up, int64_t n, float* y);
};
const SiluMulKernel& silu_mul_kernel(Isa isa);

}  // namespace ds::kernels
