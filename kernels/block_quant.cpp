#include "kernels/block_quant.h"

#include "kernels/op.h"

namespace ds::kernels {

DS_KERNEL_LEVELS(BlockQuantKernel, kBlockQuant, kBlockQuantLevels);

const BlockQuantKernel& block_quant_kernel(Isa isa) { return pick(kBlockQuantLevels, isa); }

}  // namespace ds::kernels
