// Learning rates against transformers' schedulers and llm.c's warm-up.
#include "train/schedule.h"

#include <doctest/doctest.h>

#include "core/json_value.h"
#include "io/files.h"
#include "io/json.h"

using namespace ds;
using namespace ds::train;

namespace {

Schedule schedule_of(const std::string& name) {
  static const std::map<std::string, std::pair<ScheduleKind, double>> kinds = {
      {"constant", {ScheduleKind::kConstant, 0}},
      {"constant_with_warmup", {ScheduleKind::kConstant, 0}},
      {"linear", {ScheduleKind::kLinear, 0}},
      {"cosine", {ScheduleKind::kCosine, 0}},
      {"cosine_with_min_lr", {ScheduleKind::kCosine, 0.1}},
      {"wsd_linear", {ScheduleKind::kWsdLinear, 0.1}},
      {"wsd_cosine", {ScheduleKind::kWsdCosine, 0.1}},
      {"wsd_1-sqrt", {ScheduleKind::kWsdSqrt, 0.1}},
      {"wsd_1-sqrt_to_zero", {ScheduleKind::kWsdSqrt, 0}}};
  Schedule s;
  std::tie(s.kind, s.min_ratio) = kinds.at(name);
  s.n_warmup = name == "constant" ? 0 : 5;
  s.n_decay = 10;
  s.peak = 2e-4;
  return s;
}

}  // namespace

TEST_CASE("learning rates are those of the reference schedulers") {
  const std::string path = DS_SOURCE_DIR "/tests/golden/train/schedules.json";
  const Json all = io::parse_json(io::read_file(path), path);
  int n = 0;
  const auto compare = [&](const Schedule& s, const Json& rates, const std::string& name) {
    INFO(name);
    REQUIRE(rates.size() == 40);
    for (int64_t step = 0; step < 40; ++step, ++n) {
      INFO(step);
      CHECK(std::abs(learning_rate(s, step, 40) - rates[static_cast<size_t>(step)].get<double>()) < 1e-17);
    }
  };
  for (const auto& [name, row] : find(all, "transformers")->items())
    compare(schedule_of(name), *find(row, "lr"), name);
  for (const auto& [name, rates] : find(*find(all, "warmup_from_first"), "lr")->items()) {
    Schedule s = schedule_of(name);
    s.warmup_from = Schedule::WarmupFrom::kFirst;
    compare(s, rates, name);
  }
  CHECK(n == 13 * 40);
}

TEST_CASE("beyond its end a schedule stays where the decay ended, and a run of no steps divides by nothing") {
  Schedule s;
  s.min_ratio = 0.1;
  CHECK(learning_rate(s, 1000, 40) == doctest::Approx(s.peak * 0.1));
  s.kind = ScheduleKind::kWsdSqrt;
  CHECK(learning_rate(s, 39, 40) < s.peak);  // a fifth of the run by itself
  CHECK(learning_rate(s, 31, 40) == s.peak);
  CHECK(std::isfinite(learning_rate(s, 0, 0)));
}
