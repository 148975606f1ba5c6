#include "kernels/cpu/vec_avx2.h"
// The body needs Vec first.
#include "kernels/cpu/probe_body.h"

namespace ds::kernels {

extern const ProbeKernels kProbe_avx2 = {"avx2", probe_read, probe_multiply_add};

}  // namespace ds::kernels
