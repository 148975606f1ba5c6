#include "kernels/silu_mul.h"

namespace ds::kernels {

extern const SiluMulKernel kSiluMul_scalar;
#if DS_X86
extern const SiluMulKernel kSiluMul_avx2, kSiluMul_avx512;
#endif

const SiluMulKernel& silu_mul_kernel(Isa isa) {
#if DS_X86
  if (isa >= Isa::kAvx512) return kSiluMul_avx512;
  if (isa == Isa::kAvx2) return kSiluMul_avx2;
#endif
  (void)isa;
  return kSiluMul_scalar;
}

void silu_mul(const Exec& exec, const float* gate, int64_t ldg, const float* up, int64_t ldu, int64_t T,
              int64_t F, float* y, int64_t ldy) {
  const SiluMulKernel& kernel = silu_mul_kernel(exec.isa);
  const int64_t grain = F > 0 ? 1 + 16384 / F : 1;
  exec.pool.parallel_for(T, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) kernel.row(gate + t * ldg, up + t * ldu, F, y + t * ldy);
  });
}

}  // namespace ds::kernels
