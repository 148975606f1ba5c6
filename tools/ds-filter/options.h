// The options of ds-filter and its commands.
#pragma once
#include <string>
#include <vector>

#include "cli/options.h"
#include "filter/passes/options.h"

namespace ds::filter {

struct FilterCommandLine {
  FilterOptions run;
  cli::CommonOptions common;
  std::string profile, stages, html, command_line;
  double max_bad = 1;
  bool show_config = false;
  std::string id, out_of_domain, part = "0/1", clusters;  // of commands
  double loss = 0.01;
  uint64_t sample = 100000;
  std::vector<std::string> edges;
};

struct FilterWork {
  std::function<int(FilterCommandLine&)> explain, tune, calibrate, sig, edges, cluster, apply;
};
// Adds the options that all commands share, and the commands, which are returned.
std::vector<cli::Command> add_options(CLI::App& app, FilterCommandLine& line, const FilterWork& work);

}  // namespace ds::filter
