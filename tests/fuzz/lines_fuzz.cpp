// Any bytes as a stream of lines, with a small limit: lines and errors together account for every newline.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "core/error.h"
#include "core/utf8.h"
#include "io/lines.h"

using namespace ds;
using namespace ds::io;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t n) {
  static const int fd = ::memfd_create("fuzz", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (n == 0 || ::ftruncate(fd, 0) != 0 || ::pwrite(fd, bytes + 1, n - 1, 0) != static_cast<ssize_t>(n - 1))
    return 0;
  // Bytes that unpack to others keep no count of lines.
  if (compression_from_bytes({reinterpret_cast<const char*>(bytes) + 1, n - 1}) != Compression::kNone)
    return 0;
  const int64_t limit = bytes[0];
  LineReader reader(path, limit);
  int64_t n_lines = 0;
  for (bool more = true; more;) {
    try {
      const auto line = reader.next();
      more = line.has_value();
      if (!more) break;
      DS_CHECK(static_cast<int64_t>(line->size()) <= limit);
      DS_CHECK(line->find('\n') == std::string_view::npos);
      const std::string clean = replace_invalid_utf8(*line);
      DS_CHECK(find_invalid_utf8(clean) == std::string_view::npos);
      DS_CHECK(complete_utf8_prefix(clean) == clean.size());
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kBadData) throw;
    }
    ++n_lines;
  }
  const auto newlines = std::count(bytes + 1, bytes + n, '\n');
  DS_CHECK(n_lines == newlines + (n > 1 && bytes[n - 1] != '\n'));
  DS_CHECK(reader.line_number() == n_lines);
  return 0;
}
