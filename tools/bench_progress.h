// How far a load is, on the progress line.
#pragma once
#include <cstdio>
#include <string>

#include "bench/load/load.h"
#include "cli/progress.h"

namespace ds::bench {

inline void show_load(cli::ProgressLine& line, const LoadProgress& p) {
  if (!line.due()) return;
  std::string text = p.point + (p.point.empty() ? "" : "  ") + std::to_string(p.n_done);
  if (p.n_all > 0) text += "/" + std::to_string(p.n_all);
  text += " requests";
  char rate[32];
  std::snprintf(rate, sizeof rate, "  %.3g/s", static_cast<double>(p.n_done) / p.elapsed_s);
  if (p.elapsed_s > 0) text += rate;
  if (p.left_s >= 0) text += "  " + cli::duration_text(p.left_s) + " left";
  line.write(text);
}

}  // namespace ds::bench
