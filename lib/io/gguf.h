// GGUF, the one-file format of llama.cpp and its kin: metadata, then tensors. Read are versions 2 and 3 of
// any alignment, written is version 3, little-endian, alignment 32. Source: the format's specification in the
// ggml repository.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_value.h"

namespace ds::io {

// The types that are written; ggml numbers.
enum class GgufType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ5_0 = 6,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ6_K = 14,
  kBF16 = 30
};
// Bytes of n elements of one row, whole blocks.
int64_t gguf_row_bytes(GgufType type, int64_t n);

struct GgufTensor {
  std::string name;
  std::vector<int64_t> shape;  // as in safetensors, slowest first; the file has them reversed
  GgufType type = GgufType::kF32;
  uint64_t offset = 0;  // in the data section, set by header()
  int64_t rows() const;
  int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  int64_t bytes() const { return rows() * gguf_row_bytes(type, cols()); }
};
constexpr int64_t kGgufAlignment = 32;  // of the data section and of every tensor in it

// What the file says of a tensor. How many bytes it has follows from its type, which the reader does not
// know.
struct GgufTensorInfo {
  std::string name;
  std::vector<int64_t> shape;  // as in safetensors, slowest first; the product is known not to overflow
  uint32_t type = 0;           // ggml's number
  uint64_t offset = 0;         // in the data section, known to lie in it
};
struct GgufHeader {
  Json metadata;                        // an object: key -> number, string, boolean or array
  std::vector<GgufTensorInfo> tensors;  // in the file's order
  uint64_t data_begin = 0, alignment = kGgufAlignment;
};
// kSkipLong: arrays of more than 1,000 elements (a vocabulary) become null.
enum class GgufArrays { kRead, kSkipLong };
// Parses and checks the header of a whole file. Throws Error{kBadModel} naming `where` and the key or tensor.
GgufHeader parse_gguf_header(std::span<const std::byte> file, const std::string& where,
                             GgufArrays arrays = GgufArrays::kRead);

class GgufMetadata {
 public:
  void set_u32(std::string_view key, int64_t value);
  void set_f32(std::string_view key, double value);
  void set_bool(std::string_view key, bool value);
  void set_string(std::string_view key, std::string_view value);
  void set_strings(std::string_view key, const std::vector<std::string>& values);
  void set_i32s(std::string_view key, const std::vector<int32_t>& values);
  // Everything before the data section, padded; sets the tensors' offsets.
  std::string header(std::vector<GgufTensor>& tensors) const;

 private:
  void key(std::string_view key, uint32_t type);
  uint64_t n_ = 0;
  std::string bytes_;
};

}  // namespace ds::io
