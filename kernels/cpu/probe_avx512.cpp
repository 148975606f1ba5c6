#include "kernels/cpu/vec_avx512.h"
// The body needs Vec first.
#include "kernels/cpu/probe_body.h"

namespace ds::kernels {

extern const ProbeKernels kProbe_avx512 = {"avx512", probe_read, probe_multiply_add};

}  // namespace ds::kernels
