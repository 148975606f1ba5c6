// The kernel behind silu_mul.h, by level. Private to kernels/ and its tests.
#pragma once
#include <cstdint>

#include "core/cpu.h"

namespace ds::kernels {

struct SiluMulKernel {
  const char* name;
  void (*row)(const float* gate, const float* up, int64_t n, float* y);
  void (*row_backward)(const float* gate, const float* up, int64_t n, float* dy, float* dgate, float* dup);
};
const SiluMulKernel& silu_mul_kernel(Isa isa);

}  // namespace ds::kernels
