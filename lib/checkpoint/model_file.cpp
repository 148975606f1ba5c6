#include "checkpoint/model_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "checkpoint/gguf_config.h"
#include "core/error.h"
#include "core/json_value.h"
#include "io/json.h"

namespace ds::checkpoint {
namespace {

constexpr std::string_view kLfsPointer = "version https://git-lfs.github.com/spec/";

[[noreturn]] void cannot_open(const std::string& path) {
  const int error = errno;
  std::error_code ignored;
  if (error == ENOENT && std::filesystem::is_symlink(path, ignored))
    throw Error(
        ErrorKind::kNoInput,
        "is a link to " + std::filesystem::read_symlink(path, ignored).string() + ", which is not there",
        path, "the download is incomplete: fetch the model again");
  errno = error;
  throw Error(ErrorKind::kNoInput, "cannot open: " + os_error(), path);
}

// Where links cannot be made, git and archives write the target's path in the file's place; the Hugging Face
// cache is all links into blobs/.
bool is_link_as_text(std::string_view text) {
  return text.substr(0, 3) == "../" && text.find("blobs/") != text.npos && text.find('\n') == text.npos;
}

std::string with_specials_quoted(const std::string& text) {
  constexpr std::array<std::string_view, 3> kSpecials = {"NaN", "-Infinity", "Infinity"};
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '"') in_string = !in_string;
    if (in_string && text[i] == '\\' && i + 1 < text.size()) out += text[i++];
    std::string_view special;
    for (const std::string_view s : kSpecials)
      if (!in_string && special.empty() && text.compare(i, s.size(), s) == 0) special = s;
    if (special.empty()) {
      out += text[i++];
      continue;
    }
    out.append("\"").append(special).append("\"");
    i += special.size();
  }
  return out;
}

}  // namespace

bool model_file_exists(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) == 0) return true;
  const std::string gguf = errno == ENOTDIR ? gguf_above(path) : "";
  return !gguf.empty() && gguf_member_exists(gguf, path.substr(gguf.size() + 1));
}

io::FileHandle open_model_file(const std::string& path) {
  FileHandle fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (fd.get() < 0) cannot_open(path);
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) throw Error(ErrorKind::kIo, "cannot stat: " + os_error(), path);
  if (S_ISDIR(st.st_mode)) throw Error(ErrorKind::kNoInput, "is a folder, a file was expected", path);
  if (!S_ISREG(st.st_mode)) throw Error(ErrorKind::kNoInput, "is no regular file", path);
  std::array<char, 256> head;
  const ssize_t n = std::max<ssize_t>(::pread(fd.get(), head.data(), head.size(), 0), 0);
  const std::string_view text(head.data(), n);
  if (n == st.st_size && is_link_as_text(text))
    throw Error(ErrorKind::kNoInput, "is a link to " + std::string(text) + " written as a text file", path,
                "the copy or the checkout made no links: fetch the model again");
  if (text.substr(0, kLfsPointer.size()) == kLfsPointer)
    throw Error(ErrorKind::kNoInput, "is a Git LFS pointer: the file itself was not fetched", path,
                "run `git lfs pull` in the folder, or download the model again");
  return fd;
}

std::string read_model_file(const std::string& path, int64_t max_bytes) {
  if (const std::string gguf = gguf_above(path); !gguf.empty())
    return gguf_member_text(gguf, path.substr(gguf.size() + 1));
  const FileHandle fd = open_model_file(path);
  struct stat st {};
  ::fstat(fd.get(), &st);
  if (st.st_size > max_bytes)
    throw Error(ErrorKind::kBadModel, "longer than " + std::to_string(max_bytes) + " bytes", path);
  std::string bytes(st.st_size, '\0');
  read_at(fd.get(), bytes.data(), bytes.size(), 0, path);
  return bytes;
}

Json parse_model_json(const std::string& text, const std::string& where) {
  try {
    return parse_json(text, where, ErrorKind::kBadModel);
  } catch (const Error&) {
    const std::string quoted = with_specials_quoted(text);
    if (quoted == text) throw;
    return parse_json(quoted, where, ErrorKind::kBadModel);
  }
}

Json read_model_json(const std::string& path, int64_t max_bytes) {
  return parse_model_json(read_model_file(path, max_bytes), path);
}

}  // namespace ds::checkpoint
