#include "kernels/cpu/vec_avx2.h"
// The body needs Vec first.
#include "kernels/cpu/attention_backward_body.h"

namespace ds::kernels {

extern const AttentionBackwardKernel kAttentionBackward_avx2 = {"avx2", attention_backward_head};

}  // namespace ds::kernels
