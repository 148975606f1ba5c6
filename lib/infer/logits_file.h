// A safetensors file of logits, one F32 tensor [T, V] a record. Sizes are known only at the end, so rows go
// to an unnamed spool file first; the file itself appears whole or not at all.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "io/files.h"
#include "io/safetensors.h"

namespace ds::infer {

class LogitsFile {
 public:
  // Throws Error{kCannotCreate}.
  LogitsFile(const std::string& path, int64_t vocab_size);

  // Begins a tensor; what an unfinished one before it had written is dropped. Throws Error{kBadData} naming
  // `where` for a name that cannot be used or was used before.
  void begin(const std::string& name, const std::string& where);
  void append(std::span<const float> logits);  // [n, V]
  void end();
  void commit();

 private:
  AtomicFile file_;
  FileHandle spool_;
  std::string where_;
  int64_t vocab_size_;
  std::string name_;
  int64_t n_floats_ = 0;    // of the tensor under way
  int64_t kept_bytes_ = 0;  // of finished tensors
  std::vector<TensorInfo> tensors_;
  std::unordered_set<std::string> names_;
};

}  // namespace ds::infer
