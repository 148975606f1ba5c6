#include "kernels/cpu/vec_avx2.h"
// The body needs Vec first.
#include "kernels/cpu/matmul_body.h"

namespace ds::kernels {

extern const MatmulKernels kMatmul_avx2 = {"avx2", gemv, gemv_transposed, dequantize_whole_row};
extern const GemmKernels kGemm_avx2 = {"avx2",    kPanelTokens,        kUnitRows, gemm_panel_floats,
                                       gemm_pack, gemm_scratch_floats, gemm};

}  // namespace ds::kernels
