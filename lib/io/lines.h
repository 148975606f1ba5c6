// Reading a stream line by line, with numbers for messages. Compressed streams are read through
// (io/compress.h), and a byte order mark before the first line is no part of it.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "io/compress.h"

namespace ds::io {

class LineReader {
 public:
  // "-" is stdin. A line longer than max_line_bytes throws Error{kBadData}; the next call goes on after it.
  explicit LineReader(const std::string& path, int64_t max_line_bytes = int64_t{1} << 30);

  // The next line without its "\n" (a "\r" before it goes too), valid until the next call; nothing at the
  // end.
  std::optional<std::string_view> next();
  // While waiting for input, asks `stop` a few times a second (and after each signal); once it says true,
  // next() returns nothing. For tools that must end on SIGTERM although their input stays open and silent.
  void stop_when(std::function<bool()> stop);
  // Whether next() waits for a line that is not yet there, as it does at first. Else it returns nothing then,
  // too; at_end() tells which it was.
  void wait_for_input(bool waits) { source_.wait_for_input(waits); }
  bool at_end() const { return at_end_ && begin_ == buffer_.size(); }
  int64_t line_number() const { return line_number_; }
  // "file:line" of the line last returned; stdin is "<stdin>".
  std::string where() const;

 private:
  bool fill();  // reads more into the buffer; false: asked to stop, or not to wait
  [[noreturn]] void too_long();

  ByteSource source_;
  int64_t max_line_bytes_;
  int64_t line_number_ = 0;
  std::string buffer_;
  size_t begin_ = 0, scanned_ = 0;
  bool at_end_ = false;
  bool skipping_ = false;  // inside a line that was reported as too long
  std::function<bool()> stop_;
};

}  // namespace ds::io
