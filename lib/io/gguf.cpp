#include "io/gguf.h"

namespace ds::io {
namespace {

enum ValueType : uint32_t { kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9 };

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_string(std::string& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out += text;
}
uint64_t aligned(uint64_t n) { return (n + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment; }

}  // namespace

int64_t gguf_row_bytes(GgufType type, int64_t n) {
  switch (type) {
    case GgufType::kF32:
      return 4 * n;
    case GgufType::kQ4_0:
      return n / 32 * 18;
    case GgufType::kQ5_0:
      return n / 32 * 22;
    case GgufType::kQ8_0:
      return n / 32 * 34;
    case GgufType::kQ4_K:
      return n / 256 * 144;
    case GgufType::kQ6_K:
      return n / 256 * 210;
    case GgufType::kF16:
    case GgufType::kBF16:
      break;
  }
  return 2 * n;
}

int64_t GgufTensor::rows() const {
  int64_t n = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
  return n;
}

void GgufMetadata::key(std::string_view name, uint32_t type) {
  ++n_;
  put_string(bytes_, name);
  put(bytes_, type);
}
void GgufMetadata::set_u32(std::string_view name, int64_t value) {
  key(name, kU32);
  put(bytes_, static_cast<uint32_t>(value));
}
void GgufMetadata::set_f32(std::string_view name, double value) {
  key(name, kF32);
  put(bytes_, static_cast<float>(value));
}
void GgufMetadata::set_bool(std::string_view name, bool value) {
  key(name, kBool);
  put<uint8_t>(bytes_, value);
}
void GgufMetadata::set_string(std::string_view name, std::string_view value) {
  key(name, kString);
  put_string(bytes_, value);
}
void GgufMetadata::set_strings(std::string_view name, const std::vector<std::string>& values) {
  key(name, kArray);
  put<uint32_t>(bytes_, kString);
  put<uint64_t>(bytes_, values.size());
  for (const std::string& v : values) put_string(bytes_, v);
}
void GgufMetadata::set_i32s(std::string_view name, const std::vector<int32_t>& values) {
  key(name, kArray);
  put<uint32_t>(bytes_, kI32);
  put<uint64_t>(bytes_, values.size());
  for (const int32_t v : values) put(bytes_, v);
}

std::string GgufMetadata::header(std::vector<GgufTensor>& tensors) const {
  std::string out = "GGUF";
  put<uint32_t>(out, 3);
  put<uint64_t>(out, tensors.size());
  put(out, n_);
  out += bytes_;
  uint64_t at = 0;
  for (GgufTensor& t : tensors) {
    t.offset = at;
    at = aligned(at + static_cast<uint64_t>(t.bytes()));
    put_string(out, t.name);
    put(out, static_cast<uint32_t>(t.shape.size()));
    for (auto dim = t.shape.rbegin(); dim != t.shape.rend(); ++dim) put(out, static_cast<uint64_t>(*dim));
    put(out, static_cast<uint32_t>(t.type));
    put(out, t.offset);
  }
  out.resize(aligned(out.size()), '\0');
  return out;
}

}  // namespace ds::io
