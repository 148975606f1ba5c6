// Any bytes as JSON: refused with Error{kBadData}, or dumping and parsing again gives the same text.
#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "io/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t n) {
  try {
    const ds::Json value = ds::parse_json(std::string_view(reinterpret_cast<const char*>(bytes), n), "fuzz");
    const std::string once = value.dump();
    std::string twice;
    try {
      twice = ds::parse_json(once, "again", ds::ErrorKind::kInternal).dump();
    } catch (const ds::Error&) {
      __builtin_trap();  // what we wrote ourselves must parse
    }
    if (twice != once) __builtin_trap();
  } catch (const ds::Error& e) {
    if (e.kind() != ds::ErrorKind::kBadData) throw;
  }
  return 0;
}
