#include "bench/records/record.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "bench/records/embedded.h"
#include "core/json_value.h"
#include "io/json.h"
#include "io/lines.h"
#include "io/other_formats.h"
#include "report/words.h"

namespace ds::bench {
namespace {

constexpr int64_t kMaxGaps = 1 << 22;
constexpr int64_t kMaxLineBytes = 1 << 28;
constexpr size_t kShownBadLines = 5;

Json optional_count(int64_t v) { return v < 0 ? Json() : Json(v); }

std::string text_member(const Json& object, const char* key) {
  const Json* v = find(object, key);
  return v && v->is_string() ? as_string(*v) : "";
}

// Readers of one member: absent or null leaves the default, another type is an error.
struct MemberReader {
  const Json& object;
  const std::string& where;

  [[noreturn]] void wrong(const char* key, const char* expected) const {
    throw Error(ErrorKind::kBadData, std::string("\"") + key + "\" is not " + expected, where);
  }
  const Json* get(const char* key) const {
    const Json* v = find(object, key);
    return v && !v->is_null() ? v : nullptr;
  }
  void read(const char* key, std::string& out) const {
    if (const Json* v = get(key)) v->is_string() ? void(out = as_string(*v)) : wrong(key, "a string");
  }
  void read(const char* key, bool& out) const {
    if (const Json* v = get(key)) v->is_boolean() ? void(out = v->get<bool>()) : wrong(key, "true or false");
  }
  void read(const char* key, double& out) const {
    if (const Json* v = get(key)) v->is_number() ? void(out = v->get<double>()) : wrong(key, "a number");
  }
  void read(const char* key, int64_t& out) const {
    if (const Json* v = get(key)) out = integer(*v, key);
  }
  // Other writers have 8e6 or 8000000.0 for an integer. Differences of two of these must not overflow.
  int64_t integer(const Json& v, const char* key) const {
    if (!v.is_number()) wrong(key, "an integer");
    const double d = v.get<double>();
    if (!(std::fabs(d) < 4e18)) wrong(key, "within range");
    if (is_int(v)) return as_int(v);
    if (d != std::floor(d)) wrong(key, "an integer");
    return static_cast<int64_t>(d);
  }
  // A count or a time: absent is unknown, and nothing else is.
  void read_count(const char* key, int64_t& out) const {
    if (!get(key)) return;
    read(key, out);
    if (out < 0) wrong(key, "0 or more");
  }
  void read_id(std::string& out) const {
    const Json* v = get("id");
    if (!v) return;
    if (!v->is_string() && !is_any_integer(*v)) wrong("id", "a string or an integer");
    out = v->is_string() ? as_string(*v) : dump(*v);
  }
};

RequestRecord request_from_json(const Json& object, const std::string& where) {
  RequestRecord r;
  const MemberReader in{object, where};
  in.read_id(r.id);
  in.read("arm", r.arm);
  in.read("phase", r.phase);
  in.read("point", r.point);
  in.read("block", r.block);
  in.read("segment", r.segment);
  for (const char* key : {"t_send_ns", "t_done_ns"})
    if (!in.get(key)) in.wrong(key, "present");
  in.read("t_send_ns", r.t_send_ns);
  in.read("t_done_ns", r.t_done_ns);
  r.t_plan_ns = r.t_send_ns;
  in.read("t_plan_ns", r.t_plan_ns);
  in.read_count("t_first_ns", r.t_first_ns);
  in.read_count("t_answer_ns", r.t_answer_ns);
  in.read_count("n_in", r.n_in);
  in.read_count("n_in_cached", r.n_in_cached);
  in.read_count("n_out", r.n_out);
  in.read_count("want_in", r.want_in);
  in.read_count("want_out", r.want_out);
  in.read("tokens_source", r.tokens_source);
  in.read("finish", r.finish);
  in.read("error", r.error);
  in.read("error_detail", r.error_detail);
  in.read_count("peak_rss_bytes", r.peak_rss_bytes);
  int64_t of_gaps = 0;
  if (const Json* gaps = in.get("gaps_ns")) {
    if (!gaps->is_array() || static_cast<int64_t>(gaps->size()) > kMaxGaps)
      in.wrong("gaps_ns", "a list of integers");
    for (const Json& g : *gaps) {
      const int64_t gap = in.integer(g, "gaps_ns");
      if (gap < 0 || gap > INT64_MAX / 4 - of_gaps) in.wrong("gaps_ns", "a list of durations");
      of_gaps += gap;
      r.gaps_ns.push_back(gap);
    }
  }
  if (r.t_first_ns < 0) {
    if (!r.gaps_ns.empty()) in.wrong("t_first_ns", "present, but \"gaps_ns\" is");
  } else {
    // Without the last event's time the gaps lead to it; without gaps the end stands for it.
    r.t_last_ns = r.gaps_ns.empty() && r.n_out != 1 ? r.t_done_ns : r.t_first_ns + of_gaps;
    in.read_count("t_last_ns", r.t_last_ns);
  }
  // A measured value is never its own "missing" mark, and time does not run backwards.
  if (r.t_done_ns < r.t_send_ns ||
      (r.t_first_ns >= 0 &&
       (r.t_first_ns < r.t_send_ns || r.t_last_ns < r.t_first_ns || r.t_done_ns < r.t_last_ns)) ||
      (r.t_answer_ns >= 0 && (r.t_answer_ns < r.t_first_ns || r.t_answer_ns > r.t_done_ns)))
    throw Error(ErrorKind::kBadData, "times run backwards", where,
                "expected t_send_ns <= t_first_ns <= t_last_ns <= t_done_ns");
  if (r.t_first_ns >= 0 && of_gaps > r.t_done_ns - r.t_first_ns)
    throw Error(ErrorKind::kBadData, "the gaps last longer than the request", where);
  return r;
}

int64_t ms_to_ns(double ms, const std::string& member, const std::string& where) {
  if (!std::isfinite(ms) || ms < 0 || ms > 1e12)
    throw Error(ErrorKind::kBadData, "\"" + member + "\" is negative or no duration: " + short_number(ms),
                where);
  return static_cast<int64_t>(std::llround(ms * 1e6));
}

// A line of ds-run --timings: times in ns since the request began. Lines without a clock are placed one after
// the other.
RequestRecord timing_line(const Json& object, int64_t begin_ns, int64_t number, const std::string& where) {
  const MemberReader in{object, where};
  RequestRecord r;
  in.read_id(r.id);
  if (r.id.empty()) r.id = "line-" + std::to_string(number);
  in.read_count("prompt_tokens", r.n_in);
  in.read_count("completion_tokens", r.n_out);
  r.tokens_source = "engine";
  r.t_plan_ns = r.t_send_ns = begin_ns;
  int64_t last = 0;
  for (const Json& t : *find(object, "token_ns")) {
    if (!is_int(t) || as_int(t) < last || as_int(t) > INT64_MAX / 8)
      in.wrong("token_ns", "a list of rising integers");
    if (r.t_first_ns < 0)
      r.t_first_ns = r.t_send_ns + as_int(t);
    else
      r.gaps_ns.push_back(as_int(t) - last);
    last = as_int(t);
  }
  if (r.t_first_ns >= 0) r.t_last_ns = r.t_send_ns + last;
  r.t_done_ns = r.t_send_ns + last;
  return r;
}

// A line of another program: durations only. Placed after the request before it.
RequestRecord foreign_request(const Json& object, int64_t begin_ns, int64_t number,
                              const std::string& where) {
  const Json* timings = find(object, "timings");
  const Json& source = timings && timings->is_object() ? *timings : object;
  const MemberReader in{source, where};
  double e2e_ms = 0, ttft_ms = 0;
  if (!in.get("e2e_ms")) throw Error(ErrorKind::kBadData, "no record of ds-bench and no \"e2e_ms\"", where);
  in.read("e2e_ms", e2e_ms);
  in.read("ttft_ms", ttft_ms);
  RequestRecord r;
  MemberReader{object, where}.read_id(r.id);
  if (r.id.empty()) r.id = "line-" + std::to_string(number);
  in.read_count("n_in", r.n_in);
  in.read_count("n_out", r.n_out);
  if (const Json* usage = find(object, "usage"); usage && usage->is_object()) {
    const MemberReader u{*usage, where};
    if (r.n_in < 0) u.read_count("prompt_tokens", r.n_in);
    if (r.n_out < 0) u.read_count("completion_tokens", r.n_out);
  }
  if (r.n_out >= 0) r.tokens_source = "engine";
  if (const Json* reason = find(object, "finish_reason"); reason && reason->is_string())
    r.finish = as_string(*reason);
  if (const Json* error = find(object, "error"); error && !error->is_null()) r.error = "reported";
  r.t_plan_ns = r.t_send_ns = begin_ns;
  r.t_done_ns = r.t_send_ns + ms_to_ns(e2e_ms, "e2e_ms", where);
  const bool has_ttft = in.get("ttft_ms");
  if (has_ttft) {
    r.t_first_ns = r.t_send_ns + ms_to_ns(ttft_ms, "ttft_ms", where);
    if (r.t_first_ns > r.t_done_ns) throw Error(ErrorKind::kBadData, "ttft_ms is larger than e2e_ms", where);
    r.t_last_ns = r.t_done_ns;
  }
  if (const Json* gaps = in.get("gaps_ms"); gaps && gaps->is_array() && has_ttft) {
    int64_t last = r.t_first_ns;
    for (const Json& g : *gaps) {
      if (!g.is_number()) in.wrong("gaps_ms", "a list of numbers");
      r.gaps_ns.push_back(ms_to_ns(g.get<double>(), "gaps_ms", where));
      last += r.gaps_ns.back();
    }
    r.t_last_ns = std::min(last, r.t_done_ns);
  }
  return r;
}

ItemRecord item_from_json(const Json& object, const std::string& where) {
  ItemRecord r;
  const MemberReader in{object, where};
  in.read_id(r.id);
  in.read("set", r.set);
  in.read("category", r.category);
  in.read("arm", r.arm);
  in.read("correct", r.correct);
  in.read("strict", r.strict);
  in.read("flexible", r.flexible);
  in.read("unparsed", r.unparsed);
  in.read("turns", r.turns);
  in.read("distance", r.distance);
  in.read("n_in", r.n_in);
  in.read("n_out", r.n_out);
  in.read("e2e_ms", r.e2e_ms);
  in.read("expected", r.expected);
  in.read("text", r.text);
  in.read("error", r.error);
  in.read("error_detail", r.error_detail);
  in.read("nll", r.nll);
  in.read("kld", r.kld);
  return r;
}

}  // namespace

Json to_json(const RequestRecord& r) {
  Json::array_t gaps(r.gaps_ns.begin(), r.gaps_ns.end());
  Json out{{"type", "request"}, {"id", r.id}, {"arm", r.arm}, {"phase", r.phase}};
  if (!r.point.empty()) out["point"] = r.point;
  out["block"] = r.block;
  if (r.segment) out["segment"] = r.segment;
  out["t_plan_ns"] = r.t_plan_ns;
  out["t_send_ns"] = r.t_send_ns;
  out["t_first_ns"] = optional_count(r.t_first_ns);
  if (r.t_answer_ns >= 0) out["t_answer_ns"] = r.t_answer_ns;
  out["t_last_ns"] = optional_count(r.t_last_ns);
  out["t_done_ns"] = r.t_done_ns;
  out["gaps_ns"] = std::move(gaps);
  out["n_in"] = optional_count(r.n_in);
  if (r.n_in_cached >= 0) out["n_in_cached"] = r.n_in_cached;
  out["n_out"] = optional_count(r.n_out);
  out["want_in"] = optional_count(r.want_in);
  out["want_out"] = optional_count(r.want_out);
  out["tokens_source"] = r.tokens_source.empty() ? Json() : Json(r.tokens_source);
  out["finish"] = r.finish.empty() ? Json() : Json(r.finish);
  if (!r.error.empty()) {
    out["error"] = r.error;
    out["error_detail"] = r.error_detail;
  }
  if (r.peak_rss_bytes >= 0) out["peak_rss_bytes"] = r.peak_rss_bytes;
  return out;
}

Json to_json(const ItemRecord& r) {
  Json out{{"type", "item"}, {"id", r.id}, {"set", r.set}, {"category", r.category}};
  if (r.arm != "a") out["arm"] = r.arm;
  if (r.nll < 0) {
    out["correct"] = r.correct;
    out["strict"] = r.strict;
    out["flexible"] = r.flexible;
    out["unparsed"] = r.unparsed;
  }
  if (r.turns) out["turns"] = r.turns;
  if (r.distance) out["distance"] = r.distance;
  out["n_in"] = optional_count(r.n_in);
  out["n_out"] = optional_count(r.n_out);
  if (r.e2e_ms >= 0) out["e2e_ms"] = r.e2e_ms;
  if (r.nll >= 0) {
    out["nll"] = r.nll;
    if (r.kld >= 0) out["kld"] = r.kld;
  } else {
    out["expected"] = r.expected;
    out["text"] = r.text;
  }
  if (!r.error.empty()) out["error"] = r.error;
  if (!r.error_detail.empty()) out["error_detail"] = r.error_detail;
  return out;
}

const RunHeader* header_of(const RecordSet& set, int32_t run) {
  if (set.runs.empty()) return set.headers.empty() ? nullptr : &set.headers[0];
  const auto& headers = set.runs[static_cast<size_t>(run)].headers;
  return headers.empty() ? nullptr : &set.headers[headers[0]];
}

void RecordReader::begin_file(std::string name) {
  name_ = std::move(name);
  run_ = clock_ = -1;
}

int32_t RecordReader::run() {
  if (run_ < 0) {
    run_ = static_cast<int32_t>(set_.runs.size());
    set_.runs.push_back({name_, {}});
  }
  if (clock_ < 0) clock_ = n_clocks_++;
  return run_;
}

void RecordReader::begin_run(RunHeader header) {
  const std::string& family = header.shard_family;
  clock_ = -1;
  const bool announced = run_ >= 0 && set_.runs.back().headers.empty();
  if (!announced) run_ = -1;
  for (size_t i = 0; i < set_.runs.size() && !family.empty() && run_ < 0; ++i)
    for (const size_t h : set_.runs[i].headers)
      if (set_.headers[h].shard_family == family) run_ = static_cast<int32_t>(i);
  set_.runs[static_cast<size_t>(run())].headers.push_back(set_.headers.size());
  set_.headers.push_back(std::move(header));
}

int64_t RecordReader::end_of_last() const {
  return set_.requests.empty() || set_.requests.back().clock != clock_ ? 0 : set_.requests.back().t_done_ns;
}

void RecordReader::add_request(RequestRecord record) {
  record.run = run();
  record.clock = clock_;
  set_.requests.push_back(std::move(record));
}

void RecordReader::add(std::string_view line, const std::string& where) {
  Json object = parse_json(line, where);
  if (!object.is_object()) throw Error(ErrorKind::kBadData, "not a JSON object", where);
  const std::string kind = text_member(object, "type");
  const auto number = static_cast<int64_t>(set_.requests.size());
  if (kind == "request") {
    add_request(request_from_json(object, where));
  } else if (kind == "item") {
    set_.items.push_back(item_from_json(object, where));
    set_.items.back().run = run();
  } else if (kind == "header") {
    begin_run(std::move(object));
  } else if (kind == "run") {  // how a report keeps the names of its runs
    begin_file(text_member(object, "name"));
    run();
  } else if (kind == "trailer") {
    if (const Json* i = find(object, "interrupted"); i && i->is_boolean() && i->get<bool>())
      set_.interrupted = true;
    set_.trailers.push_back(std::move(object));
  } else if (kind == "drift") {
    set_.drift.push_back(std::move(object));
  } else if (!kind.empty()) {
    // A newer producer's record: keep quiet, later versions may add kinds.
  } else if (const Json* times = find(object, "token_ns"); times && times->is_array()) {
    add_request(timing_line(object, end_of_last(), number, where));
  } else {
    add_request(foreign_request(object, end_of_last(), number, where));
  }
}

namespace {

// "results/monday.jsonl" is run "monday"; the whole path when two files share that name.
std::string run_name(const std::string& path, const std::vector<std::string>& paths) {
  const auto stem = [](const std::string& p) {
    std::string name = p.substr(p.rfind('/') + 1);
    for (const char* end : {".jsonl", ".json", ".html"})
      if (name.ends_with(end)) return name.substr(0, name.size() - std::string(end).size());
    return name;
  };
  int n_same = 0;
  for (const auto& p : paths) n_same += stem(p) == stem(path);
  return path == "-" ? "stdin" : n_same > 1 ? path : stem(path);
}

}  // namespace

RecordSet read_records(const std::vector<std::string>& paths) {
  RecordSet set;
  RecordReader reader(set);
  bool last_is_cut = false;
  const auto add = [&](std::string_view line, const std::string& where) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    ++set.n_lines;
    last_is_cut = false;
    try {
      reader.add(line, where);
    } catch (const Error& e) {
      ++set.n_bad;
      last_is_cut = !line.ends_with('}');
      if (set.bad.size() < kShownBadLines) set.bad.push_back(e.message());
    }
  };
  for (const std::string& path : paths) {
    LineReader lines(path, kMaxLineBytes);
    reader.begin_file(run_name(path, paths));
    bool first = true, html = false;
    std::string page;
    last_is_cut = false;
    while (auto line = lines.next()) {
      if (first && line->starts_with("\xEF\xBB\xBF")) line->remove_prefix(3);
      if (first) html = line->starts_with("<!DOCTYPE html>");
      if (first) refuse_other_formats(line->substr(0, kTellingBytes), true, lines.where());
      first = false;
      if (html) {
        page.append(*line).push_back('\n');
      } else {
        add(*line, lines.where());
      }
    }
    if (last_is_cut && set.n_bad <= static_cast<int64_t>(kShownBadLines))
      set.bad.back() += " (it is the last line: the file was cut off there)";
    if (html) {
      const std::string records = embedded_records(page, path);
      size_t begin = 0;
      for (int64_t number = 1; begin < records.size(); ++number) {
        const size_t end = std::min(records.find('\n', begin), records.size());
        add(std::string_view(records).substr(begin, end - begin),
            path + ": embedded record " + std::to_string(number));
        begin = end + 1;
      }
    }
  }
  if (set.requests.empty() && set.items.empty() && set.headers.empty() && set.drift.empty())
    throw Error(ErrorKind::kBadData,
                set.n_bad ? "no usable record; first problem: " + set.bad[0] : "no records",
                paths.size() == 1 ? (paths[0] == "-" ? "<stdin>" : paths[0]) : "inputs",
                "expected JSON lines of ds-bench run or eval, or lines with \"e2e_ms\"");
  set.cut_off = set.headers.size() > set.trailers.size();
  return set;
}

std::string records_text(const RecordSet& set) {
  std::string out;
  const auto n_runs = static_cast<int32_t>(std::max<size_t>(1, set.runs.size()));
  for (int32_t run = 0; run < n_runs; ++run) {
    if (n_runs > 1)
      out += dump(Json{{"type", "run"}, {"name", set.runs[static_cast<size_t>(run)].name}}) + "\n";
    std::vector<size_t> headers;
    if (!set.runs.empty())
      headers = set.runs[static_cast<size_t>(run)].headers;
    else
      for (size_t h = 0; h < set.headers.size(); ++h) headers.push_back(h);
    // Clocks follow the headers, one each; records of strangers have one clock and no header.
    std::map<int32_t, std::string> by_clock;
    for (const auto& r : set.requests)
      if (r.run == run) by_clock[r.clock] += dump(to_json(r)) + "\n";
    auto part = by_clock.begin();
    for (size_t i = 0; i < std::max(headers.size(), by_clock.size()); ++i) {
      if (i < headers.size()) out += dump(set.headers[headers[i]].object) + "\n";
      if (part != by_clock.end()) out += (part++)->second;
    }
    for (const auto& i : set.items)
      if (i.run == run) out += dump(to_json(i)) + "\n";
  }
  for (const auto& d : set.drift) out += dump(d) + "\n";
  for (const auto& t : set.trailers) out += dump(t) + "\n";
  return out;
}

}  // namespace ds::bench
