#include "io/keep_apart.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "core/error.h"

namespace ds::io {
namespace {

namespace fs = std::filesystem;

// What has no place in the file system (a pipe under /dev/fd) is "".
fs::path real_place(const std::string& path) {
  std::error_code error;
  const fs::path real = fs::weakly_canonical(path, error);
  return error ? fs::path() : real;
}

bool lies_in(const fs::path& path, const fs::path& folder) {
  const fs::path below = path.lexically_relative(folder);
  return !below.empty() && *below.begin() != "..";
}

// A shell's `> FILE` gives no name, so that files are compared; what is no regular file is nobody's.
bool same_file(const struct stat& a, const std::string& path) {
  struct stat b {};
  const int rc = path == "-" ? ::fstat(STDIN_FILENO, &b) : ::stat(path.c_str(), &b);
  return rc == 0 && S_ISREG(b.st_mode) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

void keep_stdout_apart(const std::vector<std::string>& inputs) {
  struct stat out {};
  if (::fstat(STDOUT_FILENO, &out) != 0 || !S_ISREG(out.st_mode)) return;
  for (const std::string& input : inputs) {
    if (input.empty() || !same_file(out, input)) continue;
    throw Error(ErrorKind::kUsage,
                out.st_size == 0 ? "stdout goes to this input, and the shell has emptied it"
                                 : "stdout goes to this input",
                input == "-" ? "<stdin>" : input,
                "write to another file and rename it, or use -o where the tool has it");
  }
}

}  // namespace

void keep_apart(const std::vector<std::string>& outputs, const std::vector<std::string>& inputs) {
  std::error_code ignored;
  std::set<fs::path> read, written;
  for (const std::string& input : inputs)
    if (!input.empty() && input != "-") read.insert(real_place(input));
  read.erase(fs::path());
  for (const std::string& output : outputs) {
    if (output.empty()) continue;
    if (output == "-") keep_stdout_apart(inputs);
    if (output != "-" && fs::exists(output, ignored) && !fs::is_regular_file(output, ignored)) continue;
    const fs::path real = output == "-" ? fs::path(output) : real_place(output);
    const auto refuse = [&](const char* what) {
      throw Error(ErrorKind::kUsage, what, output, "choose another name or folder");
    };
    if (read.contains(real)) refuse("this output is one of the inputs");
    for (const fs::path& input : read)
      if (fs::is_directory(input, ignored) && fs::exists(real, ignored) && lies_in(real, input))
        refuse("this output is a file of an input folder");
    if (!written.insert(real).second) refuse("two outputs go to this place");
  }
}

}  // namespace ds::io
