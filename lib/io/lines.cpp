#include "io/lines.h"

#include <utility>

namespace ds::io {
namespace {
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
}

LineReader::LineReader(const std::string& path, int64_t max_line_bytes)
    : source_(path), max_line_bytes_(max_line_bytes) {}

void LineReader::stop_when(std::function<bool()> stop) {
  stop_ = std::move(stop);
  source_.stop_when(stop_);
}

std::string LineReader::where() const { return source_.name() + ":" + std::to_string(line_number_); }

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
  const size_t old = buffer_.size();
  buffer_.resize(old + kReadBytes);
  const size_t n = source_.read(buffer_.data() + old, kReadBytes);
  buffer_.resize(old + n);
  if (n == 0 && ((stop_ && stop_()) || !source_.at_end())) return false;
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
      if (line_number_ == 0 && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
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
