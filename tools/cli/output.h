// Where a tool's data and reports go.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "io/files.h"

namespace ds::cli {

// stdout as a stream. run() flushes it at the end.
io::OutputStream& standard_output();
void write_stdout(std::string_view text);

// What is wanted at PATH: a file that appears whole, "-" being stdout, "" nowhere. Opened before the work
// starts, since hours later is late to learn that it cannot be; one inside the folder OUT has to wait for
// OUT, and opens with the first write.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path, const std::string& out = "");
  bool wanted() const { return !path_.empty(); }
  // The path of a report is left out as often as not: then nothing is written.
  void write(std::string_view text);
  // Flushes stdout; puts a file in place.
  void commit();
  // write() and commit().
  void finish(std::string_view text);

 private:
  io::AtomicFile& file();
  std::string path_;
  std::optional<io::AtomicFile> file_;
};

}  // namespace ds::cli
