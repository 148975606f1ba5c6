// Writing GGUF, the one-file format of llama.cpp and its kin. Version 3, little-endian, alignment 32.
// Source: the format's specification in the ggml repository.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ds::io {

enum class GgufType : uint32_t { kF32 = 0, kF16 = 1, kQ8_0 = 8, kBF16 = 30 };
// Bytes of n elements of one row; Q8_0 packs 32 into 34.
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
