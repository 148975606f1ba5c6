#include "kernels/block_quant.h"

namespace ds::kernels {

extern const BlockQuantKernel kBlockQuant_scalar;
#if DS_X86
extern const BlockQuantKernel kBlockQuant_avx2, kBlockQuant_avx512;
#endif

const BlockQuantKernel& block_quant_kernel(Isa isa) {
#if DS_X86
  if (isa >= Isa::kAvx512) return kBlockQuant_avx512;
  if (isa == Isa::kAvx2) return kBlockQuant_avx2;
#endif
  (void)isa;
  return kBlockQuant_scalar;
}

}  // namespace ds::kernels
