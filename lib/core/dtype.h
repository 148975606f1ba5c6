// Element types as checkpoints name them.
#pragma once
#include <cstdint>
#include <string_view>

#include "core/rooms.h"

namespace ds {

enum class DType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kI8,
  kU8,
  kI16,
  kU16,
  kI32,
  kU32,
  kI64,
  kU64,
  kBool,
  kUnknown,  // a name this version does not know: sizes come from the file, values cannot be read
};

// The safetensors spelling ("BF16", "F8_E4M3", ...); "?" for kUnknown.
std::string_view dtype_name(DType dtype);
// kUnknown when the name is not in the table.
DType dtype_from_name(std::string_view name);
// Bytes of one element; 0 for kUnknown.
int64_t dtype_bytes(DType dtype);

}  // namespace ds
