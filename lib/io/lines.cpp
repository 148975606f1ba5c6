#include "io/lines.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace ds::io {

LineReader::LineReader(const std::string& path, int64_t max_line_bytes)
    : name_(path == "-" ? "<stdin>" : path), fd_(STDIN_FILENO), max_line_bytes_(max_line_bytes) {
  if (path == "-") return;
  owned_ = FileHandle(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (owned_.get() < 0) throw Error(ErrorKind::kNoInput, "cannot open: " + os_error(), path);
  fd_ = owned_.get();
}

std::string LineReader::where() const { return name_ + ":" + std::to_string(line_number_); }

void LineReader::too_long() {
  ++line_number_;
  throw Error(ErrorKind::kBadData, "line longer than " + std::to_string(max_line_bytes_) + " bytes", where());
}

bool LineReader::fill() {
  constexpr size_t kReadBytes = 1 << 16;
  if (begin_ > kReadBytes || begin_ == buffer_.size()) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  while (stop_) {
    if (stop_()) return false;
    constexpr int kAskEveryMs = 200;  // a signal between the question and poll() is seen this late at most
    pollfd ready{fd_, POLLIN, 0};
    const int n = ::poll(&ready, 1, kAskEveryMs);
    if (n > 0 || (n < 0 && errno != EINTR)) break;  // an error shows again in read()
  }
  const size_t old = buffer_.size();
  buffer_.resize(old + kReadBytes);
  ssize_t n;
  do {
    n = ::read(fd_, buffer_.data() + old, kReadBytes);
  } while (n < 0 && errno == EINTR);
  if (n < 0)
    throw Error(errno == EISDIR ? ErrorKind::kNoInput : ErrorKind::kIo, "reading failed: " + os_error(),
                name_);
  buffer_.resize(old + n);
  at_end_ = n == 0;
  return true;
}

std::optional<std::string_view> LineReader::next() {
  for (;;) {
    const size_t newline = buffer_.find('\n', scanned_);
    if (newline != std::string::npos || (at_end_ && begin_ < buffer_.size())) {
      const size_t end = newline == std::string::npos ? buffer_.size() : newline;
      std::string_view line(buffer_.data() + begin_, end - begin_);
      begin_ = scanned_ = newline == std::string::npos ? end : end + 1;
      if (std::exchange(skipping_, false)) continue;
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (static_cast<int64_t>(line.size()) > max_line_bytes_) too_long();
      ++line_number_;
      return line;
    }
    if (at_end_) return std::nullopt;
    scanned_ = buffer_.size();
    if (skipping_) {
      begin_ = buffer_.size();
    } else if (static_cast<int64_t>(buffer_.size() - begin_) > max_line_bytes_ + 1) {  // one more for a "\r"
      skipping_ = true;
      begin_ = buffer_.size();
      too_long();
    }
    if (!fill()) return std::nullopt;
  }
}

}  // namespace ds::io
