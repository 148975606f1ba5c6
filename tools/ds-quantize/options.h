// The options of ds-quantize.
#pragma once
#include <string>

#include "cli/options.h"
#include "quant/options.h"

namespace ds::quant {

struct QuantizeCommandLine {
  QuantizeOptions quantize;
  cli::CommonOptions common;
  std::string block = "128x128", experts, verify, eval, html, command_line;
  double min_sqnr = 28;
  bool dry_run = false, histogram = false, no_sync = false;
};

// The words of --help around the table, too.
void add_options(CLI::App& app, QuantizeCommandLine& line);

}  // namespace ds::quant
