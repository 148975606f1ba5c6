// One line on stderr, rewritten in place; nothing when stderr is no terminal.
#pragma once
#include <cstdint>
#include <string>

#include "core/clock.h"

namespace ds::cli {

class ProgressLine {
 public:
  // `wanted`: not --quiet.
  explicit ProgressLine(bool wanted);
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  bool on() const { return on_; }
  // Whether it is time to write again, four times a second: work must not wait for a terminal more often.
  bool due();
  void write(const std::string& text);
  // "300/900 questions  12 s left", when it is due; "300 questions" where their number is not known (0).
  // n_before: of those done, what took no time.
  void show(int64_t n_done, int64_t n_all, const char* unit, int64_t n_before = 0);
  // Before other words on stderr.
  void clear();
  double elapsed_s() const { return static_cast<double>(now_ns() - start_ns_) * 1e-9; }

 private:
  bool on_, shown_ = false;
  int64_t start_ns_ = now_ns(), last_ns_ = 0;
};

}  // namespace ds::cli
