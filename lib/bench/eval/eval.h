// ds-bench eval: one set through one target, items out.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "bench/eval/perplexity.h"
#include "bench/eval/questions.h"
#include "bench/load/run.h"
#include "bench/records/environment.h"

namespace ds::bench {

struct EvalOptions {
  TargetChoice target;
  std::string set;  // math, multiturn, reading, ppl, kld, or a file
  std::string data_folder, text_path;
  AskOptions ask;
  PerplexityOptions perplexity;
  std::string resume_path;
  Build build;
  std::vector<std::string> argv;
  std::function<void(const std::string&)> write_line, note;
};
struct EvalResult {
  std::string text;   // for people
  int exit_code = 0;  // 0, 74 (no answer at all), 75
};
EvalResult run_eval(const EvalOptions& options);

}  // namespace ds::bench
