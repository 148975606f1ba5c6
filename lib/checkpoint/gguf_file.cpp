#include "checkpoint/gguf_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "checkpoint/gguf_types.h"
#include "checkpoint/model_file.h"
#include "core/error.h"

namespace ds::checkpoint {
namespace {

[[noreturn]] void bad(const std::string& where, const std::string& what, const std::string& hint) {
  throw Error(ErrorKind::kBadModel, what, where, hint);
}

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

GgufHeader read_header(const WeightFile& file, GgufArrays arrays) {
  const MappedFile mapped(FileHandle(::dup(file.fd.get())), file.path);
  return parse_gguf_header(mapped.bytes(), file.path, arrays);
}

int64_t whole_number(const Json& metadata, const char* key, int64_t absent) {
  const Json* value = find(metadata, key);
  return value && is_int(*value) ? as_int(*value) : absent;
}

std::string five_digits(int64_t n) {
  const std::string text = std::to_string(n);
  return std::string(text.size() < 5 ? 5 - text.size() : 0, '0') + text;
}
// NAME-00001-of-00003.gguf of three parts: part i's path.
std::string part_path(const std::string& first, int64_t i, int64_t n) {
  const std::string tail = "-of-" + five_digits(n) + ".gguf", end = "-00001" + tail;
  if (!first.ends_with(end))
    bad(first, "is the first of " + std::to_string(n) + " parts, but its name does not end in " + end,
        "give the parts their names back");
  return first.substr(0, first.size() - end.size()) + "-" + five_digits(i + 1) + tail;
}

GgufTensorPlace place_of(const GgufTensorInfo& info, const GgufHeader& header, const WeightFile& file) {
  const std::string where = file.path + ": tensor " + info.name;
  const GgufTypeRow* type = find_gguf_type(info.type);
  if (!type || !type->is_readable())
    bad(where,
        "is of type " + (type ? type->name : "number " + std::to_string(info.type)) +
            ", which is not read; read are " + readable_gguf_types(),
        "take a file of the same model in one of those, as Q4_K_M, or the model folder");
  GgufTensorPlace t;
  t.name = info.name;
  t.shape = info.shape;
  t.dtype = type->dtype;
  t.type_name = type->name;
  if (type->format.decode_row) t.blocks = &type->format;
  if (t.blocks && t.cols() % t.blocks->block_cols != 0)
    bad(where,
        "has rows of " + std::to_string(t.cols()) + " values, which are no whole blocks of " + type->name,
        "the file is damaged: fetch it again");
  t.bytes = t.bytes_of(t.rows() * t.cols());
  const uint64_t data_bytes = static_cast<uint64_t>(file.bytes) - header.data_begin;
  if (t.bytes > data_bytes || info.offset > data_bytes - t.bytes)
    bad(where,
        "needs " + std::to_string(t.bytes) + " bytes at byte " + std::to_string(info.offset) +
            " of the data section, which has " + std::to_string(data_bytes),
        "the file is cut short: fetch it again");
  t.offset = header.data_begin + info.offset;
  return t;
}

}  // namespace

int64_t GgufTensorPlace::rows() const {
  int64_t n = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
  return n;
}

bool is_gguf_file(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return false;
  char magic[4] = {};
  const FileHandle fd = open_model_file(path);
  read_at(fd.get(), magic, static_cast<size_t>(std::min<int64_t>(st.st_size, 4)), 0, path);
  return std::string_view(magic, 4) == "GGUF" || path.ends_with(".gguf");
}

const GgufTensorPlace* GgufParts::find(const std::string& name) const {
  for (const GgufTensorPlace& t : tensors)
    if (t.name == name) return &t;
  return nullptr;
}

std::string GgufParts::architecture() const {
  const Json* name = ds::find(metadata, "general.architecture");
  return name && name->is_string() ? as_string(*name) : "";
}

GgufParts open_gguf(const std::string& path, GgufArrays arrays) {
  GgufParts parts;
  std::set<std::string> names;
  parts.path = path;
  parts.files.push_back(open_weight_file(path, file_name(path)));
  GgufHeader header = read_header(parts.files[0], arrays);
  parts.metadata = std::move(header.metadata);
  const int64_t n = whole_number(parts.metadata, "split.count", 1),
                no = whole_number(parts.metadata, "split.no", 0);
  if (n < 0 || n > 99999)
    bad(path, "split.count is " + std::to_string(n), "the file is damaged: fetch it again");
  if (no != 0)
    bad(path, "is part " + std::to_string(no + 1) + " of " + std::to_string(n),
        "give the first part, -00001-of-");
  for (int64_t i = 0; i < std::max<int64_t>(n, 1); ++i) {
    if (i > 0) {
      const std::string name = part_path(path, i, n);
      parts.files.push_back(open_weight_file(name, file_name(name)));
      header = read_header(parts.files.back(), GgufArrays::kSkipLong);
      if (whole_number(header.metadata, "split.no", -1) != i ||
          whole_number(header.metadata, "split.count", -1) != n)
        bad(name, "is not part " + std::to_string(i + 1) + " of " + std::to_string(n) + ", as its name says",
            "fetch the parts of one model");
    }
    for (const GgufTensorInfo& info : header.tensors) {
      parts.tensors.push_back(place_of(info, header, parts.files.back()));
      parts.tensors.back().file = static_cast<int>(i);
      if (!names.insert(info.name).second)
        bad(parts.files.back().path + ": tensor " + info.name, "is in another part, too",
            "fetch the parts of one model");
    }
  }
  return parts;
}

Json read_gguf_metadata(const std::string& path, GgufArrays arrays) {
  return read_header(open_weight_file(path, file_name(path)), arrays).metadata;
}

}  // namespace ds::checkpoint
