#include "kernels/cpu/vec_scalar.h"
// The body needs Vec first.
#include "kernels/cpu/attention_backward_body.h"

namespace ds::kernels {

extern const AttentionBackwardKernel kAttentionBackward_scalar = {"scalar", attention_backward_head};

}  // namespace ds::kernels
