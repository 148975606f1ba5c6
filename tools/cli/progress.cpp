#include "cli/progress.h"

#include <cstdio>

#include "cli/terminal.h"
#include "report/words.h"

namespace ds::cli {

ProgressLine::ProgressLine(bool wanted) : on_(wanted && stderr_is_animated()) {}

bool ProgressLine::due() {
  constexpr int64_t kEveryNs = 250'000'000;
  const int64_t now = now_ns();
  if (!on_ || now - last_ns_ < kEveryNs) return false;
  last_ns_ = now;
  return true;
}

void ProgressLine::write(const std::string& text) {
  std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
  std::fflush(stderr);
  shown_ = true;
}

void ProgressLine::show(int64_t n_done, int64_t n_all, const char* unit, int64_t n_before) {
  if (n_done == n_before || !due()) return;
  const std::string what = std::string(" ") + unit;
  if (n_all == 0) return write(std::to_string(n_done) + what);
  const double share = static_cast<double>(n_done - n_before) / static_cast<double>(n_all - n_before);
  write(std::to_string(n_done) + "/" + std::to_string(n_all) + what + "  " +
        report::time_left(elapsed_s(), share));
}

void ProgressLine::clear() {
  if (shown_) std::fputs("\r\x1b[K", stderr), std::fflush(stderr);
  shown_ = false;
}

}  // namespace ds::cli
