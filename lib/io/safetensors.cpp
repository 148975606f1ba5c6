#include "io/safetensors.h"

#include <simdjson.h>

#include <algorithm>

#include "core/json_value.h"
#include "core/numbers.h"

namespace ds::io {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference reader's limit
constexpr size_t kMaxHeaderDepth = 16;

[[noreturn]] void bad(const std::string& where, const std::string& what) {
  throw Error(ErrorKind::kBadModel, what, where,
              "the file is damaged or no safetensors file: fetch it again");
}

uint64_t unsigned_value(simdjson::dom::element e, const std::string& where, const char* field) {
  uint64_t value;
  if (e.get(value)) bad(where, std::string(field) + " holds something else than an unsigned integer");
  return value;
}

TensorInfo parse_tensor(std::string_view name, simdjson::dom::element e, uint64_t data_bytes,
                        const std::string& file) {
  TensorInfo t;
  t.name = name;
  const std::string where = file + ": tensor " + t.name;
  simdjson::dom::object fields;
  if (e.get(fields)) bad(where, "is no object");
  // Of a field written twice one reader takes the first, another the last.
  for (const char* key : {"dtype", "shape", "data_offsets"})
    if (std::count_if(fields.begin(), fields.end(), [&](const auto field) { return field.key == key; }) > 1)
      bad(where, std::string(key) + " is there twice");
  std::string_view dtype;
  if (e["dtype"].get(dtype)) bad(where, "dtype is missing");
  t.dtype_name = dtype;
  t.dtype = dtype_from_name(dtype);
  simdjson::dom::array shape, offsets;
  if (e["shape"].get(shape)) bad(where, "shape is missing");
  // A dimension of 0 must not hide that the others are no sizes: products of some of them are used, too.
  constexpr uint64_t kMostElements = uint64_t{1} << 56;
  uint64_t n_elements = 1, n_without_zeros = 1;
  for (const auto dim : shape) {
    const uint64_t n = unsigned_value(dim, where, "shape");
    if (n > kMostElements ||
        __builtin_mul_overflow(n_without_zeros, std::max<uint64_t>(n, 1), &n_without_zeros) ||
        n_without_zeros > kMostElements)
      bad(where, "shape overflows");
    n_elements *= n;
    t.shape.push_back(static_cast<int64_t>(n));
  }
  if (e["data_offsets"].get(offsets) || offsets.size() != 2) bad(where, "data_offsets is no pair");
  t.begin = unsigned_value(offsets.at(0), where, "data_offsets");
  t.end = unsigned_value(offsets.at(1), where, "data_offsets");
  if (t.begin > t.end || t.end > data_bytes) {
    bad(where, "data_offsets [" + std::to_string(t.begin) + ", " + std::to_string(t.end) +
                   "] lie outside the " + std::to_string(data_bytes) + " bytes of data (truncated?)");
  }
  uint64_t want = 0;
  if (t.dtype != DType::kUnknown &&
      (__builtin_mul_overflow(n_elements, static_cast<uint64_t>(dtype_bytes(t.dtype)), &want) ||
       want != t.end - t.begin)) {
    bad(where, "shape " + shape_text(t.shape) + " of " + t.dtype_name + " needs " + std::to_string(want) +
                   " bytes, data_offsets give " + std::to_string(t.end - t.begin));
  }
  return t;
}

}  // namespace

int64_t TensorInfo::n_elements() const {
  int64_t n = 1;
  for (const int64_t dim : shape) n *= dim;
  return n;
}

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

SafetensorsHeader parse_safetensors_header(std::string_view json, uint64_t data_bytes,
                                           const std::string& where) {
  simdjson::dom::parser parser;
  simdjson::dom::object root;
  simdjson::error_code error = parser.allocate(json.size() + 1, kMaxHeaderDepth);
  if (!error) error = parser.parse(json.data(), json.size()).get(root);
  if (error) bad(where, std::string("header is not a JSON object: ") + simdjson::error_message(error));

  SafetensorsHeader header;
  for (const auto field : root) {
    if (field.key == "__metadata__") {
      simdjson::dom::object metadata;
      if (field.value.get(metadata)) bad(where, "__metadata__ is no object");
      for (const auto m : metadata) {
        std::string_view text;
        if (m.value.get(text)) bad(where, "__metadata__ holds something else than strings");
        header.metadata[std::string(m.key)] = text;
      }
    } else {
      header.tensors.push_back(parse_tensor(field.key, field.value, data_bytes, where));
    }
  }

  std::sort(header.tensors.begin(), header.tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  uint64_t at = 0;
  for (const TensorInfo& t : header.tensors) {
    if (t.begin != at)
      bad(where + ": tensor " + t.name,
          t.begin < at ? "overlaps the tensor before it" : "leaves a gap before it");
    at = t.end;
  }
  if (at != data_bytes)
    bad(where,
        "tensors end at byte " + std::to_string(at) + " of " + std::to_string(data_bytes) + " bytes of data");
  std::vector<std::string_view> names;
  for (const TensorInfo& t : header.tensors) names.push_back(t.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) bad(where + ": tensor " + std::string(*twice), "is listed twice");
  return header;
}

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path) {
  const auto bytes = file_.bytes();
  if (bytes.size() < 8) bad(path, "only " + std::to_string(bytes.size()) + " bytes long");
  const uint64_t length = load_unaligned<uint64_t>(bytes.data());
  if (length > kMaxHeaderBytes || length > bytes.size() - 8) {
    bad(path, "header length " + std::to_string(length) + " does not fit the file of " +
                  std::to_string(bytes.size()) + " bytes");
  }
  data_begin_ = 8 + length;
  const std::string_view json(reinterpret_cast<const char*>(bytes.data()) + 8, length);
  header_ = parse_safetensors_header(json, bytes.size() - data_begin_, path);
  for (size_t i = 0; i < header_.tensors.size(); ++i) by_name_[header_.tensors[i].name] = i;
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &header_.tensors[it->second];
}

std::span<const std::byte> SafetensorsFile::data(const TensorInfo& t) const {
  return file_.bytes().subspan(data_begin_ + t.begin, t.end - t.begin);
}

std::string make_safetensors_header(std::vector<TensorInfo>& tensors,
                                    const std::map<std::string, std::string>& metadata) {
  Json root = Json::object();
  if (!metadata.empty()) {
    Json m = Json::object();
    for (const auto& [key, value] : metadata) m[key] = value;
    root["__metadata__"] = m;
  }
  uint64_t at = 0;
  for (TensorInfo& t : tensors) {
    const uint64_t n_bytes =
        t.dtype == DType::kUnknown ? t.end - t.begin : t.n_elements() * dtype_bytes(t.dtype);
    t.begin = at;
    t.end = at += n_bytes;
    Json::array_t shape;
    for (const int64_t dim : t.shape) shape.push_back(dim);
    Json entry = Json::object();
    entry["dtype"] = t.dtype == DType::kUnknown ? t.dtype_name : std::string(dtype_name(t.dtype));
    entry["shape"] = std::move(shape);
    entry["data_offsets"] = Json::array_t{static_cast<int64_t>(t.begin), static_cast<int64_t>(t.end)};
    // No duplicate check here: set() would be quadratic over 90,000 tensors.
    root.get_ref<Json::object_t&>().emplace_back(t.name, std::move(entry));
  }
  std::string json = dump(root);
  while ((8 + json.size()) % 64) json += ' ';
  const uint64_t length = json.size();
  std::string out(reinterpret_cast<const char*>(&length), 8);
  return out + json;
}

}  // namespace ds::io
