#include "io/keep_apart.h"

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

}  // namespace

void keep_apart(const std::vector<std::string>& outputs, const std::vector<std::string>& inputs) {
  std::error_code ignored;
  std::set<fs::path> read, written;
  for (const std::string& input : inputs)
    if (!input.empty() && input != "-") read.insert(real_place(input));
  read.erase(fs::path());
  for (const std::string& output : outputs) {
    if (output.empty()) continue;
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
