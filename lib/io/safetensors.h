// The safetensors container: 8 bytes of header length, a JSON header, then raw tensors.
// Source: the format's specification in the safetensors library; limits follow its reference reader.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/dtype.h"
#include "io/files.h"

namespace ds::io {

struct TensorInfo {
  std::string name;
  DType dtype = DType::kUnknown;
  std::string dtype_name;  // as written in the file, also when dtype is kUnknown
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes, from the start of the data section

  int64_t n_elements() const;  // the product of shape; known not to overflow
};
std::string shape_text(std::span<const int64_t> shape);  // "[2, 3]"

// Parses and checks a header against the number of data bytes that follow it: every offset inside, no
// overlap, no gap, sizes equal to shape times dtype. Throws Error{kBadModel} naming `where` and the tensor.
// Tensors come back in file order.
struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::string> metadata;
};
SafetensorsHeader parse_safetensors_header(std::string_view json, uint64_t data_bytes,
                                           const std::string& where);

// A mapped safetensors file, checked when opened.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);
  const std::vector<TensorInfo>& tensors() const { return header_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  const TensorInfo* find(std::string_view name) const;  // nullptr when absent
  std::span<const std::byte> data(const TensorInfo& tensor) const;
  const std::string& path() const { return file_.path(); }
  // See MappedFile: same bytes, same addresses.
  void copy_into_large_pages(ThreadPool& pool) const { file_.copy_into_large_pages(pool); }

 private:
  MappedFile file_;
  SafetensorsHeader header_;
  std::unordered_map<std::string_view, size_t> by_name_;
  uint64_t data_begin_ = 0;
};

// The file's first bytes (length and JSON) for these tensors; their begin/end are assigned here, in order.
// The header is padded with spaces so that data starts at a multiple of 64.
std::string make_safetensors_header(std::vector<TensorInfo>& tensors,
                                    const std::map<std::string, std::string>& metadata);

}  // namespace ds::io
