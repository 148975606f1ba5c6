#include "bench/load/load.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <mutex>
#include <thread>
#include <tuple>

#include "bench/load/threads.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/json_value.h"
#include "core/rng.h"
#include "report/words.h"

namespace ds::bench {

int64_t LoadClock::now() const { return now_ns(); }

void LoadClock::sleep_until(int64_t t_ns, const StopRequest& stop) const {
  for (int64_t left = t_ns - now_ns(); left > 0 && !(stop && stop()); left = t_ns - now_ns())
    std::this_thread::sleep_for(std::chrono::nanoseconds(std::min<int64_t>(left, 50'000'000)));
}

std::string skip_key(const RequestRecord& r) { return r.arm + "/" + r.point + "/" + r.id; }

namespace {

constexpr int64_t kMaxFailuresInARow = 50;
constexpr int kMaxWarmup = 16;
constexpr double kMaxWarmupSeconds = 30;
constexpr uint64_t kOrderStream = ~uint64_t{0};  // of the plan's seed; prompts and arrivals use the low ones

const LoadClock kRealTime;

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", v);
  return text;
}

RequestRecord make_record(const Outcome& o, const Request& request, int64_t start_ns, int64_t t_plan_ns) {
  RequestRecord r;
  r.id = request.id;
  r.t_plan_ns = t_plan_ns - start_ns;
  r.t_send_ns = o.t_send_ns - start_ns;
  r.t_done_ns = o.t_done_ns - start_ns;
  if (!o.event_ns.empty()) {
    r.t_first_ns = o.event_ns.front() - start_ns;
    r.t_last_ns = o.event_ns.back() - start_ns;
    for (size_t i = 1; i < o.event_ns.size(); ++i) r.gaps_ns.push_back(o.event_ns[i] - o.event_ns[i - 1]);
  }
  if (o.t_answer_ns >= 0) r.t_answer_ns = o.t_answer_ns - start_ns;
  r.n_in = o.n_in;
  r.n_in_cached = o.n_in_cached;
  r.n_out = o.n_out;
  r.want_out = request.max_tokens;
  r.tokens_source = o.tokens_source;
  r.finish = o.finish;
  r.error = o.error;
  r.error_detail = o.error_detail;
  r.peak_rss_bytes = o.peak_rss_bytes;
  return r;
}

// What all clients of a run share.
class Load {
 public:
  Load(const Plan& plan, const LoadOptions& options, int64_t start_ns)
      : plan_(plan),
        options_(options),
        clock_(options.clock ? *options.clock : kRealTime),
        start_ns_(start_ns) {}

  bool stop_now() const { return gave_up_ || (options_.stop && options_.stop()); }
  const LoadClock& clock() const { return clock_; }
  int64_t start_ns() const { return start_ns_; }
  const LoadResult& result() const { return result_; }

  // Sends one request and records it. A request cut off by the stop is dropped, not recorded.
  RequestRecord send(Target& target, const Request& request, int64_t t_plan_ns, const char* arm,
                     const std::string& phase, const std::string& point, int64_t block,
                     std::string* answer = nullptr) {
    // The blocks of a trace share what they share; a conversation continues what was said.
    const bool salted =
        options_.salt && plan_.options.prompts_path.empty() && plan_.options.arrivals != Arrivals::kTrace;
    const Outcome o = target.send(salted ? with_salt(request) : request, [this] { return stop_now(); });
    RequestRecord r = make_record(o, request, start_ns_, t_plan_ns);
    if (answer) *answer = o.text;
    r.arm = arm;
    r.phase = phase;
    r.point = point;
    r.block = block;
    r.segment = options_.segment;
    const PlanOptions& p = plan_.options;
    if (p.prompts_path.empty() && p.length_spread == 0 && p.arrivals != Arrivals::kTrace)
      r.want_in = p.input_tokens;
    const std::lock_guard lock(mutex_);
    if (o.error == "stopped") return r;
    ++result_.n_sent;
    (r.ok() ? result_.n_ok : result_.n_errors)++;
    n_failed_in_a_row_ = r.ok() ? 0 : n_failed_in_a_row_ + 1;
    if (n_failed_in_a_row_ >= kMaxFailuresInARow && !gave_up_) {
      result_.gave_up = std::to_string(kMaxFailuresInARow) + " requests in a row failed, the last with " +
                        r.error + (r.error_detail.empty() ? "" : ": " + r.error_detail);
      gave_up_ = true;
    }
    if (options_.on_record) options_.on_record(r);
    if (phase == "measure") tell_progress(point);
    return r;
  }

  // A request and what its user says next, each turn with the answers before it in its conversation.
  void converse(Target& target, const Request& request, int64_t t_plan_ns, const std::string& point,
                int64_t idx) {
    std::string answer;
    RequestRecord r = send(target, request, t_plan_ns, "a", "measure", point, idx, &answer);
    Request turn = request;
    for (size_t i = 0; i < request.next_turns.size() && r.ok() && !stop_now(); ++i) {
      const auto message = [](const char* role, const std::string& text) {
        return Json{{"role", role}, {"content", text}};
      };
      if (turn.messages.empty()) turn.messages.push_back(message("user", turn.prompt));
      turn.messages.push_back(message("assistant", answer));
      std::tie(turn.prompt, turn.max_tokens) = request.next_turns[i];
      turn.messages.push_back(message("user", turn.prompt));
      turn.id = request.id + "." + std::to_string(i + 2);
      r = send(target, turn, clock_.now(), "a", "measure", point, idx, &answer);
    }
  }

  // What is to be measured: so many requests, or so many seconds.
  void expect(int64_t n_requests, double seconds) {
    n_all_ = n_requests;
    all_s_ = seconds;
    begin_ns_ = clock_.now();
  }

  bool wanted(const Request& request, const char* arm, const std::string& point) const {
    if (!in_shard(options_.shard, request.id)) return false;
    RequestRecord key;
    key.id = request.id, key.arm = arm, key.point = point;
    return options_.skip.empty() || !options_.skip.count(skip_key(key));
  }

  // Requests of this shard per load point; 0: bounded by time alone.
  int64_t n_wanted() const {
    int64_t n = plan_.options.n_requests;
    if (options_.shard.n == 1) return n;
    for (int64_t i = plan_.options.n_requests; i-- > 0;) n -= !in_shard(options_.shard, plan_.request(i).id);
    return n;
  }

  // Warm-up by rule: until two requests in a row are within a tenth of the fastest so far.
  void warm_up(Target& target, const char* arm) {
    const int64_t fixed = plan_.options.warmup;
    if (fixed == 0) return;
    const int64_t begin = clock_.now();
    double fastest = std::numeric_limits<double>::infinity();
    int n_steady = 0;
    int64_t i = 0;
    std::string reason;
    for (; reason.empty(); ++i) {
      Request request = plan_.request(i);
      request.id = "warmup-" + std::to_string(i);
      const RequestRecord r = send(target, request, clock_.now(), arm, "warmup", "", i);
      const double e2e = static_cast<double>(r.t_done_ns - r.t_send_ns);
      n_steady = e2e <= 1.1 * fastest && r.ok() ? n_steady + 1 : 0;
      if (r.ok()) fastest = std::min(fastest, e2e);
      if (fixed > 0) {
        if (i + 1 == fixed) reason = "as asked";
      } else if (n_steady >= 2) {
        reason = "two in a row within 10 % of the fastest";
      } else if (i + 1 == kMaxWarmup) {
        reason = "cap of " + std::to_string(kMaxWarmup) + ", not steady yet";
      } else if (static_cast<double>(clock_.now() - begin) > kMaxWarmupSeconds * 1e9) {
        reason = "30 s passed, not steady yet";
      }
      if (stop_now()) break;
    }
    const std::lock_guard lock(mutex_);
    result_.n_warmup += i;
    result_.warmup_reason = reason;
  }

  void finish() { result_.stopped = options_.stop && options_.stop(); }

  void closed_point(Target& target, int64_t clients, const std::string& point) {
    std::atomic<int64_t> next{0};
    const int64_t end = deadline();
    run_clients(clients, [&] {
      int64_t free_since = clock_.now();
      while (!stop_now()) {
        const int64_t idx = next++;
        if ((plan_.options.n_requests > 0 && idx >= plan_.options.n_requests) || clock_.now() >= end) return;
        const Request request = plan_.request(idx);
        if (!wanted(request, "a", point)) {
          // Resuming or sharding a run bounded by time must still end.
          if (plan_.options.n_requests <= 0 && idx > int64_t{1} << 24) return;
          continue;
        }
        converse(target, request, free_since, point, idx);
        free_since = clock_.now();
      }
    });
  }

  void open_point(Target& target, double rate, int64_t clients, const std::string& point) {
    std::atomic<int64_t> next{0};
    const int64_t begin = clock_.now();
    const int64_t n = plan_.options.n_requests;
    const double limit =
        plan_.options.duration_s > 0 ? plan_.options.duration_s : std::numeric_limits<double>::infinity();
    run_clients(n > 0 ? std::min(clients, n) : clients, [&] {
      while (!stop_now()) {
        const int64_t idx = next++;
        const double at_s = plan_.arrival_s(idx, rate);
        if ((n > 0 && idx >= n) || at_s >= limit || std::isinf(at_s)) return;
        const Request request = plan_.request(idx);
        if (!wanted(request, "a", point)) continue;
        const int64_t t_plan = begin + static_cast<int64_t>(at_s * 1e9);
        clock_.sleep_until(t_plan, [this] { return stop_now(); });
        if (stop_now()) return;
        converse(target, request, t_plan, point, idx);
      }
    });
  }

  // One block is `clients` requests at A and the same at B.
  void interleaved(const std::vector<Target*>& arms, int64_t clients) {
    const int64_t end = deadline();
    CounterRng order(plan_.options.seed, kOrderStream);
    for (int64_t block = 0; !stop_now() && clock_.now() < end; ++block) {
      const int64_t from = block * clients;
      int64_t to = from + clients;
      if (plan_.options.n_requests > 0) to = std::min(to, plan_.options.n_requests);
      if (from >= to) return;
      const int first = static_cast<int>(order.next_u32() >> 31);
      for (const int arm : {first, 1 - first}) {
        std::atomic<int64_t> next{from};
        run_clients(to - from, [&] {
          const int64_t idx = next++;
          const Request request = plan_.request(idx);
          const char* name = arm == 0 ? "a" : "b";
          if (!stop_now() && wanted(request, name, ""))
            send(*arms[arm], request, clock_.now(), name, "measure", "", block);
        });
      }
    }
  }

 private:
  void run_clients(int64_t n, const std::function<void()>& client) {
    in_threads(n, client, [this] { gave_up_ = true; });
  }
  Request with_salt(Request request) const {
    // A prefix that is to be shared within the run must only differ from that of other runs.
    const bool shared = plan_.options.shared_prefix > 0;
    CounterRng rng(options_.salt, shared ? 0 : static_cast<uint64_t>(clock_.now()));
    request.prompt = std::to_string(10'000'000 + rng.next_u32() % 90'000'000) + ". " + request.prompt;
    return request;
  }
  void tell_progress(const std::string& point) {
    ++n_done_;
    if (!options_.on_progress) return;
    LoadProgress p;
    p.point = point;
    p.n_done = n_done_, p.n_all = n_all_;
    p.elapsed_s = static_cast<double>(clock_.now() - begin_ns_) * 1e-9;
    if (n_all_ > 0)
      p.left_s = p.elapsed_s / static_cast<double>(n_done_) * static_cast<double>(n_all_ - n_done_);
    if (all_s_ > 0)
      p.left_s =
          std::max(0.0, p.left_s < 0 ? all_s_ - p.elapsed_s : std::min(p.left_s, all_s_ - p.elapsed_s));
    options_.on_progress(p);
  }
  int64_t deadline() const {
    return plan_.options.duration_s > 0 ? clock_.now() + static_cast<int64_t>(plan_.options.duration_s * 1e9)
                                        : std::numeric_limits<int64_t>::max();
  }

  const Plan& plan_;
  const LoadOptions& options_;
  const LoadClock& clock_;
  const int64_t start_ns_;
  std::mutex mutex_;
  LoadResult result_;
  int64_t n_failed_in_a_row_ = 0;
  int64_t n_done_ = 0, n_all_ = 0, begin_ns_ = start_ns_;  // of the measurement, for progress
  double all_s_ = 0;
  std::atomic<bool> gave_up_{false};
};

}  // namespace

std::string progress_text(const LoadProgress& p) {
  std::string text = p.point + (p.point.empty() ? "" : "  ") + std::to_string(p.n_done);
  if (p.n_all > 0) text += "/" + std::to_string(p.n_all);
  text += " requests";
  char rate[32];
  std::snprintf(rate, sizeof rate, "  %.3g/s", static_cast<double>(p.n_done) / p.elapsed_s);
  if (p.elapsed_s > 0) text += rate;
  if (p.left_s >= 0) text += "  " + duration_text(p.left_s) + " left";
  return text;
}

LoadResult run_point(Target& target, const Plan& plan, double rate, int64_t clients, const std::string& label,
                     int64_t start_ns, const LoadOptions& options) {
  Load load(plan, options, start_ns);
  load.expect(plan.options.n_requests, plan.options.duration_s);
  if (plan.open())
    load.open_point(target, rate, clients, label);
  else
    load.closed_point(target, clients, label);
  load.finish();
  return load.result();
}

LoadResult run_load(const std::vector<Target*>& arms, const Plan& plan, const LoadOptions& options) {
  DS_CHECK(!arms.empty() && arms.size() <= 2);
  const PlanOptions& o = plan.options;
  if (arms.size() == 2 && (plan.open() || o.clients.size() > 1))
    throw Error(ErrorKind::kUsage, "an interleaved comparison is a closed loop at one concurrency", "--ab");
  const bool talks = std::any_of(plan.requests.begin(), plan.requests.end(),
                                 [](const Request& r) { return !r.next_turns.empty(); });
  if (talks && (arms.size() == 2 || !options.skip.empty()))
    throw Error(ErrorKind::kUsage, "conversations go with neither --ab nor --resume", "--prompts",
                "a turn needs the answers before it");
  if (plan.open() && o.rates.empty()) throw Error(ErrorKind::kUsage, "an open loop needs a rate", "--rate");
  for (const Target* t : arms)
    for (const int64_t c : o.clients)
      if (c > t->max_concurrency() && !plan.open())
        throw Error(ErrorKind::kUsage,
                    "this target takes " + std::to_string(t->max_concurrency()) + " requests at once, not " +
                        std::to_string(c),
                    "--concurrency");
  const LoadClock& clock = options.clock ? *options.clock : kRealTime;
  Load load(plan, options, clock.now());
  for (size_t i = 0; i < arms.size(); ++i) load.warm_up(*arms[i], i == 0 ? "a" : "b");
  const auto say = [&](const std::string& text) {
    if (options.on_note) options.on_note(text);
  };
  if (load.result().n_warmup)
    say(std::to_string(load.result().n_warmup) + " warm-up requests (" + load.result().warmup_reason + ")");
  const auto n_points = static_cast<int64_t>(arms.size() == 2 ? 2
                                             : plan.open()    ? o.rates.size()
                                                              : o.clients.size());
  load.expect(std::max<int64_t>(0, load.n_wanted() * n_points - static_cast<int64_t>(options.skip.size())),
              o.duration_s * static_cast<double>(arms.size() == 2 ? 1 : n_points));
  if (arms.size() == 2) {
    load.interleaved(arms, o.clients[0]);
  } else if (plan.open()) {
    const bool sweep = o.rates.size() > 1;
    const int64_t clients =
        std::min<int64_t>(*std::max_element(o.clients.begin(), o.clients.end()), arms[0]->max_concurrency());
    for (const double rate : o.rates) {
      if (load.stop_now()) break;
      if (sweep) say("rate " + number(rate) + "/s");
      load.open_point(*arms[0], rate, clients, sweep ? "r=" + number(rate) : "");
    }
  } else {
    const bool sweep = o.clients.size() > 1;
    for (const int64_t clients : o.clients) {
      if (load.stop_now()) break;
      if (sweep) say("concurrency " + std::to_string(clients));
      load.closed_point(*arms[0], clients, sweep ? "c=" + std::to_string(clients) : "");
    }
  }
  load.finish();
  return load.result();
}

}  // namespace ds::bench
