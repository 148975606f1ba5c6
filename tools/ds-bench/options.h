// The commands of ds-bench and their options.
#pragma once
#include <string>
#include <vector>

#include "bench/compare/compare.h"
#include "bench/eval/drift.h"
#include "bench/eval/eval.h"
#include "bench/eval/matrix.h"
#include "bench/load/run.h"
#include "bench/render/records_report.h"
#include "cli/options.h"

namespace ds::bench {

struct BenchCommandLine {
  cli::CommonOptions common;
  TargetChoice target;
  PlanChoice plan;
  RunOptions run;
  EvalOptions eval;
  DriftOptions drift;
  MatrixOptions matrix;
  StatsOptions stats;
  CompareOptions compare;
  std::vector<std::string> inputs = {"-"}, gates;
  std::string out = "-", title = "ds-bench report";
  std::string detect, script;  // of plan and doctor
  int64_t port = -1;           // where doctor serves; -1: nowhere
  bool json = false, integrity = false;
  ReportForm form = ReportForm::kText;
  std::vector<CLI::Option*> plan_options;  // of run: a frozen plan takes the place of all
};

struct BenchWork {
  std::function<int(BenchCommandLine&)> run, stats, compare, eval, drift, report, matrix, plan, doctor;
};
std::vector<cli::Command> add_commands(CLI::App& app, BenchCommandLine& options, const BenchWork& work);

// What the words of the command line add up to. Throws Error{kUsage} for options beside a frozen plan.
void resolve(BenchCommandLine& options);

}  // namespace ds::bench
