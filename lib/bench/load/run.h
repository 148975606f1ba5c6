// ds-bench run: a plan, one or two targets, records out.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "bench/load/load.h"
#include "bench/plan/plan.h"
#include "bench/records/environment.h"
#include "bench/records/record.h"
#include "bench/stats/metric.h"
#include "bench/targets/target.h"

namespace ds::bench {

// What to measure; exactly one of the three.
struct TargetChoice {
  std::string model, command, url;
  TargetOptions options;
};
std::unique_ptr<Target> make_target(const TargetChoice& choice);
// The same kind with another model folder, command or URL: the second arm.
std::unique_ptr<Target> make_second_target(const TargetChoice& choice, const std::string& other);

struct RunOptions {
  Plan plan;
  TargetChoice target;
  std::string ab;            // the second arm, empty: none
  std::string find_goodput;  // objectives; empty: no search
  Shard shard;
  std::string resume_path;  // records of an earlier, interrupted run of the same plan
  Build build;
  std::vector<std::string> argv;
  bool overhead = true;  // measure the tool's own cost first
  StopRequest stop;
  std::function<void(const std::string&)> write_line;  // one JSON line, without its newline
  std::function<void(const std::string&)> note;
  std::function<void(const LoadProgress&)> progress;
};

struct RunResult {
  LoadResult load;
  int64_t n_resumed = 0;
  std::string summary;  // for people
  int exit_code = 0;    // 0, 1 (no rate meets the objectives), 74 (nothing worked), 75
};

RunResult run_bench(const RunOptions& options);

// The search behind --find-goodput: from a first rate doubles while the objectives are met, or halves until
// they are, then bisects. A rate counts as
// met when the share of good requests is at least the objective's with 95 % confidence, as refuted when it is
// below with the same confidence; anything between is open and does not count as met.
struct GoodputProbe {
  double rate = 0;
  int64_t n = 0, n_good = 0;
  double worst_share = 1;  // over the objectives, lower confidence bound minus required share
  enum class Answer { kMet, kRefuted, kOpen } answer = Answer::kOpen;
};
struct GoodputSearch {
  std::vector<GoodputProbe> probes;
  double met_rate = 0;      // highest rate met with confidence; 0: none
  double refuted_rate = 0;  // lowest rate not met; 0: none
};
// probe(rate) runs one point and returns its records.
GoodputSearch find_goodput(const std::vector<Objective>& objectives, double first_rate,
                           const std::function<std::vector<RequestRecord>(double rate)>& probe,
                           const StopRequest& stop);
// Where to begin when nobody says: what the target answers per second when it is always busy. Runs closed(1),
// closed(2), closed(4), ... up to max_clients until twice as many clients get hardly more; closed() returns
// answers per second. 0: nothing was answered.
double saturation_rate(const std::function<double(int64_t clients)>& closed, int64_t max_clients,
                       const StopRequest& stop);
// Requests a probe needs so that the objectives can be confirmed at all when few of them miss.
int64_t probe_size(const std::vector<Objective>& objectives);
Json to_json(const GoodputSearch& search, const std::string& objectives);

}  // namespace ds::bench
