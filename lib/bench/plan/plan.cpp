#include "bench/plan/plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "bench/stats/distributions.h"
#include "bench/stats/metric.h"
#include "bench/stats/quantile.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/json_value.h"
#include "core/rng.h"
#include "core/sha256.h"
#include "io/files.h"
#include "io/json.h"
#include "io/lines.h"

namespace ds::bench {
namespace {

constexpr int64_t kGeneratedPrompts = 256;
constexpr int64_t kMaxRequests = 10'000'000, kMaxOutputTokens = 1 << 22;
// Streams of the plan's seed beside those of its prompts (1, 2, ...) and arrivals (0).
constexpr uint64_t kPrefixStream = ~uint64_t{1}, kLengthStream = ~uint64_t{2},
                   kBlockSeed = 0x9E3779B97F4A7C15;
constexpr const char* kArrivalNames[] = {"closed", "poisson", "constant", "trace"};

const char* const kWords[] = {"river",  "stone", "market", "window", "seven",  "paper", "garden", "letter",
                              "north",  "bread", "silver", "engine", "summer", "train", "forest", "number",
                              "yellow", "music", "water",  "bridge", "winter", "glass", "signal", "mountain"};

constexpr int64_t kMooncakeBlock = 512;              // tokens that one hash of a trace stands for
constexpr size_t kMaxPromptBytes = size_t{1} << 30;  // of all prompts together

// A word of this list is about 1.3 tokens of a large vocabulary; what it became is recorded per request.
std::string words(CounterRng& rng, int64_t n_tokens) {
  std::string text;
  const auto n_words = static_cast<int64_t>(static_cast<double>(n_tokens) / 1.3);
  for (int64_t i = 0; i < n_words; ++i) text += std::string(" ") + kWords[rng.next_u32() % std::size(kWords)];
  return text;
}

// The first words differ between requests, so that a prefix cache holds nothing of another request; after the
// part that all share, where one is asked for.
std::string generated_prompt(const PlanOptions& o, int64_t idx, int64_t n_tokens) {
  constexpr int64_t kFrameTokens = 5;  // of "Note 123456." and "Continue."
  CounterRng rng(o.seed, static_cast<uint64_t>(idx) + 1), prefix(o.seed, kPrefixStream);
  const auto n_shared = static_cast<int64_t>(o.shared_prefix * static_cast<double>(n_tokens));
  const std::string note = "Note " + std::to_string(rng.next_u32() % 1000000) + ".";
  return (n_shared ? "Rules:" + words(prefix, n_shared) + ".\n" : "") + note +
         words(rng, std::max<int64_t>(2, n_tokens - n_shared - kFrameTokens)) + ". Continue.";
}

// Lognormal about the mean that was asked for.
int64_t drawn_length(double mean, double sigma, CounterRng& rng) {
  if (sigma <= 0) return static_cast<int64_t>(mean);
  const double z = normal_quantile(std::clamp(rng.next_double(), 1e-9, 1 - 1e-9));
  return std::clamp<int64_t>(std::llround(mean * std::exp(sigma * z - sigma * sigma / 2)), 1,
                             kMaxOutputTokens);
}

std::vector<Request> generated_requests(const PlanOptions& o) {
  const int64_t n =
      std::clamp<int64_t>(o.n_requests ? o.n_requests : kGeneratedPrompts, 1, kGeneratedPrompts);
  std::vector<Request> out;
  CounterRng lengths(o.seed, kLengthStream);
  for (int64_t i = 0; i < n; ++i) {
    Request r;
    r.prompt =
        generated_prompt(o, i, drawn_length(static_cast<double>(o.input_tokens), o.length_spread, lengths));
    r.max_tokens = drawn_length(static_cast<double>(o.output_tokens), o.length_spread, lengths);
    out.push_back(std::move(r));
  }
  return out;
}

// Text of a message: a string, or the text parts of a list; "" where there is none (a tool call).
std::string message_text(const Json& message) {
  const Json* content = find(message, "content");
  if (!content || content->is_null()) return "";
  if (content->is_string()) return as_string(*content);
  std::string out;
  if (content->is_array())
    for (const Json& part : *content)
      if (const Json* text = find(part, "text"); text && text->is_string()) out += as_string(*text);
  return out;
}

int64_t max_tokens_of(const Json& object, int64_t otherwise, const std::string& where) {
  for (const char* key : {"max_tokens", "max_completion_tokens"})
    if (const Json* n = find(object, key); n && !n->is_null()) {
      if (!is_int(*n) || as_int(*n) < 1 || as_int(*n) > kMaxOutputTokens)
        throw Error(ErrorKind::kBadData,
                    "\"" + std::string(key) + "\" is no number from 1 to " + std::to_string(kMaxOutputTokens),
                    where);
      return as_int(*n);
    }
  return otherwise;
}

// What a server is told beside the prompt.
void read_server_members(Request& r, const Json& object, const std::string& where) {
  constexpr const char* kSent[] = {"tools",
                                   "tool_choice",
                                   "parallel_tool_calls",
                                   "top_p",
                                   "top_k",
                                   "min_p",
                                   "stop",
                                   "stop_token_ids",
                                   "presence_penalty",
                                   "frequency_penalty",
                                   "repetition_penalty",
                                   "response_format",
                                   "logit_bias",
                                   "reasoning_effort",
                                   "chat_template_kwargs",
                                   "temperature",
                                   "seed",
                                   "user"};
  for (const char* key : kSent)
    if (const Json* v = find(object, key)) r.body[key] = *v;
  if (const Json* more = find(object, "extra_body"); more && more->is_object())
    for (const auto& [key, value] : more->items()) r.body[key] = value;
  if (const Json* headers = find(object, "headers"); headers && headers->is_object())
    for (const auto& [name, value] : headers->items()) {
      if (!value.is_string() || (name + as_string(value)).find_first_of("\r\n") != std::string::npos)
        throw Error(ErrorKind::kBadData, "header \"" + name + "\" is no line of text", where);
      r.headers.emplace_back(name, as_string(value));
    }
}

void read_turns(Request& r, const Json& turns, int64_t output_tokens, const std::string& where) {
  for (const Json& turn : turns) {
    const Json* content = turn.is_object() ? find(turn, "content") : &turn;
    if (!content || !content->is_string())
      throw Error(ErrorKind::kBadData, "a turn is a text or {\"content\": text}", where);
    const int64_t most = max_tokens_of(turn, output_tokens, where);
    if (r.prompt.empty() && r.next_turns.empty())
      r.prompt = as_string(*content), r.max_tokens = most;
    else
      r.next_turns.emplace_back(as_string(*content), most);
  }
}

// A line that says no "max_tokens" of its own gets output_tokens.
Request request_from_line(const Json& object, int64_t output_tokens, const std::string& where) {
  Request r;
  const Json *messages = find(object, "messages"), *prompt = find(object, "prompt"),
             *turns = find(object, "turns");
  r.max_tokens = max_tokens_of(object, output_tokens, where);
  if (messages && messages->is_array() && !messages->empty()) {
    r.messages = messages->get_ref<const Json::array_t&>();
    for (const Json& m : r.messages) {
      if (!m.is_object() || (!find(m, "content") && !find(m, "tool_calls")))
        throw Error(ErrorKind::kBadData, "a message has neither \"content\" nor \"tool_calls\"", where);
      if (const std::string text = message_text(m); !text.empty()) r.prompt = text;
    }
  } else if (prompt && prompt->is_string()) {
    r.prompt = as_string(*prompt);
  } else if (!turns || !turns->is_array() || turns->empty()) {
    throw Error(ErrorKind::kBadData, "none of \"messages\", \"prompt\", \"turns\"", where);
  }
  if (turns && turns->is_array()) read_turns(r, *turns, r.max_tokens, where);
  read_server_members(r, object, where);
  return r;
}

// About so many tokens, where nothing counts them.
int64_t estimated_tokens(std::string_view text) {
  double n = 0;
  for (const char c : text) n += (c & 0x80) == 0 ? 0.25 : (c & 0xC0) == 0xC0 ? 0.7 : 0;
  return std::max<int64_t>(1, std::llround(n));
}

// ShareGPT: [{"conversations": [{"from": "human", "value": ...}, {"from": "gpt", "value": ...}, ...]}, ...].
// The human turns are sent, each asking for about as many tokens as the reply has that was given then.
std::vector<Request> conversations(const std::string& path) {
  std::vector<Request> out;
  const Json list = parse_json(read_file(path, kMaxPromptBytes), path);
  for (const Json& item : list) {
    const Json* turns = find(item, "conversations");
    if (!turns || !turns->is_array())
      throw Error(ErrorKind::kBadData, "no \"conversations\" in an item", path);
    std::vector<std::pair<std::string, int64_t>> said;  // with the length of the reply
    bool human = false;
    for (const Json& t : *turns) {
      const Json *from = find(t, "from"), *value = find(t, "value");
      if (!from || !from->is_string() || !value || !value->is_string()) continue;
      const bool by_human = as_string(*from) == "human" || as_string(*from) == "user";
      if (by_human)
        said.emplace_back(as_string(*value), 0);
      else if (human)
        said.back().second = std::min(kMaxOutputTokens, estimated_tokens(as_string(*value)));
      human = by_human;
    }
    std::erase_if(said, [](const auto& turn) { return turn.second == 0 || turn.first.empty(); });
    if (said.empty()) continue;
    Request r;
    r.prompt = said[0].first, r.max_tokens = said[0].second;
    r.next_turns.assign(said.begin() + 1, said.end());
    out.push_back(std::move(r));
  }
  if (out.empty()) throw Error(ErrorKind::kBadData, "no conversation with a reply", path);
  return out;
}

std::vector<Request> read_prompts(const PlanOptions& o) {
  std::vector<Request> out;
  LineReader lines(o.prompts_path);
  while (const auto line = lines.next()) {
    const size_t begin = line->find_first_not_of(" \t");
    if (begin == std::string_view::npos) continue;
    if (out.empty() && (*line)[begin] == '[') return conversations(o.prompts_path);
    out.push_back(request_from_line(parse_json(*line, lines.where()), o.output_tokens, lines.where()));
  }
  if (out.empty()) throw Error(ErrorKind::kBadData, "no prompts", o.prompts_path);
  return out;
}

// One request of a trace: when, and as far as it says so how long and of which blocks.
struct TraceEntry {
  double t = 0;
  int64_t n_in = 0, n_out = 0;
  std::vector<int64_t> blocks;
};

TraceEntry trace_entry(const Json& v, const std::string& where) {
  TraceEntry e;
  const Json *t = v.is_object() ? find(v, "t") : &v, *ms = find(v, "timestamp");
  if (t && t->is_number())
    e.t = t->get<double>();
  else if (ms && ms->is_number())  // Mooncake traces count milliseconds
    e.t = ms->get<double>() / 1e3;
  else
    throw Error(ErrorKind::kBadData, "no time: expected a number of seconds or {\"t\": seconds}", where);
  if (!(e.t >= 0)) throw Error(ErrorKind::kBadData, "a time before the start", where);
  for (const auto& [key, out] : {std::pair("input_length", &e.n_in), std::pair("output_length", &e.n_out)})
    if (const Json* n = find(v, key); n && is_int(*n))
      *out = std::clamp<int64_t>(as_int(*n), 1, kMaxOutputTokens);
  if (const Json* ids = find(v, "hash_ids"); ids && ids->is_array())
    for (const Json& id : *ids)
      if (is_int(id)) e.blocks.push_back(as_int(id));
  return e;
}

// Equal blocks are equal text, so what the trace's requests shared in a prefix cache these share, too.
Request request_from_trace(const TraceEntry& e, int64_t idx, const PlanOptions& o) {
  Request r;
  r.max_tokens = e.n_out > 0 ? e.n_out : o.output_tokens;
  int64_t left = e.n_in;
  for (const int64_t id : e.blocks) {
    CounterRng rng(o.seed ^ kBlockSeed, static_cast<uint64_t>(id));
    r.prompt += words(rng, std::min(left, kMooncakeBlock));
    left = std::max<int64_t>(0, left - kMooncakeBlock);
  }
  CounterRng rng(o.seed, static_cast<uint64_t>(idx) + 1);
  if (left > 0) r.prompt += words(rng, left);
  if (r.prompt.empty()) r.prompt = "Continue.";
  return r;
}

std::vector<TraceEntry> read_trace(const PlanOptions& o) {
  std::vector<TraceEntry> entries;
  LineReader lines(o.trace_path);
  while (const auto line = lines.next()) {
    if (line->find_first_not_of(" \t") == std::string_view::npos) continue;
    entries.push_back(trace_entry(parse_json(*line, lines.where()), lines.where()));
    if (entries.size() > 1 && entries.back().t < entries[entries.size() - 2].t)
      throw Error(ErrorKind::kBadData, "times are not in order", lines.where());
    if (o.n_requests > 0 && static_cast<int64_t>(entries.size()) == o.n_requests) break;
  }
  if (entries.empty()) throw Error(ErrorKind::kBadData, "the trace is empty", o.trace_path);
  const double first = entries[0].t;
  for (TraceEntry& e : entries) e.t -= first;
  return entries;
}

// Times, and where nothing else gives the prompts, prompts of the trace's lengths.
void follow_trace(Plan& plan) {
  const std::vector<TraceEntry> entries = read_trace(plan.options);
  const auto n = static_cast<int64_t>(entries.size());
  for (const TraceEntry& e : entries) plan.arrivals.push_back(e.t);
  plan.options.n_requests = n;
  if (plan.options.rates.empty())
    plan.options.rates = {static_cast<double>(n) / std::max(1e-9, plan.arrivals.back())};
  if (!plan.options.prompts_path.empty() || entries[0].n_in == 0) return;
  plan.requests.clear();
  size_t n_bytes = 0;
  for (int64_t i = 0; i < n; ++i) {
    plan.requests.push_back(request_from_trace(entries[static_cast<size_t>(i)], i, plan.options));
    if ((n_bytes += plan.requests.back().prompt.size()) > kMaxPromptBytes)
      throw Error(ErrorKind::kUsage, "the trace's prompts are more than 1 GiB", plan.options.trace_path,
                  "--requests " + std::to_string(i) + " takes its beginning");
  }
}

Json request_json(const Request& r) {
  Json out{{"type", "plan_request"}, {"id", r.id}};
  if (r.messages.empty())
    out["prompt"] = r.prompt;
  else
    out["messages"] = r.messages;
  out["max_tokens"] = r.max_tokens;
  if (!r.next_turns.empty()) {
    Json::array_t turns;
    for (const auto& [text, most] : r.next_turns)
      turns.push_back(Json{{"content", text}, {"max_tokens", most}});
    out["turns"] = std::move(turns);
  }
  if (r.body.is_object()) out["extra_body"] = r.body;
  if (!r.headers.empty()) {
    Json headers = Json::object();
    for (const auto& [name, value] : r.headers) headers[name] = value;
    out["headers"] = std::move(headers);
  }
  return out;
}

uint64_t seed_of(const Json& head) {
  const Json* seed = find(head, "seed");
  if (seed && is_int(*seed)) return static_cast<uint64_t>(as_int(*seed));
  return seed && seed->is_string() ? std::strtoull(as_string(*seed).c_str(), nullptr, 10) : 0;
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
  if (!(o.length_spread >= 0) || o.length_spread > 3) usage("a spread lies in 0..3", "--length-spread");
  if (!(o.shared_prefix >= 0) || o.shared_prefix > 1) usage("a share lies in 0..1", "--shared-prefix");
  if (o.clients.empty()) usage("no concurrency", "--concurrency");
  for (const int64_t c : o.clients)
    if (c < 1 || c > 1024) usage("concurrency must lie in 1..1024", "--concurrency");
  for (const double r : o.rates)
    if (!(r > 0) || !std::isfinite(r)) usage("a rate must be positive", "--rate");
  if (o.arrivals == Arrivals::kTrace && o.trace_path.empty()) usage("a trace needs its file", "--arrivals");
}

std::string hash_of(const Plan& plan) {
  Sha256 digest;
  digest.update(dump(plan.describe()));
  for (const Request& r : plan.requests) digest.update(dump(request_json(r)));
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
  Json::array_t rates(o.rates.begin(), o.rates.end()), clients(o.clients.begin(), o.clients.end());
  Json out{{"arrivals", kArrivalNames[static_cast<int>(o.arrivals)]},
           {"n_requests", o.n_requests},
           {"duration_s", o.duration_s},
           {"rates", std::move(rates)},
           {"concurrency", std::move(clients)},
           {"prompts", o.prompts_path.empty() ? "generated" : "file"},
           {"input_tokens", o.prompts_path.empty() ? Json(o.input_tokens) : Json()},
           {"output_tokens", o.output_tokens},
           {"ignore_eos", o.ignore_eos},
           {"temperature", o.temperature},
           // Beyond 63 bits as text: a reader of JSON may know no larger integers.
           {"seed", o.seed <= INT64_MAX ? Json(static_cast<int64_t>(o.seed)) : Json(std::to_string(o.seed))},
           {"warmup", o.warmup < 0 ? Json("by rule") : Json(o.warmup)}};
  if (o.length_spread > 0) out["length_spread"] = o.length_spread;
  if (o.shared_prefix > 0) out["shared_prefix"] = o.shared_prefix;
  if (!hash.empty()) out["hash"] = hash;
  return out;
}

Plan make_plan(const PlanOptions& options) {
  check(options);
  Plan plan;
  plan.options = options;
  plan.requests = options.prompts_path.empty() ? generated_requests(options) : read_prompts(options);
  if (options.arrivals == Arrivals::kTrace) follow_trace(plan);
  char id[24];
  for (size_t i = 0; i < plan.requests.size(); ++i) {
    std::snprintf(id, sizeof id, "r%05zu", i);
    plan.requests[i].id = id;
  }
  if (options.arrivals == Arrivals::kPoisson) {
    CounterRng rng(options.seed, 0);
    double t = 0;
    for (int i = 0; i < 1 << 14; ++i) plan.arrivals.push_back(t += -std::log1p(-rng.next_double()));
  }
  finish(plan);
  return plan;
}

namespace {

// "; did you mean poisson?" where half of the word or more is so.
std::string kind_meant(const std::string& word) {
  for (const std::string kind : {"closed", "poisson", "constant"}) {
    size_t n = 0;
    while (n < std::min(word.size(), kind.size()) && word[n] == kind[n]) ++n;
    if (2 * n >= kind.size()) return "; did you mean " + kind + "?";
  }
  return "";
}

}  // namespace

Plan choose_plan(const PlanChoice& choice) {
  if (!choice.frozen_path.empty()) return read_plan(choice.frozen_path);
  PlanOptions o = choice.options;
  if (!choice.duration.empty()) o.duration_s = parse_duration_ms(choice.duration, "--duration") / 1e3;
  const bool by_rate = choice.searches_rate || !o.rates.empty();
  if (choice.arrivals == "poisson" || (choice.arrivals == "closed" && by_rate))
    o.arrivals = Arrivals::kPoisson;
  else if (choice.arrivals == "constant")
    o.arrivals = Arrivals::kConstant;
  else if (choice.arrivals != "closed" && choice.arrivals != "-" && !file_exists(choice.arrivals))
    throw Error(ErrorKind::kNoInput, "neither a kind of arrivals nor a file" + kind_meant(choice.arrivals),
                "--arrivals " + choice.arrivals, "closed, poisson, constant, or the file of a trace");
  else if (choice.arrivals != "closed")
    o.arrivals = Arrivals::kTrace, o.trace_path = choice.arrivals;
  const bool open = o.arrivals != Arrivals::kClosed;
  o.clients = !choice.clients.empty() ? choice.clients : std::vector<int64_t>{open ? 256 : 1};
  if (o.n_requests == 0 && o.duration_s == 0 && o.arrivals != Arrivals::kTrace) o.n_requests = 100;
  return make_plan(o);
}

std::string plan_text(const Plan& plan) {
  Json head = plan.describe();
  Json line{{"type", "plan"}, {"schema", "dsbench/1"}};
  for (auto& [key, value] : head.get_ref<Json::object_t&>()) line[key] = value;
  std::string out = dump(line) + "\n";
  for (const Request& r : plan.requests) out += dump(request_json(r)) + "\n";
  if (plan.options.arrivals == Arrivals::kTrace || plan.options.arrivals == Arrivals::kPoisson)
    for (const double t : plan.arrivals) out += dump(Json{{"type", "plan_arrival"}, {"t", t}}) + "\n";
  return out;
}

Plan read_plan(const std::string& path) {
  LineReader lines(path);
  Plan plan;
  PlanOptions& o = plan.options;
  std::string stated;
  bool has_head = false;
  const auto number = [&](const Json& j, const char* key) {
    const Json* v = find(j, key);
    return v && v->is_number() ? std::clamp(v->get<double>(), -1e15, 1e15) : 0.0;
  };
  while (const auto text = lines.next()) {
    if (text->empty()) continue;
    const Json line = parse_json(*text, lines.where());
    const Json* type = find(line, "type");
    const std::string kind = type && type->is_string() ? as_string(*type) : "";
    if (kind == "plan") {
      has_head = true;
      const auto text_of = [&](const char* key) {
        const Json* v = find(line, key);
        return v && v->is_string() ? as_string(*v) : std::string();
      };
      stated = text_of("hash");
      for (int i = 0; i < 4; ++i)
        if (text_of("arrivals") == kArrivalNames[i]) o.arrivals = static_cast<Arrivals>(i);
      o.n_requests = static_cast<int64_t>(number(line, "n_requests"));
      o.duration_s = number(line, "duration_s");
      o.input_tokens = static_cast<int64_t>(number(line, "input_tokens"));
      o.output_tokens = static_cast<int64_t>(number(line, "output_tokens"));
      o.temperature = number(line, "temperature");
      o.seed = seed_of(line);
      o.length_spread = number(line, "length_spread");
      o.shared_prefix = number(line, "shared_prefix");
      const Json* eos = find(line, "ignore_eos");
      o.ignore_eos = eos && eos->is_boolean() && eos->get<bool>();
      const Json* warmup = find(line, "warmup");
      o.warmup = warmup && is_int(*warmup) ? as_int(*warmup) : -1;
      o.prompts_path = text_of("prompts") == "generated" ? "" : "file";
      o.clients.clear();
      if (const Json* a = find(line, "rates"); a && a->is_array())
        for (const Json& v : *a)
          if (v.is_number()) o.rates.push_back(v.get<double>());
      if (const Json* a = find(line, "concurrency"); a && a->is_array())
        for (const Json& v : *a)
          if (is_int(v)) o.clients.push_back(as_int(v));
    } else if (kind == "plan_request") {
      Request r = request_from_line(line, o.output_tokens, lines.where());
      const Json* id = find(line, "id");
      if (id && id->is_string()) r.id = as_string(*id);
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
  const uint64_t h = fnv1a(id);
  return static_cast<int64_t>((h ^ h >> 32) % static_cast<uint64_t>(n_shards));
}

bool in_shard(const Shard& shard, const std::string& id) {
  return shard.n == 1 || shard_of(id, shard.n) == shard.idx;
}

}  // namespace ds::bench
