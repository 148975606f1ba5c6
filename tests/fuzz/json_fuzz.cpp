// Any bytes as JSON: refused with Error{kBadData}, or dumping and parsing again gives the same text.
#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "core/json_value.h"
#include "io/json.h"

using namespace ds;
using namespace ds::io;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t n) {
  try {
    const Json value = parse_json(std::string_view(reinterpret_cast<const char*>(bytes), n), "fuzz");
    const std::string once = dump(value);
    std::string twice;
    try {
      twice = dump(parse_json(once, "again", ErrorKind::kInternal));
    } catch (const Error&) {
      __builtin_trap();  // what we wrote ourselves must parse
    }
    if (twice != once) __builtin_trap();
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kBadData) throw;
  }
  return 0;
}
