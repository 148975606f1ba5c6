#include "kernels/silu_mul.h"

#include "kernels/op.h"
#include "kernels/silu_mul_kernels.h"
#include "kernels/tape.h"

namespace ds::kernels {

DS_KERNEL_LEVELS(SiluMulKernel, kSiluMul, kSiluMulLevels);

const SiluMulKernel& silu_mul_kernel(Isa isa) { return pick(kSiluMulLevels, isa); }

void silu_mul(const Context& context, TensorView gate, TensorView up, TensorView y) {
  const Op op(context, gate, up, y);
  const int64_t T = gate.rows, F = gate.cols;
  DS_CHECK(is_f32(gate, T, F) && is_f32(up, T, F) && is_f32(y, T, F));
  if (Tape* tape = context.tape) {
    const TensorView kept_gate = tape->keep(context, gate), kept_up = tape->keep(context, up);
    tape->push([tape, kept_gate, kept_up, gate, up, y](const Context& c) {
      silu_mul_backward(c, kept_gate, kept_up, tape->gradient(c, y), tape->gradient(c, gate),
                        tape->gradient(c, up));
    });
  }
  if (op.dry()) return;
  const SiluMulKernel& kernel = silu_mul_kernel(op.isa());
  op.parallel_for(T, F > 0 ? 1 + 16384 / F : 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) kernel.row(f32(gate, t), f32(up, t), F, f32(y, t));
  });
}

void silu_mul_backward(const Context& context, TensorView gate, TensorView up, TensorView dy,
                       TensorView dgate, TensorView dup) {
  const Op op(context, gate, up, dy, dgate, dup);
  const int64_t T = gate.rows, F = gate.cols;
  DS_CHECK(is_f32(gate, T, F) && is_f32(up, T, F) && is_f32(dy, T, F) && is_f32(dgate, T, F) &&
           is_f32(dup, T, F));
  if (op.dry()) return;
  const SiluMulKernel& kernel = silu_mul_kernel(op.isa());
  op.parallel_for(T, F > 0 ? 1 + 8192 / F : 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t)
      kernel.row_backward(f32(gate, t), f32(up, t), F, f32(dy, t), f32(dgate, t), f32(dup, t));
  });
}

}  // namespace ds::kernels
