// One line on stderr, rewritten in place; nothing when stderr is no terminal.
#pragma once
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "bench/load/load.h"
#include "core/clock.h"

namespace ds::bench {

class ProgressLine {
 public:
  explicit ProgressLine(bool wanted) {
    const char* term = std::getenv("TERM");
    on_ = wanted && ::isatty(STDERR_FILENO) && !(term && std::strcmp(term, "dumb") == 0);
  }
  ~ProgressLine() { clear(); }

  void show(const LoadProgress& p) {
    if (!due()) return;
    char text[120];
    int n = std::snprintf(text, sizeof text, "%s%s%lld", p.point.c_str(), p.point.empty() ? "" : "  ",
                          static_cast<long long>(p.n_done));
    const auto add = [&](const char* format, auto value) {
      n += std::snprintf(text + n, sizeof text - static_cast<size_t>(n), format, value);
    };
    if (p.n_all > 0) add("/%lld", static_cast<long long>(p.n_all));
    add("%s", " requests");
    if (p.elapsed_s > 0) add("  %.3g/s", static_cast<double>(p.n_done) / p.elapsed_s);
    if (p.left_s >= 0) add("  %s left", duration(p.left_s).c_str());
    write(text);
  }
  void show(int64_t n_done, int64_t n_all) {
    if (!due() || n_done == 0) return;
    const double elapsed_s = static_cast<double>(now_ns() - start_ns_) * 1e-9;
    write(std::to_string(n_done) + "/" + std::to_string(n_all) + " questions  " +
          duration(elapsed_s / static_cast<double>(n_done) * static_cast<double>(n_all - n_done)) + " left");
  }
  // Before other words on stderr.
  void clear() {
    if (shown_) std::fputs("\r\x1b[K", stderr), std::fflush(stderr);
    shown_ = false;
  }

 private:
  static std::string duration(double s) {
    char text[32];
    if (s < 60)
      std::snprintf(text, sizeof text, "%.0f s", s);
    else
      std::snprintf(text, sizeof text, "%.0f min", s / 60);
    return text;
  }
  // Four times a second: what is measured must not wait for a terminal more often.
  bool due() {
    const int64_t now = now_ns();
    if (!on_ || now - last_ns_ < 250'000'000) return false;
    last_ns_ = now;
    return true;
  }
  void write(const std::string& text) {
    std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
    std::fflush(stderr);
    shown_ = true;
  }
  bool on_ = false, shown_ = false;
  int64_t start_ns_ = now_ns(), last_ns_ = 0;
};

}  // namespace ds::bench
