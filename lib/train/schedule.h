// Learning rates over a run: warm-up, plateau, decay. The shapes are those of transformers' schedulers and of
// llm.c; tests/train/schedule_test.cpp holds both to their numbers.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "core/rooms.h"

namespace ds::train {

// What follows the warm-up. kWsd*: warm-up, stable, then a decay over the last n_decay steps.
enum class ScheduleKind { kConstant, kLinear, kCosine, kWsdLinear, kWsdCosine, kWsdSqrt };
// "constant", "linear", "cosine", "wsd" (which is wsd-sqrt), "wsd-linear", "wsd-cosine", "wsd-sqrt"
const std::map<std::string, ScheduleKind>& schedule_names();

struct Schedule {
  ScheduleKind kind = ScheduleKind::kCosine;
  double peak = 1e-4;
  double min_ratio = 0;  // where the decay ends, as a share of the peak; kConstant has none
  int64_t n_warmup = 0;  // updates of linear warm-up
  // kZero: the first update has rate 0, as in transformers, whose WSD begins at min_ratio instead. kFirst: it
  // has peak / n_warmup and the last of the warm-up the peak, as in llm.c.
  enum class WarmupFrom { kZero, kFirst } warmup_from = WarmupFrom::kZero;
  int64_t n_decay = 0;  // updates of the decay of kWsd*; 0: a fifth of the run
};

// The rate of the update that follows `step` finished ones, of n_steps in all; beyond them it stays where the
// decay ended.
double learning_rate(const Schedule& schedule, int64_t step, int64_t n_steps);

}  // namespace ds::train
