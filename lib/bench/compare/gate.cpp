#include "bench/compare/gate.h"

#include <cmath>
#include <cstdlib>

#include "core/error.h"

namespace ds::bench {

Gate parse_gate(const std::string& text) {
  const auto fail = [&](const std::string& what) -> Error {
    return Error(ErrorKind::kUsage, what + " in '" + text + "'", "--gate",
                 "write p50|p90|p95|p99|mean _ ttft|tpot|itl|e2e, goodput or tok_s, then :+5% or :200ms");
  };
  Gate gate;
  const size_t colon = text.find(':');
  gate.name = text.substr(0, colon);
  if (gate.name == "goodput") {
    gate.kind = Gate::Kind::kGoodput;
  } else if (gate.name == "tok_s") {
    gate.kind = Gate::Kind::kTokS;
  } else {
    const size_t bar = gate.name.find('_');
    const std::string which = gate.name.substr(0, bar);
    const auto metric = bar == std::string::npos ? std::nullopt : metric_from_name(gate.name.substr(bar + 1));
    if (!metric) throw fail("no metric");
    gate.metric = *metric;
    if (which == "mean")
      gate.kind = Gate::Kind::kMean;
    else if (which == "p50" || which == "p90" || which == "p95" || which == "p99")
      gate.p = std::atof(which.c_str() + 1) / 100;
    else
      throw fail("no percentile");
  }
  if (colon == std::string::npos) return gate;
  const std::string bound = text.substr(colon + 1);
  char* end = nullptr;
  const double number = std::strtod(bound.c_str(), &end);
  if (end != bound.c_str() && std::string(end) == "%") {
    if (!std::isfinite(number) || number <= -100 || number > 10000) throw fail("a change out of range");
    // "10%" without a sign means "10 % worse".
    const bool signed_ = bound[0] == '+' || bound[0] == '-';
    gate.change = (signed_ || !gate.higher_is_better() ? number : -number) / 100;
  } else {
    if (gate.higher_is_better()) throw fail("no percentage");
    gate.limit_ms = parse_duration_ms(bound, "--gate");
  }
  return gate;
}

}  // namespace ds::bench
