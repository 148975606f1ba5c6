#include "kernels/cpu/vec_avx512.h"
// The body needs Vec first.
#include "kernels/cpu/matmul_body.h"

namespace ds::kernels {

extern const MatmulKernels kMatmul_avx512 = {"avx512", gemv, gemv_transposed, dequantize_whole_row};
extern const GemmKernels kGemm_avx512 = {"avx512",  kPanelTokens,        kUnitRows, gemm_panel_floats,
                                         gemm_pack, gemm_scratch_floats, gemm};

}  // namespace ds::kernels
