// Reading a stream line by line, with numbers for messages.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "io/files.h"

namespace ds {

class LineReader {
 public:
  // "-" is stdin. A line longer than max_line_bytes throws Error{kBadData}.
  explicit LineReader(const std::string& path, int64_t max_line_bytes = int64_t{1} << 30);

  // Asked while waiting for input and after a signal; when it says yes, next() returns nothing. May be empty.
  void stop_when(std::function<bool()> stop_requested) { stop_requested_ = std::move(stop_requested); }

  // The next line without its "\n" (a "\r" before it goes too), valid until the next call; nothing at the
  // end.
  std::optional<std::string_view> next();
  int64_t line_number() const { return line_number_; }
  // "file:line" of the line last returned; stdin is "<stdin>".
  std::string where() const;

 private:
  std::string name_;
  FileHandle owned_;
  int fd_;
  int64_t max_line_bytes_;
  int64_t line_number_ = 0;
  std::string buffer_;
  size_t begin_ = 0, scanned_ = 0;
  bool at_end_ = false;
  bool wait_for_input();

  std::function<bool()> stop_requested_;
};

}  // namespace ds
