// The rooms of the library and which of them each sees: one namespace a room, the layers of the house as the
// compiler knows them. core's names are the words every room speaks and stand in ds itself. A room sees the
// names of the rooms below it and no others; a name used against the layers does not compile.
#pragma once

namespace ds {

// L1: see core alone.
namespace io {}
namespace text {}
namespace kernels {}
namespace report {}

// L2
namespace checkpoint {
using namespace io;
using namespace kernels;
using namespace text;
}  // namespace checkpoint

// L3
namespace model {
using namespace checkpoint;
}
namespace quant {
using namespace checkpoint;
using namespace report;
}  // namespace quant
namespace filter {
using namespace io;
using namespace report;
}  // namespace filter

// L4
namespace infer {
using namespace model;
using namespace text;
}  // namespace infer
namespace train {
using namespace model;
using namespace text;
using namespace report;
}  // namespace train

// L5
namespace bench {
using namespace infer;
using namespace report;
}  // namespace bench

// tools/: options > one library call > report.
namespace cli {
using namespace bench;
using namespace quant;
using namespace filter;
using namespace train;
}  // namespace cli

}  // namespace ds
