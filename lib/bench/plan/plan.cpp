#include "bench/plan/plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "bench/records/sha256.h"
#include "bench/stats/quantile.h"
#include "core/error.h"
#include "core/rng.h"
#include "io/json.h"
#include "io/lines.h"

namespace ds::bench {
namespace {

constexpr int64_t kGeneratedPrompts = 256;
constexpr int64_t kMaxRequests = 10'000'000, kMaxOutputTokens = 1 << 22;
constexpr const char* kArrivalNames[] = {"closed", "poisson", "constant", "trace"};

const char* const kWords[] = {"river",  "stone", "market", "window", "seven",  "paper", "garden", "letter",
                              "north",  "bread", "silver", "engine", "summer", "train", "forest", "number",
                              "yellow", "music", "water",  "bridge", "winter", "glass", "signal", "mountain"};

// The first words differ between requests, so that a prefix cache holds nothing of another request.
std::string generated_prompt(uint64_t seed, int64_t idx, int64_t n_tokens) {
  CounterRng rng(seed, static_cast<uint64_t>(idx) + 1);
  std::string text = "Note " + std::to_string(rng.next_u32() % 1000000) + ".";
  // A word of this list is about 1.3 tokens of a large vocabulary; what it became is recorded per request.
  const auto n_words = std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(n_tokens) / 1.3) - 4);
  for (int64_t i = 0; i < n_words; ++i) text += std::string(" ") + kWords[rng.next_u32() % std::size(kWords)];
  return text + ". Continue.";
}

// A line that says no "max_tokens" of its own gets output_tokens.
Request request_from_line(const Json& object, int64_t output_tokens, const std::string& where) {
  Request r;
  const Json* messages = object.find("messages");
  const Json* prompt = object.find("prompt");
  if (messages && messages->is_array() && !messages->as_array().empty()) {
    r.messages = messages->as_array();
    for (const Json& m : r.messages) {
      const Json* content = m.find("content");
      if (!content || !content->is_string())
        throw Error(ErrorKind::kBadData, "a message has no text in \"content\"", where);
      r.prompt = content->as_string();
    }
  } else if (prompt && prompt->is_string()) {
    r.prompt = prompt->as_string();
  } else {
    throw Error(ErrorKind::kBadData, "neither \"messages\" nor \"prompt\"", where);
  }
  r.max_tokens = output_tokens;
  if (const Json* n = object.find("max_tokens"); n && !n->is_null()) {
    if (!n->is_int() || n->as_int() < 1 || n->as_int() > kMaxOutputTokens)
      throw Error(ErrorKind::kBadData,
                  "\"max_tokens\" is no number from 1 to " + std::to_string(kMaxOutputTokens), where);
    r.max_tokens = n->as_int();
  }
  return r;
}

std::vector<double> read_trace(const std::string& path) {
  std::vector<double> times;
  LineReader lines(path);
  while (const auto line = lines.next()) {
    if (line->find_first_not_of(" \t") == std::string_view::npos) continue;
    const Json v = parse_json(*line, lines.where());
    const Json* t = v.is_object() ? v.find("t") : &v;
    if (!t && (t = v.find("timestamp")) && t->is_number()) {  // Mooncake traces count milliseconds
      times.push_back(t->as_double() / 1e3);
      continue;
    }
    if (!t || !t->is_number() || !(t->as_double() >= 0))
      throw Error(ErrorKind::kBadData, "no time: expected a number of seconds or {\"t\": seconds}",
                  lines.where());
    times.push_back(t->as_double());
  }
  if (times.empty()) throw Error(ErrorKind::kBadData, "the trace is empty", path);
  if (!std::is_sorted(times.begin(), times.end()))
    throw Error(ErrorKind::kBadData, "times are not in order", path);
  const double first = times[0];
  for (double& t : times) t -= first;
  return times;
}

Json request_json(const Request& r) {
  Json out(Json::Object{{"type", "plan_request"}, {"id", r.id}});
  if (r.messages.empty())
    out.set("prompt", r.prompt);
  else
    out.set("messages", r.messages);
  out.set("max_tokens", r.max_tokens);
  return out;
}

void check(const PlanOptions& o) {
  const auto usage = [](const std::string& what, const char* flag) {
    throw Error(ErrorKind::kUsage, what, flag);
  };
  if (o.n_requests <= 0 && o.duration_s <= 0 && o.arrivals != Arrivals::kTrace)
    usage("neither --requests nor --duration bounds the run", "run");
  if (o.n_requests > kMaxRequests) usage("more than 10 million requests", "--requests");
  if (o.output_tokens < 1 || o.output_tokens > kMaxOutputTokens)
    usage("answers have 1 to " + std::to_string(kMaxOutputTokens) + " tokens", "--output-tokens");
  if (!(o.temperature >= 0) || !std::isfinite(o.temperature))
    usage("a temperature must be 0 or more", "--temperature");
  if (o.clients.empty()) usage("no concurrency", "--concurrency");
  for (const int64_t c : o.clients)
    if (c < 1 || c > 1024) usage("concurrency must lie in 1..1024", "--concurrency");
  for (const double r : o.rates)
    if (!(r > 0) || !std::isfinite(r)) usage("a rate must be positive", "--rate");
  if (o.arrivals == Arrivals::kTrace && o.trace_path.empty()) usage("a trace needs its file", "--arrivals");
}

std::string hash_of(const Plan& plan) {
  Sha256 digest;
  digest.update(plan.describe().dump());
  for (const Request& r : plan.requests) digest.update(request_json(r).dump());
  for (const double t : plan.arrivals) {
    std::string number;
    append_json_number(number, t);
    digest.update(number + ",");
  }
  return digest.hex();
}

void finish(Plan& plan) {
  for (Request& r : plan.requests) {
    r.ignore_eos = plan.options.ignore_eos;
    r.temperature = plan.options.temperature;
    r.seed = plan.options.seed;
  }
  plan.hash.clear();
  plan.hash = hash_of(plan);
}

}  // namespace

Request Plan::request(int64_t idx) const {
  Request r = requests[static_cast<size_t>(idx) % requests.size()];
  if (idx >= static_cast<int64_t>(requests.size())) r.id += "#" + std::to_string(idx / requests.size());
  r.seed += static_cast<uint64_t>(idx);
  return r;
}

double Plan::arrival_s(int64_t idx, double rate) const {
  if (options.arrivals == Arrivals::kClosed) return 0;
  if (options.arrivals == Arrivals::kConstant) return static_cast<double>(idx) / rate;
  const auto n = static_cast<int64_t>(arrivals.size());
  if (options.arrivals == Arrivals::kTrace)
    return idx < n ? arrivals[idx] : std::numeric_limits<double>::infinity();
  return (arrivals[idx % n] + arrivals.back() * static_cast<double>(idx / n)) / rate;
}

Json Plan::describe() const {
  const PlanOptions& o = options;
  Json::Array rates(o.rates.begin(), o.rates.end()), clients(o.clients.begin(), o.clients.end());
  Json out(Json::Object{{"arrivals", kArrivalNames[static_cast<int>(o.arrivals)]},
                        {"n_requests", o.n_requests},
                        {"duration_s", o.duration_s},
                        {"rates", std::move(rates)},
                        {"concurrency", std::move(clients)},
                        {"prompts", o.prompts_path.empty() ? "generated" : "file"},
                        {"input_tokens", o.prompts_path.empty() ? Json(o.input_tokens) : Json()},
                        {"output_tokens", o.output_tokens},
                        {"ignore_eos", o.ignore_eos},
                        {"temperature", o.temperature},
                        {"seed", static_cast<int64_t>(o.seed & INT64_MAX)},
                        {"warmup", o.warmup < 0 ? Json("by rule") : Json(o.warmup)}});
  if (!hash.empty()) out.set("hash", hash);
  return out;
}

Plan make_plan(const PlanOptions& options) {
  check(options);
  Plan plan;
  plan.options = options;
  if (options.prompts_path.empty()) {
    const int64_t n = std::clamp<int64_t>(options.n_requests ? options.n_requests : kGeneratedPrompts, 1,
                                          kGeneratedPrompts);
    for (int64_t i = 0; i < n; ++i) {
      Request r;
      r.prompt = generated_prompt(options.seed, i, options.input_tokens);
      r.max_tokens = options.output_tokens;
      plan.requests.push_back(std::move(r));
    }
  } else {
    LineReader lines(options.prompts_path);
    while (const auto line = lines.next()) {
      if (line->find_first_not_of(" \t") == std::string_view::npos) continue;
      plan.requests.push_back(
          request_from_line(parse_json(*line, lines.where()), options.output_tokens, lines.where()));
    }
    if (plan.requests.empty()) throw Error(ErrorKind::kBadData, "no prompts", options.prompts_path);
  }
  char id[24];
  for (size_t i = 0; i < plan.requests.size(); ++i) {
    std::snprintf(id, sizeof id, "r%05zu", i);
    plan.requests[i].id = id;
  }
  if (options.arrivals == Arrivals::kTrace) {
    plan.arrivals = read_trace(options.trace_path);
    const auto n = static_cast<int64_t>(plan.arrivals.size());
    if (plan.options.n_requests <= 0 || plan.options.n_requests > n) plan.options.n_requests = n;
    if (plan.options.rates.empty())
      plan.options.rates = {static_cast<double>(n) / std::max(1e-9, plan.arrivals.back())};
  } else if (options.arrivals == Arrivals::kPoisson) {
    CounterRng rng(options.seed, 0);
    double t = 0;
    for (int i = 0; i < 1 << 14; ++i) plan.arrivals.push_back(t += -std::log1p(-rng.next_double()));
  }
  finish(plan);
  return plan;
}

std::string plan_text(const Plan& plan) {
  Json head = plan.describe();
  Json line(Json::Object{{"type", "plan"}, {"schema", "dsbench/1"}});
  for (auto& [key, value] : head.as_object()) line.set(key, value);
  std::string out = line.dump() + "\n";
  for (const Request& r : plan.requests) out += request_json(r).dump() + "\n";
  if (plan.options.arrivals == Arrivals::kTrace || plan.options.arrivals == Arrivals::kPoisson)
    for (const double t : plan.arrivals)
      out += Json(Json::Object{{"type", "plan_arrival"}, {"t", t}}).dump() + "\n";
  return out;
}

Plan read_plan(const std::string& path) {
  LineReader lines(path);
  Plan plan;
  PlanOptions& o = plan.options;
  std::string stated;
  bool has_head = false;
  const auto number = [&](const Json& j, const char* key) {
    const Json* v = j.find(key);
    return v && v->is_number() ? std::clamp(v->as_double(), -1e15, 1e15) : 0.0;
  };
  while (const auto text = lines.next()) {
    if (text->empty()) continue;
    const Json line = parse_json(*text, lines.where());
    const Json* type = line.find("type");
    const std::string kind = type && type->is_string() ? type->as_string() : "";
    if (kind == "plan") {
      has_head = true;
      const auto text_of = [&](const char* key) {
        const Json* v = line.find(key);
        return v && v->is_string() ? v->as_string() : std::string();
      };
      stated = text_of("hash");
      for (int i = 0; i < 4; ++i)
        if (text_of("arrivals") == kArrivalNames[i]) o.arrivals = static_cast<Arrivals>(i);
      o.n_requests = static_cast<int64_t>(number(line, "n_requests"));
      o.duration_s = number(line, "duration_s");
      o.input_tokens = static_cast<int64_t>(number(line, "input_tokens"));
      o.output_tokens = static_cast<int64_t>(number(line, "output_tokens"));
      o.temperature = number(line, "temperature");
      o.seed = static_cast<uint64_t>(number(line, "seed"));
      const Json* eos = line.find("ignore_eos");
      o.ignore_eos = eos && eos->is_bool() && eos->as_bool();
      const Json* warmup = line.find("warmup");
      o.warmup = warmup && warmup->is_int() ? warmup->as_int() : -1;
      o.prompts_path = text_of("prompts") == "generated" ? "" : "file";
      o.clients.clear();
      if (const Json* a = line.find("rates"); a && a->is_array())
        for (const Json& v : a->as_array())
          if (v.is_number()) o.rates.push_back(v.as_double());
      if (const Json* a = line.find("concurrency"); a && a->is_array())
        for (const Json& v : a->as_array())
          if (v.is_int()) o.clients.push_back(v.as_int());
    } else if (kind == "plan_request") {
      Request r = request_from_line(line, o.output_tokens, lines.where());
      const Json* id = line.find("id");
      if (id && id->is_string()) r.id = id->as_string();
      plan.requests.push_back(std::move(r));
    } else if (kind == "plan_arrival") {
      plan.arrivals.push_back(number(line, "t"));
    } else {
      throw Error(ErrorKind::kBadData, "no line of a plan", lines.where());
    }
  }
  if (!has_head || plan.requests.empty())
    throw Error(ErrorKind::kBadData, "no plan in it", path, "make one with ds-bench plan -o FILE");
  if (o.arrivals == Arrivals::kTrace) o.trace_path = path;
  check(o);
  if ((o.arrivals == Arrivals::kPoisson || o.arrivals == Arrivals::kTrace) && plan.arrivals.empty())
    throw Error(ErrorKind::kBadData, "an open plan without arrivals", path);
  finish(plan);
  if (plan.hash != stated)
    throw Error(ErrorKind::kBadData,
                "the plan was changed: its hash is " + plan.hash.substr(0, 12) + ", it states " +
                    stated.substr(0, 12),
                path, "make a new plan instead of editing one");
  return plan;
}

std::string detect_text(const std::string& claim) {
  double percentile = 0, change = 0;
  char sign = 0;
  if (std::sscanf(claim.c_str(), "p%lf:%lf%c", &percentile, &change, &sign) != 3 || sign != '%' ||
      !(percentile > 0) || percentile >= 100 || !(std::fabs(change) >= 0.01) || change <= -100)
    throw Error(ErrorKind::kUsage, "'" + claim + "' is no claim", "--detect", "write p90:5%");
  std::string out = "requests per arm to show a change of " + claim.substr(claim.find(':') + 1) + " at " +
                    claim.substr(0, claim.find(':')) + "\n(80 % power, 5 % two-sided, lognormal):\n";
  char line[96];
  for (const auto& [sigma, name] :
       {std::pair(0.1, "steady (sigma 0.1)"), {0.25, "usual (sigma 0.25)"}, {0.5, "noisy (sigma 0.5)"}}) {
    std::snprintf(line, sizeof line, "  %-20s %10lld\n", name,
                  static_cast<long long>(std::max(samples_to_detect(percentile / 100, change / 100, sigma),
                                                  min_samples(percentile / 100))));
    out += line;
  }
  return out;
}

int64_t shard_of(const std::string& id, int64_t n_shards) {
  uint64_t h = 1469598103934665603ull;  // FNV-1a: the same on every machine
  for (const char c : id) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return static_cast<int64_t>((h ^ h >> 32) % static_cast<uint64_t>(n_shards));
}

Shard parse_shard(const std::string& text) {
  if (text.empty()) return {};
  if (text == "auto") {
    const auto variable = [](const char* name) -> int64_t {
      const char* v = std::getenv(name);
      return v && *v ? std::atoll(v) : -1;
    };
    const int64_t id = variable("SLURM_ARRAY_TASK_ID"), lo = variable("SLURM_ARRAY_TASK_MIN"),
                  hi = variable("SLURM_ARRAY_TASK_MAX"), n = variable("SLURM_ARRAY_TASK_COUNT");
    if (id < 0) return {};
    if (lo < 0 || n < 1 || hi - lo + 1 != n)
      throw Error(ErrorKind::kUsage, "the SLURM array is no plain range", "--shard auto", "give --shard i/n");
    return {id - lo, n};
  }
  int64_t idx = -1, n = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%ld/%ld%c", &idx, &n, &rest) != 2 || n < 1 || idx < 0 || idx >= n)
    throw Error(ErrorKind::kUsage, "'" + text + "' is no shard", "--shard",
                "write i/n with 0 <= i < n, or auto");
  return {idx, n};
}

}  // namespace ds::bench
