// The options of ds-finetune's training run.
#pragma once
#include <string>
#include <vector>

#include "cli/options.h"
#include "train/data_set.h"
#include "train/loop.h"
#include "train/schedule.h"

namespace ds::train {

struct TrainCommandLine {
  TrainOptions train;
  cli::CommonOptions common;
  DataSetOptions data;
  Schedule schedule{ScheduleKind::kConstant};
  std::string betas;
  double lr = -1;  // below 0: the method's own
  enum class Method { kLora, kFull } method = Method::kLora;
  enum class Arithmetic { kF32, kBF16 } dtype = Arithmetic::kBF16;
  bool packing = true, recompute = true, no_shuffle = false;
};

// The words of --help around the table, too.
void add_options(CLI::App& app, TrainCommandLine& line);

}  // namespace ds::train
