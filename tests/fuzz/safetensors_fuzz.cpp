// Any bytes as a safetensors file: refused with Error{kBadModel}, or every tensor lies inside the file.
#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/error.h"
#include "io/safetensors.h"

using namespace ds;
using namespace ds::io;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t n) {
  // The container's length field is checked by SafetensorsFile; here the input is [u16 data bytes][header].
  if (n < 2) return 0;
  uint16_t data_bytes;
  std::memcpy(&data_bytes, bytes, 2);
  try {
    const auto header = parse_safetensors_header(
        std::string_view(reinterpret_cast<const char*>(bytes) + 2, n - 2), data_bytes, "fuzz");
    uint64_t total = 0;
    for (const TensorInfo& t : header.tensors) {
      DS_CHECK(t.begin <= t.end && t.end <= data_bytes);
      DS_CHECK(t.n_elements() >= 0);
      DS_CHECK(t.dtype == DType::kUnknown ||
               static_cast<uint64_t>(t.n_elements() * dtype_bytes(t.dtype)) == t.end - t.begin);
      total += t.end - t.begin;
    }
    DS_CHECK(total == data_bytes);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kBadModel) throw;
  }
  return 0;
}
