// Two runs, one verdict per gate.
//
//   FASTER, SLOWER  the permutation test sees a difference, Holm-corrected over the gates
//   SAME            the ratio lies inside the equivalence margin, both sides tested
//   INCONCLUSIVE    neither: too few requests, or too noisy
//
// A gate with a bound then passes, fails, or stays open by the same kind of test against its bound.
#pragma once
#include <string>
#include <vector>

#include "bench/compare/gate.h"
#include "bench/records/record.h"
#include "bench/stats/permutation.h"

namespace ds::bench {

enum class Verdict { kFaster, kSlower, kSame, kInconclusive };
const char* verdict_name(Verdict verdict);
enum class GateResult { kPass, kFail, kOpen };

struct CompareOptions {
  std::vector<Gate> gates;  // empty: the usual ones that have data
  double alpha = 0.05;
  double margin = 0.05;               // equivalence: +-5 %
  std::vector<Objective> objectives;  // for goodput
  bool force = false;                 // compare although plan or environment differ
  uint64_t seed = 1;
  int64_t max_permutations = 1999;
  int width = 100;  // of the text
};

struct GateComparison {
  Gate gate;
  Verdict verdict = Verdict::kInconclusive;
  GateResult result = GateResult::kOpen;
  double a = 0, b = 0, ratio = 1;
  Interval interval{0, 0};  // of the ratio
  double p = 1;             // two-sided, Holm-adjusted
  int64_t n_a = 0, n_b = 0;
  std::string why;  // of an inconclusive or open one
};

struct Comparison {
  std::vector<GateComparison> gates;
  bool paired = false;
  double level = 0.95;  // of the intervals
  int64_t n_blocks = 0;
  std::vector<std::string> differences;  // forced over
  std::vector<std::string> notes;
  Interval error_share_a, error_share_b;
  bool more_errors = false;
  Verdict overall = Verdict::kInconclusive;
  int exit_code = 3;  // 0 pass, 1 a gate failed, 3 open
};

// Throws Error{kBadData} listing the fields when plan or environment class differ and force is not set.
Comparison compare_runs(const RecordSet& a, const RecordSet& b, const CompareOptions& options);
// Arms "a" and "b" of one interleaved run.
Comparison compare_arms(const RecordSet& ab, const CompareOptions& options);

// Below 90 columns without the p-values.
std::string comparison_text(const Comparison& comparison, int width);
Json comparison_json(const Comparison& comparison);

}  // namespace ds::bench
