// The course of a training run from its events: loss and learning rate for a terminal or as a page.
#pragma once
#include <string>
#include <vector>

#include "core/rooms.h"

namespace ds::train {

// Of the events {"event": "step", "step", "loss", "lr"} and {"event": "eval", "step", "loss"}, beside which
// anything may stand.
struct RunCurves {
  std::vector<double> steps, losses;      // an update each
  std::vector<double> rate_steps, rates;  // where an event has one
  std::vector<double> eval_steps, evals;
  int64_t n_bad = 0;  // lines that are no JSON object
};
// `path`: a file of events, "-" for stdin, or a run's folder that has events.jsonl. An update that a resumed
// run did again counts as it was done last. Throws Error{kNoInput} for what is not there, {kBadData} without
// an update.
RunCurves read_curves(const std::string& path);

// A plot for each curve that has values, at most so many columns wide.
std::string curves_text(const RunCurves& curves, int width, bool unicode);
// A page on its own, light or dark as its reader's system is.
std::string curves_html(const RunCurves& curves, const std::string& title, const std::string& command_line);

}  // namespace ds::train
