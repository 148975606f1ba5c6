#include <set>

#include "core/error.h"
#include "core/numbers.h"
#include "io/gguf.h"

namespace ds::io {
namespace {

// A small file must not make its reader big: what a model needs at most, with room.
constexpr uint64_t kMaxKeys = 1 << 16, kMaxTensors = 1 << 20, kMaxElements = 1 << 24, kMaxNameBytes = 1000;
constexpr uint64_t kMaxRead = 1000;  // elements of an array under kSkipLong
constexpr int kMaxDepth = 3;         // of arrays in arrays

enum ValueType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12
};
uint64_t least_bytes(uint32_t type) {
  constexpr uint64_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
  return type < std::size(kBytes) ? kBytes[type] : 0;
}

class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> file, const std::string& where, GgufArrays arrays)
      : file_(file), where_(where), arrays_(arrays) {}

  GgufHeader read() {
    GgufHeader header;
    place_ = "GGUF header";
    read_start();
    const auto n_tensors = number<uint64_t>(), n_keys = number<uint64_t>();
    if (n_tensors > kMaxTensors || n_keys > kMaxKeys)
      damaged("claims " + std::to_string(n_tensors) + " tensors and " + std::to_string(n_keys) +
              " keys, at most " + std::to_string(kMaxTensors) + " and " + std::to_string(kMaxKeys) +
              " are read");
    read_metadata(n_keys, header);
    for (uint64_t i = 0; i < n_tensors; ++i) header.tensors.push_back(read_tensor(i));
    place_ = "data section";
    header.data_begin = (at_ + header.alignment - 1) / header.alignment * header.alignment;
    // A first part may hold no tensor at all, and no padding then.
    if (header.tensors.empty()) header.data_begin = std::min<uint64_t>(header.data_begin, file_.size());
    if (header.data_begin > file_.size()) damaged("begins behind the end of the file");
    check_tensors(header);
    return header;
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& hint) const {
    throw Error(ErrorKind::kBadModel, place_.empty() ? what : place_ + " " + what, where_, hint);
  }
  [[noreturn]] void damaged(const std::string& what) const {
    refuse(what, "the file is damaged or cut short: fetch it again");
  }

  void need(uint64_t n) const {
    if (n > file_.size() - at_)
      damaged("needs " + std::to_string(n) + " bytes at byte " + std::to_string(at_) + " of " +
              std::to_string(file_.size()));
  }
  template <class T>
  T number() {
    need(sizeof(T));
    const T value = load_unaligned<T>(file_.data() + at_);
    at_ += sizeof(T);
    return value;
  }
  std::string_view text() {
    const auto n = number<uint64_t>();
    need(n);
    const std::string_view out(reinterpret_cast<const char*>(file_.data() + at_), n);
    at_ += n;
    return out;
  }
  std::string name(const std::string& place) {
    place_ = place;
    const std::string_view out = text();
    if (out.size() > kMaxNameBytes) damaged("has a name of " + std::to_string(out.size()) + " bytes");
    return std::string(out);
  }

  void read_start() {
    need(4);
    const std::string_view magic(reinterpret_cast<const char*>(file_.data()), 4);
    if (magic != "GGUF")
      refuse("is missing: the file does not begin with GGUF", "give a model folder or a GGUF file");
    at_ = 4;
    const auto version = number<uint32_t>();
    if (version == 2 || version == 3) return;
    if (version == 0x02000000 || version == 0x03000000)
      refuse("is big-endian", "convert the model anew on a little-endian machine");
    refuse(
        "is of version " + std::to_string(version) + ", read are 2 and 3",
        version == 1 ? "convert the model anew with today's llama.cpp" : "is it a newer or a damaged file?");
  }

  void read_metadata(uint64_t n_keys, GgufHeader& header) {
    std::set<std::string> seen;
    header.metadata = Json::object();
    auto& members = header.metadata.get_ref<Json::object_t&>();
    for (uint64_t i = 0; i < n_keys; ++i) {
      const std::string key = name("metadata key " + std::to_string(i));
      place_ = "metadata " + key;
      if (!seen.insert(key).second) damaged("is given twice");
      members.emplace_back(key, value(number<uint32_t>(), 0));
    }
    place_ = "metadata general.alignment";
    if (const Json* alignment = find(header.metadata, "general.alignment")) {
      if (!is_int(*alignment) || as_int(*alignment) < 1 || as_int(*alignment) > 1 << 20)
        refuse("is " + dump(*alignment) + ", a number of bytes from 1 to 1048576 was expected",
               "the file is damaged: fetch it again");
      header.alignment = static_cast<uint64_t>(as_int(*alignment));
    }
  }

  Json value(uint32_t type, int depth) {
    switch (type) {
      case kU8:
        return number<uint8_t>();
      case kI8:
        return number<int8_t>();
      case kU16:
        return number<uint16_t>();
      case kI16:
        return number<int16_t>();
      case kU32:
        return static_cast<int64_t>(number<uint32_t>());
      case kI32:
        return number<int32_t>();
      case kF32:
        return static_cast<double>(number<float>());
      case kBool:
        return number<uint8_t>() != 0;
      case kString:
        return std::string(text());
      case kArray:
        return array(depth);
      case kU64: {
        const auto v = number<uint64_t>();
        return v > INT64_MAX ? Json(v) : Json(static_cast<int64_t>(v));
      }
      case kI64:
        return number<int64_t>();
      case kF64:
        return number<double>();
    }
    damaged("has a value of type " + std::to_string(type) + ", which GGUF does not have");
  }

  Json array(int depth) {
    const auto type = number<uint32_t>();
    const auto n = number<uint64_t>();
    if (!least_bytes(type))
      damaged("has elements of type " + std::to_string(type) + ", which GGUF does not have");
    if (depth >= kMaxDepth) damaged("is nested too deeply");
    if (n > kMaxElements || n * least_bytes(type) > file_.size() - at_)
      damaged("claims " + std::to_string(n) + " elements, which the file cannot hold");
    if (arrays_ == GgufArrays::kSkipLong && n > kMaxRead && type != kArray) {
      if (type != kString) at_ += n * least_bytes(type);
      for (uint64_t i = 0; i < n && type == kString; ++i) text();
      return {};
    }
    Json::array_t out;
    out.reserve(n);
    for (uint64_t i = 0; i < n; ++i) {
      if (++n_elements_ > 4 * kMaxElements) damaged("has too many elements");
      out.push_back(value(type, depth + 1));
    }
    return out;
  }

  GgufTensorInfo read_tensor(uint64_t i) {
    GgufTensorInfo t;
    t.name = name("tensor " + std::to_string(i));
    place_ = "tensor " + t.name;
    const auto n_dims = number<uint32_t>();
    if (n_dims > 4) damaged("has " + std::to_string(n_dims) + " dimensions, at most 4 are possible");
    int64_t n = 1;
    for (uint32_t d = 0; d < n_dims; ++d) {
      const auto dim = number<uint64_t>();
      if (dim < 1 || dim > INT64_MAX || __builtin_mul_overflow(n, static_cast<int64_t>(dim), &n) ||
          n > INT64_MAX / 16)
        damaged("has a dimension of " + std::to_string(dim) + " elements");
      t.shape.insert(t.shape.begin(), static_cast<int64_t>(dim));
    }
    t.type = number<uint32_t>();
    t.offset = number<uint64_t>();
    return t;
  }

  void check_tensors(const GgufHeader& header) {
    const uint64_t data_bytes = file_.size() - header.data_begin;
    std::set<std::string_view> seen;
    for (const GgufTensorInfo& t : header.tensors) {
      place_ = "tensor " + t.name;
      if (!seen.insert(t.name).second) damaged("is given twice");
      if (t.offset > data_bytes || t.offset % header.alignment != 0)
        damaged("begins at byte " + std::to_string(t.offset) + " of " + std::to_string(data_bytes) +
                " bytes of data, which is outside or not aligned to " + std::to_string(header.alignment));
    }
  }

  std::span<const std::byte> file_;
  const std::string& where_;
  GgufArrays arrays_;
  std::string place_;
  uint64_t at_ = 0, n_elements_ = 0;
};

}  // namespace

GgufHeader parse_gguf_header(std::span<const std::byte> file, const std::string& where, GgufArrays arrays) {
  return HeaderReader(file, where, arrays).read();
}

}  // namespace ds::io
