#include "kernels/cpu/vec_avx512.h"
// The body needs Vec first.
#include "kernels/cpu/attention_backward_body.h"

namespace ds::kernels {

extern const AttentionBackwardKernel kAttentionBackward_avx512 = {"avx512", attention_backward_head};

}  // namespace ds::kernels
