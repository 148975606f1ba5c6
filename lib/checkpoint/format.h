// How values lie in a file: one row per format, for matrices and for their scales. The blocks of GGUF files
// are in checkpoint/gguf_types.h.
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "kernels/tensor_format.h"

namespace ds::checkpoint {

// nullptr for types that hold no values of a matrix: integers, booleans, unknown ones.
const TensorFormat* format_of(DType dtype);
extern const TensorFormat kE2M1Format;  // two a byte, low nibble first; safetensors call the bytes I8 or U8
extern const TensorFormat kE4M3Format;

}  // namespace ds::checkpoint
