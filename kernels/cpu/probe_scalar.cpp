#include "kernels/cpu/vec_scalar.h"
// The body needs Vec first.
#include "kernels/cpu/probe_body.h"

namespace ds::kernels {

extern const ProbeKernels kProbe_scalar = {"scalar", probe_read, probe_multiply_add};

}  // namespace ds::kernels
