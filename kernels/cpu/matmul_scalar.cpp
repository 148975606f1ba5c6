#include "kernels/cpu/vec_scalar.h"
// The body needs Vec first.
#include "kernels/cpu/matmul_body.h"

namespace ds::kernels {

extern const MatmulKernels kMatmul_scalar = {"scalar", gemv, gemv_transposed, dequantize_whole_row};
extern const GemmKernels kGemm_scalar = {"scalar",  kPanelTokens,        kUnitRows, gemm_panel_floats,
                                         gemm_pack, gemm_scratch_floats, gemm};

}  // namespace ds::kernels
