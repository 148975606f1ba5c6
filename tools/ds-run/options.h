// The options of ds-run.
#pragma once
#include <optional>
#include <string>

#include "cli/options.h"
#include "infer/run_job.h"

namespace ds::infer {

struct RunCommandLine {
  RunJob job;
  cli::CommonOptions common;
  std::optional<std::string> prompt;
  std::optional<RunJob::Kind> kind;  // of a job that is no answer
  std::string file, jsonl, concurrency = "auto";
  bool has_jsonl = false, think = false, no_think = false;
};

// The words of --help around the table, too.
void add_options(CLI::App& app, RunCommandLine& line);

}  // namespace ds::infer
