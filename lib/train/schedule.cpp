#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ds::train {
namespace {

double cosine(double done) { return 0.5 * (1 + std::cos(std::numbers::pi * done)); }

// From 1 to 0 as `done` goes from 0 to 1.
double decay(ScheduleKind kind, double done) {
  switch (kind) {
    case ScheduleKind::kConstant:
      return 1;
    case ScheduleKind::kLinear:
    case ScheduleKind::kWsdLinear:
      return 1 - done;
    case ScheduleKind::kCosine:
    case ScheduleKind::kWsdCosine:
      return cosine(done);
    case ScheduleKind::kWsdSqrt:
      return 1 - std::sqrt(done);
  }
  return 1;
}

bool is_wsd(ScheduleKind kind) {
  return kind == ScheduleKind::kWsdLinear || kind == ScheduleKind::kWsdCosine ||
         kind == ScheduleKind::kWsdSqrt;
}

double share(int64_t part, int64_t whole) {
  return std::clamp(static_cast<double>(part) / static_cast<double>(std::max<int64_t>(1, whole)), 0.0, 1.0);
}

}  // namespace

const std::map<std::string, ScheduleKind>& schedule_names() {
  static const std::map<std::string, ScheduleKind> names = {
      {"constant", ScheduleKind::kConstant},    {"linear", ScheduleKind::kLinear},
      {"cosine", ScheduleKind::kCosine},        {"wsd", ScheduleKind::kWsdSqrt},
      {"wsd-linear", ScheduleKind::kWsdLinear}, {"wsd-cosine", ScheduleKind::kWsdCosine},
      {"wsd-sqrt", ScheduleKind::kWsdSqrt}};
  return names;
}

double learning_rate(const Schedule& s, int64_t step, int64_t n_steps) {
  const auto from_minimum = [&](double factor) {
    return s.peak * (s.min_ratio + (1 - s.min_ratio) * factor);
  };
  if (step < s.n_warmup) {
    if (s.warmup_from == Schedule::WarmupFrom::kFirst) return s.peak * share(step + 1, s.n_warmup);
    const double factor = share(step, s.n_warmup);
    return is_wsd(s.kind) ? from_minimum(factor) : s.peak * factor;
  }
  if (s.kind == ScheduleKind::kConstant) return s.peak;
  if (!is_wsd(s.kind)) return from_minimum(decay(s.kind, share(step - s.n_warmup, n_steps - s.n_warmup)));
  const int64_t n_decay = s.n_decay > 0 ? s.n_decay : std::max<int64_t>(1, n_steps / 5);
  const int64_t begin = n_steps - n_decay;
  return step < begin ? s.peak : from_minimum(decay(s.kind, share(step - begin, n_decay)));
}

}  // namespace ds::train
