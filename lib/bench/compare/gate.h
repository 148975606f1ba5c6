// What a comparison is asked: "p90_ttft:+5%" (may get at most 5 % worse), "p90_ttft:200ms" (must stay below),
// "tok_s:-3%" (may fall by at most 3 %), "goodput", "mean_e2e".
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "bench/stats/metric.h"

namespace ds::bench {

struct Gate {
  enum class Kind { kQuantile, kMean, kGoodput, kTokS } kind = Kind::kQuantile;
  std::string name;  // "p90_ttft"
  double p = 0.9;
  Metric metric = Metric::kTtft;
  std::optional<double> change;    // allowed relative change of B against A: +0.05
  std::optional<double> limit_ms;  // absolute limit on B

  bool higher_is_better() const { return kind == Kind::kGoodput || kind == Kind::kTokS; }
};
// Throws Error{kUsage}.
Gate parse_gate(const std::string& text);

}  // namespace ds::bench
