// The frozen plan of a run: which requests, how long, when. Two runs are comparable when their plans have the
// same hash; the plan says nothing about what is measured.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bench/targets/target.h"
#include "core/shard.h"

namespace ds::bench {

enum class Arrivals { kClosed, kPoisson, kConstant, kTrace };

struct PlanOptions {
  // JSON lines of {"messages"}, {"prompt"} or {"turns"}, or a ShareGPT list of conversations; empty:
  // generated
  std::string prompts_path;
  int64_t n_requests = 0;  // 0: as many as fit into duration_s
  double duration_s = 0;
  int64_t input_tokens = 32;   // of generated prompts, about
  int64_t output_tokens = 32;  // of prompts that do not say "max_tokens" themselves
  double length_spread = 0;    // of generated load: lengths are lognormal with this sigma; 0: all alike
  double shared_prefix = 0;    // of generated prompts: the share of a prompt that all begin with
  bool ignore_eos = false;
  double temperature = 0;
  uint64_t seed = 1;
  Arrivals arrivals = Arrivals::kClosed;
  std::vector<double> rates;  // open loop, requests per second; several: a sweep; none: to be searched
  std::vector<int64_t> clients = {1};  // closed: concurrency; open: at most so many in flight
  // Seconds since the start, one per line or as {"t": ...}; or a Mooncake trace, whose lengths and shared
  // blocks make the prompts where there is no prompts_path.
  std::string trace_path;
  int64_t warmup = -1;  // -1: by rule
};

struct Plan {
  PlanOptions options;
  std::vector<Request> requests;  // used in turn, again from the front when more are needed
  std::vector<double> arrivals;   // seconds; Poisson and constant at one request per second
  std::string hash;

  bool open() const { return options.arrivals != Arrivals::kClosed; }
  Request request(int64_t idx) const;  // with the id of its place
  // Seconds after the start; infinite beyond the end of a trace.
  double arrival_s(int64_t idx, double rate) const;
  Json describe() const;  // for the header
};

// Throws Error for unusable options or files.
Plan make_plan(const PlanOptions& options);
// A plan as JSON lines, and back. The hash is checked when read: throws Error{kBadData} when it differs.
std::string plan_text(const Plan& plan);
Plan read_plan(const std::string& path);

// "p90:5%" to the requests per arm that show such a change. Throws Error{kUsage}.
std::string detect_text(const std::string& claim);

// A plan as a command line words it.
struct PlanChoice {
  PlanOptions options;              // but for duration, arrivals and clients
  std::string frozen_path;          // a plan made before, which holds all the rest; empty: made now
  std::string duration;             // "30s", "5m"; empty: as many requests as asked for
  std::string arrivals = "closed";  // closed, poisson, constant, or the path of a trace
  std::vector<int64_t> clients;     // empty: one, or 256 where requests leave by the clock
  bool searches_rate = false;       // then, as with rates, "closed" arrivals are Poisson ones
};
// Of 100 requests where nothing bounds it. Throws Error as make_plan does.
Plan choose_plan(const PlanChoice& choice);

// Number [0, n) of the shard an id belongs to, stable whatever else is in the set.
int64_t shard_of(const std::string& id, int64_t n_shards);
bool in_shard(const Shard& shard, const std::string& id);

}  // namespace ds::bench
