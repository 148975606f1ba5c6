// What lib/checkpoint sees, and who sees it: L2, below model and quant.
#pragma once
#include "core/rooms.h"

namespace ds {
namespace checkpoint {
using namespace io;
using namespace kernels;
}  // namespace checkpoint
namespace model {
using namespace checkpoint;
}
namespace quant {
using namespace checkpoint;
}
}  // namespace ds
