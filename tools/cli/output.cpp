#include "cli/output.h"

#include <unistd.h>

namespace ds::cli {

io::OutputStream& standard_output() {
  static io::OutputStream stream(STDOUT_FILENO, "<stdout>");
  return stream;
}

void write_stdout(std::string_view text) { standard_output().write(text); }

OutputFile::OutputFile(const std::string& path, const std::string& out) : path_(path) {
  const bool inside = !out.empty() && path.starts_with(out + "/");
  if (!path.empty() && path != "-" && !inside) file_.emplace(path);
}

io::AtomicFile& OutputFile::file() {
  if (!file_) file_.emplace(path_);
  return *file_;
}

void OutputFile::write(std::string_view text) {
  if (path_ == "-")
    write_stdout(text);
  else if (!path_.empty())
    file().write(text);
}

void OutputFile::commit() {
  if (path_ == "-")
    standard_output().flush();
  else if (!path_.empty())
    file().commit();
}

void OutputFile::finish(std::string_view text) {
  write(text);
  commit();
}

}  // namespace ds::cli
