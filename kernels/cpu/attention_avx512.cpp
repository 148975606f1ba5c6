#include "kernels/cpu/vec_avx512.h"
// The body needs Vec first.
#include "kernels/cpu/attention_body.h"

namespace ds::kernels {

extern const AttentionKernel kAttention_avx512 = {"avx512", attention_rows};

}  // namespace ds::kernels
