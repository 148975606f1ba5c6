// The types of GGUF tensors: a row each, blocks with the function that decodes them. Source: ggml's
// ggml-common.h and ggml-quants.c.
#pragma once
#include <cstdint>
#include <string>

#include "core/dtype.h"
#include "kernels/tensor_format.h"

namespace ds::checkpoint {

// Plain numbers have a dtype (checkpoint/format.h), blocks a format; a type with neither is known by name,
// but not read.
struct GgufTypeRow {
  uint32_t id;
  const char* name;
  DType dtype = DType::kUnknown;
  TensorFormat format = {};
  bool is_readable() const { return dtype != DType::kUnknown || format.decode_row; }
};
// nullptr for a number that no row has.
const GgufTypeRow* find_gguf_type(uint32_t id);
std::string readable_gguf_types();  // "F32, F16, ..."

}  // namespace ds::checkpoint
