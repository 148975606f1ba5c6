#include "bench/compare/compare.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "bench/stats/quantile.h"
#include "bench/stats/stats.h"
#include "core/error.h"
#include "core/json_value.h"
#include "report/words.h"

namespace ds::bench {
namespace {

constexpr int64_t kMinPairs = 20, kMinRequests = 8;
constexpr size_t kMaxGaps = 20000;
constexpr double kOthersDiffer = 0.15;  // of the processors
// Per arm of two separate runs. A memory too faint and long to be estimated from a hundred requests must
// still fit into a stretch; labels of sixteen pairs can be swapped in 65536 ways.
constexpr int64_t kStretches = 16;

struct Arms {
  std::vector<const RequestRecord*> a, b;
  bool paired = false, open = false;
  bool entangled = false;  // requests depend on each other for longer than a unit lasts
  std::map<const RequestRecord*, int64_t> unit;
};

// A list of values of one arm under one gate.
std::vector<ArmValue> values_of(const std::vector<const RequestRecord*>& records, const Arms& arms,
                                const Gate& gate, const std::vector<Objective>& objectives) {
  const Clock clock = arms.open ? Clock::kResp : Clock::kSvc;
  std::vector<ArmValue> out;
  for (const RequestRecord* r : records) {
    const int64_t unit = arms.unit.at(r);
    const auto seconds = metric_ms(*r, Metric::kE2e, Clock::kSvc);
    if (gate.kind == Gate::Kind::kGoodput) {
      // Closed loop: good answers per second of a client; open loop: the arrivals are given, their share
      // counts.
      const double busy = static_cast<double>(r->t_done_ns - r->t_send_ns) * 1e-9;
      out.push_back({meets(*r, objectives, clock) ? 1.0 : 0.0, arms.open ? 1.0 : busy, unit});
    } else if (gate.kind == Gate::Kind::kTokS) {
      if (seconds && r->n_out >= 0) out.push_back({static_cast<double>(r->n_out), *seconds * 1e-3, unit});
    } else if (gate.metric == Metric::kItl && gate.kind == Gate::Kind::kQuantile) {
      if (r->ok())
        for (const int64_t g : r->gaps_ns) out.push_back({static_cast<double>(g) * 1e-6, 1, unit});
    } else if (const auto v = metric_ms(*r, gate.metric, clock)) {
      out.push_back({*v, 1, unit});
    }
  }
  if (out.size() > kMaxGaps) {  // every k-th gap keeps the mixture of requests
    std::vector<ArmValue> thinned;
    const size_t step = out.size() / kMaxGaps + 1;
    for (size_t i = 0; i < out.size(); i += step) thinned.push_back(out[i]);
    out.swap(thinned);
  }
  return out;
}

double statistic_of(const std::vector<ArmValue>& values, const Gate& gate) {
  if (values.empty()) return std::nan("");
  if (gate.kind == Gate::Kind::kQuantile) {
    std::vector<double> v;
    for (const auto& x : values) v.push_back(x.value);
    std::sort(v.begin(), v.end());
    return quantile(v, gate.p);
  }
  double num = 0, den = 0;
  for (const auto& x : values) num += x.value, den += x.weight;
  return num / den;
}

// Whether a statistic has no room: every value is the same, or all that the quantile may be at this level
// are. A permutation says nothing there, since shuffled arms of equal values jump from one value to another.
bool is_certain(const std::vector<ArmValue>& values, const Gate& gate, double level) {
  const bool constant = std::all_of(values.begin(), values.end(), [&](const ArmValue& v) {
    return v.value == values[0].value && v.weight == values[0].weight;
  });
  if (constant || gate.kind != Gate::Kind::kQuantile) return constant;
  std::vector<double> v;
  for (const ArmValue& x : values) v.push_back(x.value);
  const double independent = effective_samples(v);
  std::sort(v.begin(), v.end());
  const auto interval =
      quantile_with_interval(v, gate.p, QuantileMethod::kNearestRank, level, independent).interval;
  return interval && interval->lo == interval->hi;
}

// What three families of tests say of one gate, before Holm.
struct Tested {
  std::vector<double> difference, worse_than_bound, within_bound, equivalent;
};

std::vector<Gate> usual_gates(const Arms& arms) {
  std::vector<Gate> gates;
  for (const char* name : {"p50_ttft", "p90_ttft", "p50_tpot", "p90_e2e", "mean_e2e"}) {
    const Gate gate = parse_gate(name);
    if (!values_of(arms.a, arms, gate, {}).empty() && !values_of(arms.b, arms, gate, {}).empty())
      gates.push_back(gate);
  }
  return gates;
}

// How unlikely B's values are if its true statistic were above, or below, the limit: {worse, within}. For a
// quantile the number of values up to the limit is binomial; for a mean Student's t. Values that depend on
// their neighbours count as the fewer independent ones that say as much.
std::pair<double, double> against_limit(const std::vector<ArmValue>& values, const Gate& gate) {
  std::vector<double> v;
  for (const auto& x : values) v.push_back(x.value);
  const auto n = static_cast<double>(v.size()), independent = std::floor(effective_samples(v));
  if (gate.kind == Gate::Kind::kQuantile) {
    const auto met =
        static_cast<double>(std::count_if(v.begin(), v.end(), [&](double x) { return x <= *gate.limit_ms; }));
    const auto k = static_cast<int64_t>(std::floor(met / n * independent)),
               m = static_cast<int64_t>(independent);
    return {binomial_cdf(k, m, gate.p), 1 - binomial_cdf(k - 1, m, gate.p)};
  }
  double mean = 0, square = 0;
  for (const double x : v) mean += x / n;
  for (const double x : v) square += (x - mean) * (x - mean);
  const double error = std::sqrt(square / (n - 1) / independent);
  if (!(error > 0)) return {mean > *gate.limit_ms ? 0 : 1, mean > *gate.limit_ms ? 1 : 0};
  const double above = student_t_tail((mean - *gate.limit_ms) / error, independent - 1);
  return {above, 1 - above};
}

// Student's test on the logarithms, with as many degrees of freedom as there are independent values: what a
// permutation cannot know when even its units depend on each other.
class EntangledTest {
 public:
  EntangledTest(const std::vector<ArmValue>& a, const std::vector<ArmValue>& b, const Gate& gate) {
    const Arm x = arm_of(a), y = arm_of(b);
    dof_ = std::max(1.0, x.independent + y.independent - 2);
    // The standard error of a lognormal's quantile against that of its mean.
    double widen = 1;
    if (gate.kind == Gate::Kind::kQuantile) {
      const double z = normal_quantile(gate.p), density = std::exp(-z * z / 2) / std::sqrt(2 * M_PI);
      widen = std::sqrt(gate.p * (1 - gate.p)) / density;
    }
    error_ = widen * std::sqrt(x.variance / x.independent + y.variance / y.independent);
  }
  RatioTest::PValues test(double ratio, double factor) const {
    const double t = std::log(ratio / factor) / std::max(error_, 1e-12);
    return {student_t_tail(t, dof_), student_t_tail(-t, dof_)};
  }
  Interval interval(double ratio, double level) const {
    const double half = student_t_critical(dof_, level) * error_;
    return {ratio * std::exp(-half), ratio * std::exp(half)};
  }

 private:
  struct Arm {
    double variance = 0, independent = 1;
  };
  static Arm arm_of(const std::vector<ArmValue>& values) {
    std::vector<double> logs;
    for (const ArmValue& v : values) logs.push_back(std::log(std::max(1e-9, v.value / v.weight)));
    const auto n = static_cast<double>(logs.size());
    double mean = 0;
    Arm arm;
    for (const double l : logs) mean += l / n;
    for (const double l : logs) arm.variance += (l - mean) * (l - mean);
    arm.independent = std::clamp(effective_samples(logs), 2.0, n);
    // What moves slowly varies less within a run than it does between runs.
    arm.variance /= n * (1 - 1 / arm.independent);
    return arm;
  }
  double error_ = 0, dof_ = 1;
};

// How many requests would tell: intervals shrink with the square root of their number.
std::string hint(const GateComparison& g, double margin) {
  const int64_t n = std::min(g.n_a, g.n_b);
  const double half = std::log(g.interval.hi / g.interval.lo) / 2;
  if (!std::isfinite(half))
    return "too few independent stretches among these requests: several times as many are needed";
  const double shorter = std::max(2.0, std::pow(half / std::log1p(std::max(margin, 0.01)), 2));
  return "about " + short_number(shorter * static_cast<double>(n)) +
         (g.gate.metric == Metric::kItl ? " gaps" : " requests") + " per arm (now " + std::to_string(n) +
         ") would settle " + short_number(margin * 100) + " %";
}

GateComparison test_gate(const Arms& arms, const Gate& gate, const CompareOptions& options, Tested& tested) {
  GateComparison g;
  g.gate = gate;
  auto a = values_of(arms.a, arms, gate, options.objectives),
       b = values_of(arms.b, arms, gate, options.objectives);
  g.n_a = static_cast<int64_t>(a.size());
  g.n_b = static_cast<int64_t>(b.size());
  g.a = statistic_of(a, gate);
  g.b = statistic_of(b, gate);
  const auto skip = [&](const std::string& why) {
    g.why = why;
    g.ratio = g.a > 0 ? g.b / g.a : std::nan("");
    g.interval = {0, INFINITY};
    for (auto* family :
         {&tested.difference, &tested.worse_than_bound, &tested.within_bound, &tested.equivalent})
      family->push_back(1);
    return g;
  };
  const int64_t n = std::min(g.n_a, g.n_b);
  if (n == 0) return skip("no values");
  const int64_t needed =
      gate.kind == Gate::Kind::kQuantile ? std::max(kMinRequests, min_samples(gate.p)) : kMinRequests;
  if (n < needed) return skip("n " + std::to_string(n) + " < " + std::to_string(needed));
  constexpr double kCertain = 0.05;  // of alpha: certain also after Holm over as many gates as one asks for
  const double doubt = kCertain * options.alpha;
  if (g.a > 0 && g.b > 0 && is_certain(a, gate, 1 - doubt) && is_certain(b, gate, 1 - doubt)) {
    g.ratio = g.b / g.a;
    g.interval = {g.ratio, g.ratio};
    const auto p_of = [&](bool holds) { return holds ? 2 * doubt : 1.0; };
    tested.difference.push_back(p_of(g.ratio != 1));
    tested.equivalent.push_back(p_of(g.ratio <= 1 + options.margin && g.ratio >= 1 / (1 + options.margin)));
    const double bound = gate.limit_ms ? *gate.limit_ms / g.a : 1 + gate.change.value_or(0);
    const bool bad = gate.higher_is_better() ? g.ratio < bound : g.ratio > bound;
    const bool bounded = gate.limit_ms || gate.change;
    tested.worse_than_bound.push_back(p_of(bounded && bad));
    tested.within_bound.push_back(p_of(bounded && !bad));
    g.why = hint(g, options.margin);
    return g;
  }
  const Statistic statistic{
      gate.kind == Gate::Kind::kQuantile ? Statistic::Kind::kQuantile : Statistic::Kind::kRatio, gate.p};
  std::optional<EntangledTest> second;
  if (arms.entangled && gate.kind != Gate::Kind::kGoodput) second.emplace(a, b, gate);
  const RatioTest shuffled(std::move(a), std::move(b), statistic, arms.paired, options.seed,
                           options.max_permutations);
  const auto test_of = [&](double factor) {
    RatioTest::PValues p = shuffled.test(factor);
    if (!second) return p;
    const RatioTest::PValues q = second->test(shuffled.ratio(), factor);
    return RatioTest::PValues{std::max(p.greater, q.greater), std::max(p.less, q.less)};
  };
  g.ratio = shuffled.ratio();
  if (!std::isfinite(g.ratio)) return skip("one side is zero");
  g.interval = shuffled.interval(1 - options.alpha);
  if (second) {
    const Interval wide = second->interval(g.ratio, 1 - options.alpha);
    g.interval = {std::min(g.interval.lo, wide.lo), std::max(g.interval.hi, wide.hi)};
  }
  tested.difference.push_back(test_of(1).two_sided());
  tested.equivalent.push_back(
      std::max(test_of(1 + options.margin).less, test_of(1 / (1 + options.margin)).greater));
  double worse = 1, within = 1;
  if (gate.limit_ms) {
    std::tie(worse, within) = against_limit(values_of(arms.b, arms, gate, options.objectives), gate);
  } else if (gate.change) {
    const auto p = test_of(1 + *gate.change);
    worse = gate.higher_is_better() ? p.less : p.greater;
    within = gate.higher_is_better() ? p.greater : p.less;
  }
  tested.worse_than_bound.push_back(worse);
  tested.within_bound.push_back(within);
  g.why = hint(g, options.margin);
  return g;
}

void judge(GateComparison& g, const CompareOptions& options, double p_difference, double p_worse,
           double p_within, double p_equivalent) {
  g.p = p_difference;
  const bool b_larger = g.ratio > 1;
  if (p_equivalent <= options.alpha)
    g.verdict = Verdict::kSame;
  else if (p_difference <= options.alpha)
    g.verdict = b_larger == g.gate.higher_is_better() ? Verdict::kFaster : Verdict::kSlower;
  if (g.gate.limit_ms || g.gate.change) {
    g.result = p_worse <= options.alpha    ? GateResult::kFail
               : p_within <= options.alpha ? GateResult::kPass
                                           : GateResult::kOpen;
  } else {
    g.result = g.verdict == Verdict::kSlower         ? GateResult::kFail
               : g.verdict == Verdict::kInconclusive ? GateResult::kOpen
                                                     : GateResult::kPass;
  }
}

Comparison compare(Arms& arms, const CompareOptions& options) {
  for (const Gate& gate : options.gates)
    if (gate.kind == Gate::Kind::kGoodput && options.objectives.empty())
      throw Error(ErrorKind::kUsage, "goodput of what?", "--gate goodput",
                  "say the limits: --slo ttft=200ms,tpot=50ms");
  Comparison c;
  c.paired = arms.paired;
  c.level = 1 - options.alpha;
  std::set<int64_t> units;
  for (const auto& [r, unit] : arms.unit) units.insert(unit);
  c.n_blocks = static_cast<int64_t>(units.size());
  const auto errors = [](const std::vector<const RequestRecord*>& records) {
    int64_t n = 0;
    for (const auto* r : records) n += !r->ok();
    return wilson_interval(n, static_cast<int64_t>(records.size()));
  };
  c.error_share_a = errors(arms.a);
  c.error_share_b = errors(arms.b);
  c.more_errors = c.error_share_b.lo > c.error_share_a.hi;

  Tested t;
  for (const Gate& gate : options.gates.empty() ? usual_gates(arms) : options.gates)
    c.gates.push_back(test_gate(arms, gate, options, t));
  const auto difference = holm_adjust(t.difference), worse = holm_adjust(t.worse_than_bound),
             within = holm_adjust(t.within_bound), equivalent = holm_adjust(t.equivalent);
  bool any_fail = c.more_errors, any_open = c.gates.empty(), any_slower = c.more_errors, any_faster = false,
       any_inconclusive = c.gates.empty();
  for (size_t i = 0; i < c.gates.size(); ++i) {
    GateComparison& g = c.gates[i];
    judge(g, options, difference[i], worse[i], within[i], equivalent[i]);
    if (g.verdict != Verdict::kInconclusive && g.result != GateResult::kOpen) g.why.clear();
    any_fail |= g.result == GateResult::kFail;
    any_open |= g.result == GateResult::kOpen;
    any_slower |= g.verdict == Verdict::kSlower;
    any_faster |= g.verdict == Verdict::kFaster;
    any_inconclusive |= g.verdict == Verdict::kInconclusive;
  }
  c.overall = any_slower         ? Verdict::kSlower
              : any_inconclusive ? Verdict::kInconclusive
              : any_faster       ? Verdict::kFaster
                                 : Verdict::kSame;
  c.exit_code = any_fail ? 1 : any_open ? 3 : 0;
  return c;
}

// What others took of the machine during the run; -1 when not recorded.
double others_share(const RecordSet& set) {
  double share = -1;
  for (const Json& t : set.trailers)
    if (const Json* v = find(t, "others_cpu_share"); v && v->is_number())
      share = std::max(share, v->get<double>());
  return share;
}

// A difference between runs on a machine that others used unequally is no difference of what was measured.
void distrust(Comparison& c, double a, double b) {
  if (a < 0 || b < 0 || std::fabs(a - b) <= kOthersDiffer) return;
  c.notes.push_back("others used " + short_number(a * 100) + " % of the processors during A and " +
                    short_number(b * 100) +
                    " % during B: differences are not believed; measure again, or in turns with --ab");
  bool any_fail = c.more_errors;
  for (GateComparison& g : c.gates) {
    if (g.verdict == Verdict::kFaster || g.verdict == Verdict::kSlower) g.verdict = Verdict::kInconclusive;
    if (!g.gate.limit_ms) g.result = GateResult::kOpen;
    if (g.why.empty()) g.why = "the machine was not equally busy";
    any_fail |= g.result == GateResult::kFail;
  }
  c.overall = c.more_errors ? Verdict::kSlower : Verdict::kInconclusive;
  c.exit_code = any_fail ? 1 : 3;
}

bool is_open(const RecordSet& set) { return header_of(set, 0) && header_of(set, 0)->open; }

// Requests in a row after which the next no longer depends on the first: twice the correlation time of what
// depends most; 1 for independent ones.
int64_t dependent_stretch(const std::vector<const RequestRecord*>& records) {
  double longest = 1;
  for (const Metric metric : {Metric::kTtft, Metric::kTpot, Metric::kE2e}) {
    const auto values = metric_values(records, metric, Clock::kSvc);
    const auto n = static_cast<double>(values.size());
    if (const double effective = effective_samples(values); effective < n)
      longest = std::max(longest, 2 * n / effective);
  }
  return static_cast<int64_t>(std::ceil(longest));
}

// The fewest stretches per arm with which the strictest of the gates can still be significant, with room to
// spare: the labels of n pairs can be swapped in 2^n ways, those of n and n units be shuffled in (2n over n).
int64_t fewest_stretches(bool paired, size_t n_gates, double alpha) {
  const double wanted = 4 * static_cast<double>(std::max<size_t>(1, n_gates)) / alpha;
  int64_t n = 1;
  for (double ways = 2; ways < wanted; ++n) {
    const auto k = static_cast<double>(n);
    ways *= paired ? 2 : 2 * (2 * k + 1) / (k + 1);
  }
  return n;
}

std::vector<const RequestRecord*> measured(const RecordSet& set) {
  if (set.runs.size() > 1)
    throw Error(ErrorKind::kBadData, std::to_string(set.runs.size()) + " runs in one file", "compare",
                "give each run its own file");
  std::set<std::string> points;
  for (const auto& r : set.requests)
    if (r.phase != "warmup") points.insert(r.point);
  if (points.size() > 1)
    throw Error(ErrorKind::kBadData, "a sweep of " + std::to_string(points.size()) + " load points",
                "compare", "compare runs of one load point");
  std::vector<const RequestRecord*> out;
  for (const auto& r : set.requests)
    if (r.phase != "warmup") out.push_back(&r);
  return out;
}

// What was left out may not be like what is there.
void note_incomplete(Comparison& c, const RecordSet& set, const std::string& name) {
  if (set.n_bad) c.notes.push_back(name + " has " + std::to_string(set.n_bad) + " malformed lines, left out");
  if (set.interrupted || set.cut_off)
    c.notes.push_back(name + " is incomplete: ds-bench run --resume completes it");
}

// The spread of daily life between two runs is in no interval computed from within them.
constexpr const char* kSeparateRuns =
    "two separate runs: what changes between runs (heat, neighbours) is not in these intervals; --ab "
    "measures in turns";

}  // namespace

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kFaster:
      return "FASTER";
    case Verdict::kSlower:
      return "SLOWER";
    case Verdict::kSame:
      return "SAME";
    case Verdict::kInconclusive:
      return "INCONCLUSIVE";
  }
  return "?";
}

Comparison compare_runs(const RecordSet& a, const RecordSet& b, const CompareOptions& options) {
  std::vector<std::string> differences;
  const RunHeader *ha = header_of(a, 0), *hb = header_of(b, 0);
  const bool same_plan = ha && hb && ha->plan_hash == hb->plan_hash;
  if (ha && hb) {
    if (!same_plan) {
      std::vector<std::string> members;
      if (const Json* plan = find(ha->object, "plan"); plan && plan->is_object())
        for (const auto& [key, value] : plan->items())
          if (key != "hash") members.push_back("plan." + key);
      differences = header_differences(*ha, *hb, members);
      if (differences.empty()) differences.push_back("plan: other prompts or arrival times");
    }
    for (auto& d : environment_differences(*ha, *hb)) differences.push_back(std::move(d));
  }
  if (!differences.empty() && !options.force) {
    std::string list;
    for (const auto& d : differences) list += "\n  " + d;
    throw Error(ErrorKind::kBadData, "the runs are not comparable:" + list, "compare",
                "measure both alike, or say --force");
  }
  Arms arms;
  arms.a = measured(a);
  arms.b = measured(b);
  arms.open = is_open(a) && is_open(b);
  // Requests of one id carried the same prompt: pairs, when nearly all have one and each ran alone.
  std::map<std::string, const RequestRecord*> by_id;
  for (const auto* r : arms.a) by_id[r->id] = r;
  int64_t n_common = 0;
  for (const auto* r : arms.b) n_common += static_cast<int64_t>(by_id.count(r->id));
  const auto larger = static_cast<int64_t>(std::max(arms.a.size(), arms.b.size()));
  arms.paired = n_common >= kMinPairs && n_common == larger && by_id.size() == arms.a.size() && same_plan &&
                !ha->plan_hash.empty();
  // Neighbours in time share what happened to the machine: labels move in stretches of consecutive requests,
  // so that a bad second counts once and not once per request. The stretches are long enough to hardly depend
  // on each other, but never so long that no difference whatever could be told apart: then the stretches are
  // entangled, and a second test, which knows how few independent values there are, must agree.
  std::map<std::string, int64_t> place;
  for (size_t i = 0; i < arms.a.size(); ++i) place[arms.a[i]->id] = static_cast<int64_t>(i);
  int64_t next = 0;
  const int64_t least = std::max(dependent_stretch(arms.a), dependent_stretch(arms.b));
  for (const auto* side : {&arms.a, &arms.b})
    for (const auto* record : *side) arms.unit[record] = 0;
  const size_t n_gates = options.gates.empty() ? usual_gates(arms).size() : options.gates.size();
  const int64_t fewest = fewest_stretches(arms.paired, n_gates, options.alpha);
  arms.entangled =
      least > std::max<int64_t>(1, static_cast<int64_t>(std::min(arms.a.size(), arms.b.size())) / fewest);
  for (const auto* side : {&arms.a, &arms.b}) {
    const auto size = static_cast<int64_t>(side->size());
    const int64_t stretch =
        std::clamp<int64_t>(least, size / kStretches, std::max<int64_t>(1, size / fewest));
    for (size_t i = 0; i < side->size(); ++i)
      arms.unit[(*side)[i]] =
          arms.paired ? place[(*side)[i]->id] / stretch : next + static_cast<int64_t>(i) / stretch;
    if (!arms.paired) next += static_cast<int64_t>(side->size()) / stretch + 1;
  }
  Comparison c = compare(arms, options);
  c.differences = differences;
  note_incomplete(c, a, "A");
  note_incomplete(c, b, "B");
  c.notes.push_back(kSeparateRuns);
  if (!options.force) distrust(c, others_share(a), others_share(b));
  if (!ha || !hb || ha->plan_hash.empty() || hb->plan_hash.empty())
    c.notes.push_back("records without a header: plan and environment could not be checked");
  return c;
}

Comparison compare_arms(const RecordSet& ab, const CompareOptions& options) {
  Arms arms;
  std::map<int64_t, int> seen;
  for (const auto* r : measured(ab)) {
    if (r->arm != "a" && r->arm != "b")
      throw Error(ErrorKind::kBadData, "arm '" + r->arm + "'", "compare",
                  "the arms of an interleaved run are \"a\" and \"b\"");
    (r->arm == "b" ? arms.b : arms.a).push_back(r);
    arms.unit[r] = r->block;
    seen[r->block] |= r->arm == "b" ? 2 : 1;
  }
  if (arms.b.empty())
    throw Error(ErrorKind::kUsage, "one file with one arm: there is nothing to compare it with", "compare",
                "give two files, or a run made with --ab");
  arms.open = is_open(ab);
  const auto n_complete =
      std::count_if(seen.begin(), seen.end(), [](const auto& s) { return s.second == 3; });
  arms.paired = n_complete >= kMinPairs;
  // Blocks cut by an interrupt have one side only; in a paired test they would carry a label without a
  // partner.
  if (arms.paired)
    for (auto* side : {&arms.a, &arms.b})
      std::erase_if(*side, [&](const auto* r) { return seen[r->block] != 3; });
  Comparison c = compare(arms, options);
  note_incomplete(c, ab, "the run");
  if (!arms.paired)
    c.notes.push_back("fewer than " + std::to_string(kMinPairs) +
                      " complete blocks: labels are shuffled, not swapped");
  return c;
}

namespace {

using Table = std::vector<std::array<std::string, 8>>;
constexpr size_t kHolm = 5;

// Columns as wide as what stands in them; where that is too much for the line, what stands last goes below.
std::vector<std::string> table_rows(const Table& table, int width) {
  constexpr size_t kColumns = std::tuple_size_v<Table::value_type>, kLast = kColumns - 1, kIndent = 10;
  std::array<size_t, kColumns> widths{};
  for (const auto& row : table)
    for (size_t k = 0; k < kColumns; ++k) widths[k] = std::max(widths[k], row[k].size());
  const auto total = [&](size_t gap) {
    size_t sum = 0;
    for (const size_t w : widths) sum += w ? w + gap : 0;
    return sum - gap;
  };
  const auto room = static_cast<size_t>(width);
  const size_t gap = total(2) <= room ? 2 : 1;
  const bool below = total(gap) > room;
  std::vector<std::string> out;
  for (const auto& row : table) {
    std::string line;
    for (size_t k = 0; k < (below ? kLast : kColumns); ++k) {
      if (!widths[k]) continue;
      const bool number = (k > 0 && k < 4) || k == kHolm;
      const std::string pad(widths[k] - row[k].size(), ' ');
      line += (k ? std::string(gap, ' ') : "") + (number ? pad + row[k] : row[k] + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out.push_back(line + "\n" + (below && out.size() ? std::string(kIndent, ' ') + row[kLast] + "\n" : ""));
  }
  return out;
}

// What the exit code stands for: how A and B differ or, where bounds were given, whether those are met.
std::string verdict_text(const Comparison& c) {
  const auto n_with = [&](GateResult result) {
    return std::count_if(c.gates.begin(), c.gates.end(), [&](const auto& g) { return g.result == result; });
  };
  const bool bounded = std::any_of(c.gates.begin(), c.gates.end(),
                                   [](const auto& g) { return g.gate.limit_ms || g.gate.change; });
  std::string text = std::string("verdict: ") + verdict_name(c.overall);
  if (bounded) {
    text += "; gates: " + std::to_string(n_with(GateResult::kPass)) + " of " +
            std::to_string(c.gates.size()) + " passed";
    if (const auto n = n_with(GateResult::kFail)) text += ", " + std::to_string(n) + " FAILED";
    if (const auto n = n_with(GateResult::kOpen)) text += ", " + std::to_string(n) + " open";
    if (c.more_errors) text += ", but B fails more often";
  }
  return text + " (exit " + std::to_string(c.exit_code) + ")";
}

}  // namespace

std::string comparison_text(const Comparison& c, int width) {
  constexpr int kWithP = 90;
  const bool with_p = width >= kWithP;
  const auto percent = [](double ratio) {
    char text[32];
    if (!std::isfinite(ratio)) return std::string(ratio > 0 ? "+inf" : "-");
    constexpr double kMostDigits = 1e5;
    const double change = (ratio - 1) * 100;
    std::snprintf(text, sizeof text, std::abs(change) < kMostDigits ? "%+.1f%%" : "%+.2g%%", change);
    return std::string(text);
  };
  const auto value = [](double v) { return std::isfinite(v) ? short_number(v) : std::string("-"); };
  Table table{
      {"gate", "A", "B", "B/A", short_number(c.level * 100) + " % interval", "p(Holm)", "verdict", "result"}};
  for (const GateComparison& g : c.gates) {
    std::string result = g.result == GateResult::kPass   ? "pass"
                         : g.result == GateResult::kFail ? "FAIL"
                                                         : "open";
    if (g.gate.change) result += " " + percent(1 + *g.gate.change);
    if (g.gate.limit_ms) result += " <" + short_number(*g.gate.limit_ms) + "ms";
    char p[32];
    std::snprintf(p, sizeof p, "%.3g", g.p);
    table.push_back({g.gate.name, value(g.a), value(g.b), percent(g.ratio),
                     "[" + percent(g.interval.lo) + ", " + percent(g.interval.hi) + "]", p,
                     verdict_name(g.verdict), result});
  }
  if (!with_p)
    for (auto& row : table) row[kHolm].clear();
  const std::vector<std::string> rows = table_rows(table, width);
  std::string out = rows[0];
  for (size_t i = 0; i < c.gates.size(); ++i) {
    out += rows[i + 1];
    if (!c.gates[i].why.empty()) out += fold("          " + c.gates[i].why, width, 10);
  }
  const auto say = [&](const std::string& text) { out += fold(text, width, 2); };
  say(c.paired ? "paired: labels swapped within " + std::to_string(c.n_blocks) + " blocks"
               : "not paired: labels shuffled over all requests");
  if (c.more_errors)
    say("! B fails more often: " + short_number(c.error_share_b.lo * 100) + ".." +
        short_number(c.error_share_b.hi * 100) + " % against " + short_number(c.error_share_a.lo * 100) +
        ".." + short_number(c.error_share_a.hi * 100) + " %");
  for (const auto& d : c.differences) say("! forced although different: " + d);
  for (const auto& n : c.notes) say("note: " + n);
  return out + fold(verdict_text(c), width, 2);
}

Json comparison_json(const Comparison& c) {
  Json::array_t gates;
  for (const GateComparison& g : c.gates) {
    const auto number = [](double v) { return std::isfinite(v) ? Json(v) : Json(); };
    gates.push_back(Json{{"gate", g.gate.name},
                         {"a", number(g.a)},
                         {"b", number(g.b)},
                         {"ratio", number(g.ratio)},
                         {"lo", number(g.interval.lo)},
                         {"hi", number(g.interval.hi)},
                         {"p", g.p},
                         {"n_a", g.n_a},
                         {"n_b", g.n_b},
                         {"verdict", verdict_name(g.verdict)},
                         {"result", g.result == GateResult::kPass   ? "pass"
                                    : g.result == GateResult::kFail ? "fail"
                                                                    : "open"},
                         {"why", g.why.empty() ? Json() : Json(g.why)}});
  }
  Json::array_t differences(c.differences.begin(), c.differences.end());
  return Json{{"schema", "dsbench-compare/1"},
              {"verdict", verdict_name(c.overall)},
              {"exit", c.exit_code},
              {"paired", c.paired},
              {"more_errors", c.more_errors},
              {"gates", std::move(gates)},
              {"differences", std::move(differences)}};
}

}  // namespace ds::bench
