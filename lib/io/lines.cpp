#include "io/lines.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace ds {

LineReader::LineReader(const std::string& path, int64_t max_line_bytes)
    : name_(path == "-" ? "<stdin>" : path), fd_(STDIN_FILENO), max_line_bytes_(max_line_bytes) {
  if (path == "-") return;
  owned_ = FileHandle(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (owned_.get() < 0) throw Error(ErrorKind::kNoInput, "cannot open: " + os_error(), path);
  fd_ = owned_.get();
}

std::string LineReader::where() const { return name_ + ":" + std::to_string(line_number_); }

// Whether a read would return at once. Polls with a short timeout, so that a signal that arrives just before
// the call is seen too.
bool LineReader::wait_for_input() {
  constexpr int kTimeoutMs = 200;
  if (!stop_requested_) return true;
  for (;;) {
    if (stop_requested_()) return false;
    pollfd entry{fd_, POLLIN, 0};
    const int n = ::poll(&entry, 1, kTimeoutMs);
    if (n > 0 || (n < 0 && errno != EINTR)) return true;  // an error shows again in read()
  }
}

std::optional<std::string_view> LineReader::next() {
  constexpr size_t kReadBytes = 1 << 16;
  for (;;) {
    const size_t newline = buffer_.find('\n', scanned_);
    if (newline != std::string::npos || (at_end_ && begin_ < buffer_.size())) {
      const size_t end = newline == std::string::npos ? buffer_.size() : newline;
      std::string_view line(buffer_.data() + begin_, end - begin_);
      begin_ = scanned_ = newline == std::string::npos ? end : end + 1;
      ++line_number_;
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      return line;
    }
    if (at_end_) return std::nullopt;
    scanned_ = buffer_.size();
    if (static_cast<int64_t>(buffer_.size() - begin_) > max_line_bytes_) {
      ++line_number_;
      throw Error(ErrorKind::kBadData, "line longer than " + std::to_string(max_line_bytes_) + " bytes",
                  where());
    }
    if (begin_ > kReadBytes || begin_ == buffer_.size()) {
      buffer_.erase(0, begin_);
      scanned_ -= begin_;
      begin_ = 0;
    }
    if (!wait_for_input()) return std::nullopt;
    const size_t old = buffer_.size();
    buffer_.resize(old + kReadBytes);
    ssize_t n;
    do {
      n = ::read(fd_, buffer_.data() + old, kReadBytes);
    } while (n < 0 && errno == EINTR);
    if (n < 0) throw Error(ErrorKind::kIo, "reading failed: " + os_error(), name_);
    buffer_.resize(old + n);
    at_end_ = n == 0;
  }
}

}  // namespace ds
