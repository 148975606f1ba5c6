// Sends a plan's requests to a target and records what came back.
//
// Closed loop: so many clients, each sends its next request when the last one ended. Open loop: requests
// leave at their planned times; when all clients are busy they leave late, and both times are kept.
// Interleaved: two targets take turns on the same requests, so that heat and neighbours hit both. Which goes
// first is drawn for each block: swapping labels within blocks is then an exact test whatever the noise does
// from block to block. (A fixed A B B A lets noise that lasts a few requests pass for a difference.)
#pragma once
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "bench/plan/plan.h"
#include "bench/records/record.h"
#include "bench/targets/target.h"

namespace ds::bench {

// The time a load generator lives in; tests give it a simulated one.
class LoadClock {
 public:
  virtual ~LoadClock() = default;
  virtual int64_t now() const;
  // Returns early when stop says so.
  virtual void sleep_until(int64_t t_ns, const StopRequest& stop) const;
};

// How far a load has come. left_s < 0: cannot be told yet.
struct LoadProgress {
  std::string point;              // of a sweep or search
  int64_t n_done = 0, n_all = 0;  // measured requests; n_all 0: bounded by time alone
  double elapsed_s = 0, left_s = -1;
};
// "c=4  17/100 requests  3.2/s  26 s left"
std::string progress_text(const LoadProgress& progress);

struct LoadOptions {
  Shard shard;
  int64_t segment = 0;
  std::set<std::string> skip;  // "arm/point/id" already answered in an earlier run
  StopRequest stop;            // asked often; true ends the run after what is in flight
  std::function<void(const RequestRecord&)> on_record;   // called in turn, never at once from two threads
  std::function<void(const std::string&)> on_note;       // what is being done, in words
  std::function<void(const LoadProgress&)> on_progress;  // after each measured request, as on_record
  // Not 0: generated prompts begin with a number that no other request of this or another run has. A server
  // that keeps the prefixes it has seen would otherwise answer warm-up, load points and yesterday's run from
  // its cache.
  uint64_t salt = 0;
  const LoadClock* clock = nullptr;  // nullptr: real time
};
std::string skip_key(const RequestRecord& record);

struct LoadResult {
  int64_t n_sent = 0, n_ok = 0, n_errors = 0, n_warmup = 0;
  std::string warmup_reason;
  bool stopped = false;  // by request
  std::string gave_up;   // why, when every request failed
};

// Runs every load point of the plan against one target, or two interleaved (closed loop only, and the order
// within each block is drawn from the plan's seed).
LoadResult run_load(const std::vector<Target*>& arms, const Plan& plan, const LoadOptions& options);

// One point: a rate (open) or a number of clients (closed), as run_load does it but without warm-up.
LoadResult run_point(Target& target, const Plan& plan, double rate, int64_t clients, const std::string& label,
                     int64_t start_ns, const LoadOptions& options);

}  // namespace ds::bench
