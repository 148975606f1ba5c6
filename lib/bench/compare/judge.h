// ds-bench compare: two sets of records of any kind, one verdict.
#pragma once
#include <string>

#include "bench/compare/compare.h"
#include "core/json_value.h"

namespace ds::bench {

struct Judged {
  std::string text;
  Json json;
  int exit_code = 3;
};
// Answers are compared with answers, perplexities with perplexities, times with times; with one file its two
// arms. Throws Error{kBadData} when the two sides do not fit.
Judged compare_records(const RecordSet& a, const RecordSet& b, bool two_files, const CompareOptions& options);

}  // namespace ds::bench
