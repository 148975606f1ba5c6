#include "kernels/silu_mul.h"

#include "kernels/op.h"
#include "kernels/silu_mul_kernels.h"

namespace ds::kernels {

DS_KERNEL_LEVELS(SiluMulKernel, kSiluMul, kSiluMulLevels);

const SiluMulKernel& silu_mul_kernel(Isa isa) { return pick(kSiluMulLevels, isa); }

void silu_mul(const Context& context, TensorView gate, TensorView up, TensorView y) {
  const Op op(context, gate, up, y);
  const int64_t T = gate.rows, F = gate.cols;
  DS_CHECK(is_f32(gate, T, F) && is_f32(up, T, F) && is_f32(y, T, F));
  if (op.dry()) return;
  const SiluMulKernel& kernel = silu_mul_kernel(op.isa());
  op.parallel_for(T, F > 0 ? 1 + 16384 / F : 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) kernel.row(f32(gate, t), f32(up, t), F, f32(y, t));
  });
}

}  // namespace ds::kernels
