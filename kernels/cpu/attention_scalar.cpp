#include "kernels/cpu/vec_scalar.h"
// The body needs Vec first.
#include "kernels/cpu/attention_body.h"

namespace ds::kernels {

extern const AttentionKernel kAttention_scalar = {"scalar", attention_rows};

}  // namespace ds::kernels
