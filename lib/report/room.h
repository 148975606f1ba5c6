// Which rooms see this one: the row of core/rooms.h for what shows things to a person.
#pragma once

namespace ds {

namespace report {}
namespace quant {
using namespace report;
}
namespace filter {
using namespace report;
}
namespace bench {
using namespace report;
}

}  // namespace ds
