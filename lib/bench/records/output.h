// Where the records of a command go.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "bench/records/record.h"
#include "core/error.h"
#include "io/files.h"

namespace ds::bench {

// A file that appears whole, or for "-" a stream whose reader sees each line at once.
class RecordOutput {
 public:
  // `to_person`: nobody reads records on "-"; they are collected for a table instead, those of a file, too.
  RecordOutput(const std::string& path, io::OutputStream& stream, bool to_person = false);
  void write(const std::string& text);
  void finish();
  // What was written for a person.
  const RecordSet& records() const { return records_; }
  // Does the work; when an error ends it, what was written until then appears nevertheless: hours of records
  // are worth a --resume. A header alone is not.
  template <class Work>
  auto keep_on_error(const Work& work) {
    try {
      return work();
    } catch (const Error&) {
      if (n_writes_ > 1) finish();
      throw;
    }
  }

 private:
  io::OutputStream& stream_;
  std::unique_ptr<io::AtomicFile> file_;
  bool to_person_;
  RecordSet records_;
  RecordReader reader_{records_};
  int64_t n_writes_ = 0;
};

}  // namespace ds::bench
