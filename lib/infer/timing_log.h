// One JSON line per answered request: when it began, and when each token was known.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "core/json_value.h"
#include "io/files.h"

namespace ds::infer {

class TimingLog {
 public:
  // `path`: "" keeps nothing, "-" writes to `standard_output`, which then carries timings in place of
  // answers.
  TimingLog(const std::string& path, OutputStream& standard_output)
      : stream_(path == "-" ? &standard_output : nullptr),
        file_(path.empty() || path == "-" ? nullptr : std::make_unique<AtomicFile>(path)) {}
  bool is_wanted() const { return stream_ || file_; }
  bool replaces_answers() const { return stream_ != nullptr; }
  void add(const Json& record) {
    if (stream_) stream_->write(dump(record) + "\n");
    if (file_) file_->write(dump(record) + "\n");
  }
  void commit() {
    if (file_) file_->commit();
  }

 private:
  OutputStream* stream_;
  std::unique_ptr<AtomicFile> file_;
};

}  // namespace ds::infer
