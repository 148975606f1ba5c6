// Bytes as a safetensors header; the last eight say how many bytes of data would follow.
#include <cstdint>
#include <cstring>

#include "io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 8) return 0;
  uint64_t data_bytes;
  std::memcpy(&data_bytes, data + size - 8, 8);
  try {
    const ds::SafetensorsHeader header =
        ds::parse_safetensors_header({reinterpret_cast<const char*>(data), size - 8}, data_bytes, "fuzz");
    uint64_t at = 0;
    for (const ds::TensorInfo& tensor : header.tensors) {
      DS_CHECK(tensor.begin >= at && tensor.begin <= tensor.end && tensor.end <= data_bytes);
      at = tensor.end;
      DS_CHECK(tensor.n_elements() >= 0);
    }
  } catch (const ds::Error& e) {
    DS_CHECK(e.kind() == ds::ErrorKind::kBadModel);
  }
  return 0;
}
