#include "kernels/cpu/vec_avx2.h"
// The body needs Vec first.
#include "kernels/cpu/attention_body.h"

namespace ds::kernels {

extern const AttentionKernel kAttention_avx2 = {"avx2", attention_rows};

}  // namespace ds::kernels
