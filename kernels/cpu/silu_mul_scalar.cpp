#include "kernels/cpu/vec_scalar.h"
// The body needs Vec first.
#include "kernels/cpu/silu_mul_body.h"

namespace ds::kernels {

extern const SiluMulKernel kSiluMul_scalar = {"scalar", silu_mul_row, silu_mul_backward_row};

}  // namespace ds::kernels
