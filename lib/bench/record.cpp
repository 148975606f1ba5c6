#include "bench/record.h"

#include <cmath>

#include "bench/html_text.h"
#include "io/json.h"
#include "io/lines.h"

namespace ds::bench {
namespace {

constexpr int64_t kMaxGaps = 1 << 22;
constexpr int64_t kMaxLineBytes = 1 << 28;
constexpr size_t kShownBadLines = 5;

Json optional_count(int64_t v) { return v < 0 ? Json() : Json(v); }

// Readers of one member: absent or null leaves the default, another type is an error.
struct MemberReader {
  const Json& object;
  const std::string& where;

  [[noreturn]] void wrong(const char* key, const char* expected) const {
    throw Error(ErrorKind::kBadData, std::string("\"") + key + "\" is not " + expected, where);
  }
  const Json* get(const char* key) const {
    const Json* v = object.find(key);
    return v && !v->is_null() ? v : nullptr;
  }
  void read(const char* key, std::string& out) const {
    if (const Json* v = get(key)) v->is_string() ? void(out = v->as_string()) : wrong(key, "a string");
  }
  void read(const char* key, bool& out) const {
    if (const Json* v = get(key)) v->is_bool() ? void(out = v->as_bool()) : wrong(key, "true or false");
  }
  void read(const char* key, double& out) const {
    if (const Json* v = get(key)) v->is_number() ? void(out = v->as_double()) : wrong(key, "a number");
  }
  void read(const char* key, int64_t& out) const {
    const Json* v = get(key);
    if (!v) return;
    if (!v->is_int()) wrong(key, "an integer");
    // Differences of two of these must not overflow.
    if (v->as_int() > INT64_MAX / 4 || v->as_int() < INT64_MIN / 4) wrong(key, "within range");
    out = v->as_int();
  }
};

RequestRecord request_from_json(const Json& object, const std::string& where) {
  RequestRecord r;
  const MemberReader in{object, where};
  in.read("id", r.id);
  in.read("arm", r.arm);
  in.read("phase", r.phase);
  in.read("point", r.point);
  in.read("block", r.block);
  in.read("segment", r.segment);
  in.read("t_send_ns", r.t_send_ns);
  r.t_plan_ns = r.t_send_ns;
  in.read("t_plan_ns", r.t_plan_ns);
  in.read("t_first_ns", r.t_first_ns);
  in.read("t_last_ns", r.t_last_ns);
  if (!in.get("t_done_ns")) in.wrong("t_done_ns", "present");
  in.read("t_done_ns", r.t_done_ns);
  in.read("n_in", r.n_in);
  in.read("n_in_cached", r.n_in_cached);
  in.read("n_out", r.n_out);
  in.read("want_in", r.want_in);
  in.read("want_out", r.want_out);
  in.read("tokens_source", r.tokens_source);
  in.read("finish", r.finish);
  in.read("error", r.error);
  in.read("error_detail", r.error_detail);
  in.read("peak_rss_bytes", r.peak_rss_bytes);
  if (const Json* gaps = in.get("gaps_ns")) {
    if (!gaps->is_array() || static_cast<int64_t>(gaps->as_array().size()) > kMaxGaps)
      in.wrong("gaps_ns", "a list of integers");
    for (const Json& g : gaps->as_array()) {
      if (!g.is_int()) in.wrong("gaps_ns", "a list of integers");
      r.gaps_ns.push_back(g.as_int());
    }
  }
  // A measured value is never its own "missing" mark, and time does not run backwards.
  if (r.t_done_ns < r.t_send_ns || (r.t_first_ns >= 0 && r.t_first_ns < r.t_send_ns) ||
      (r.t_first_ns >= 0 && r.t_last_ns < r.t_first_ns))
    throw Error(ErrorKind::kBadData, "times run backwards", where);
  return r;
}

int64_t ms_to_ns(double ms, const std::string& where) {
  if (!std::isfinite(ms) || ms < 0 || ms > 1e12)
    throw Error(ErrorKind::kBadData, "a duration is negative or not finite", where);
  return static_cast<int64_t>(std::llround(ms * 1e6));
}

// A line of ds-run --timings: times in ns since the request began.
RequestRecord timing_line(const Json& object, const RecordSet& set, const std::string& where) {
  const MemberReader in{object, where};
  RequestRecord r;
  if (const Json* id = object.find("id"))
    r.id = id->is_string() ? id->as_string() : id->is_null() ? "" : id->dump();
  if (r.id.empty()) r.id = "line-" + std::to_string(set.requests.size());
  in.read("prompt_tokens", r.n_in);
  in.read("completion_tokens", r.n_out);
  r.tokens_source = "engine";
  r.t_plan_ns = r.t_send_ns = set.requests.empty() ? 0 : set.requests.back().t_done_ns;
  int64_t last = 0;
  for (const Json& t : object.find("token_ns")->as_array()) {
    if (!t.is_int() || t.as_int() < last || t.as_int() > INT64_MAX / 8)
      in.wrong("token_ns", "a list of rising integers");
    if (r.t_first_ns < 0)
      r.t_first_ns = r.t_send_ns + t.as_int();
    else
      r.gaps_ns.push_back(t.as_int() - last);
    last = t.as_int();
  }
  if (r.t_first_ns >= 0) r.t_last_ns = r.t_send_ns + last;
  r.t_done_ns = r.t_send_ns + last;
  return r;
}

// A line of another program: durations only. Placed after the request before it.
RequestRecord foreign_request(const Json& object, const RecordSet& set, const std::string& where) {
  const Json* timings = object.find("timings");
  const Json& source = timings && timings->is_object() ? *timings : object;
  const MemberReader in{source, where};
  double e2e_ms = -1, ttft_ms = -1;
  in.read("e2e_ms", e2e_ms);
  in.read("ttft_ms", ttft_ms);
  if (e2e_ms < 0) throw Error(ErrorKind::kBadData, "no record of ds-bench and no \"e2e_ms\"", where);
  RequestRecord r;
  if (const Json* id = object.find("id"); id && id->is_string()) r.id = id->as_string();
  if (r.id.empty()) r.id = "line-" + std::to_string(set.requests.size());
  in.read("n_in", r.n_in);
  in.read("n_out", r.n_out);
  if (const Json* usage = object.find("usage"); usage && usage->is_object()) {
    const MemberReader u{*usage, where};
    if (r.n_in < 0) u.read("prompt_tokens", r.n_in);
    if (r.n_out < 0) u.read("completion_tokens", r.n_out);
  }
  if (r.n_out >= 0) r.tokens_source = "engine";
  if (const Json* reason = object.find("finish_reason"); reason && reason->is_string())
    r.finish = reason->as_string();
  if (const Json* error = object.find("error"); error && !error->is_null()) r.error = "reported";
  r.t_plan_ns = r.t_send_ns = set.requests.empty() ? 0 : set.requests.back().t_done_ns;
  r.t_done_ns = r.t_last_ns = r.t_send_ns + ms_to_ns(e2e_ms, where);
  if (ttft_ms >= 0) {
    r.t_first_ns = r.t_send_ns + ms_to_ns(ttft_ms, where);
    if (r.t_first_ns > r.t_done_ns) throw Error(ErrorKind::kBadData, "ttft_ms is larger than e2e_ms", where);
  }
  if (const Json* gaps = in.get("gaps_ms"); gaps && gaps->is_array() && ttft_ms >= 0) {
    int64_t last = r.t_first_ns;
    for (const Json& g : gaps->as_array()) {
      if (!g.is_number()) in.wrong("gaps_ms", "a list of numbers");
      r.gaps_ns.push_back(ms_to_ns(g.as_double(), where));
      last += r.gaps_ns.back();
    }
    r.t_last_ns = std::min(last, r.t_done_ns);
  }
  return r;
}

ItemRecord item_from_json(const Json& object, const std::string& where) {
  ItemRecord r;
  const MemberReader in{object, where};
  in.read("id", r.id);
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
  in.read("nll", r.nll);
  in.read("kld", r.kld);
  return r;
}

}  // namespace

Json to_json(const RequestRecord& r) {
  Json::Array gaps(r.gaps_ns.begin(), r.gaps_ns.end());
  Json out(Json::Object{{"type", "request"}, {"id", r.id}, {"arm", r.arm}, {"phase", r.phase}});
  if (!r.point.empty()) out.set("point", r.point);
  out.set("block", r.block);
  if (r.segment) out.set("segment", r.segment);
  out.set("t_plan_ns", r.t_plan_ns);
  out.set("t_send_ns", r.t_send_ns);
  out.set("t_first_ns", optional_count(r.t_first_ns));
  out.set("t_last_ns", optional_count(r.t_last_ns));
  out.set("t_done_ns", r.t_done_ns);
  out.set("gaps_ns", std::move(gaps));
  out.set("n_in", optional_count(r.n_in));
  if (r.n_in_cached >= 0) out.set("n_in_cached", r.n_in_cached);
  out.set("n_out", optional_count(r.n_out));
  out.set("want_in", optional_count(r.want_in));
  out.set("want_out", optional_count(r.want_out));
  out.set("tokens_source", r.tokens_source.empty() ? Json() : Json(r.tokens_source));
  out.set("finish", r.finish.empty() ? Json() : Json(r.finish));
  if (!r.error.empty()) {
    out.set("error", r.error);
    out.set("error_detail", r.error_detail);
  }
  if (r.peak_rss_bytes >= 0) out.set("peak_rss_bytes", r.peak_rss_bytes);
  return out;
}

Json to_json(const ItemRecord& r) {
  Json out(Json::Object{{"type", "item"}, {"id", r.id}, {"set", r.set}, {"category", r.category}});
  if (r.arm != "a") out.set("arm", r.arm);
  if (r.nll < 0) {
    out.set("correct", r.correct);
    out.set("strict", r.strict);
    out.set("flexible", r.flexible);
    out.set("unparsed", r.unparsed);
  }
  if (r.turns) out.set("turns", r.turns);
  if (r.distance) out.set("distance", r.distance);
  out.set("n_in", optional_count(r.n_in));
  out.set("n_out", optional_count(r.n_out));
  if (r.e2e_ms >= 0) out.set("e2e_ms", r.e2e_ms);
  if (r.nll >= 0) {
    out.set("nll", r.nll);
    if (r.kld >= 0) out.set("kld", r.kld);
  } else {
    out.set("expected", r.expected);
    out.set("text", r.text);
  }
  if (!r.error.empty()) out.set("error", r.error);
  return out;
}

void add_record_line(RecordSet& set, std::string_view line, const std::string& where) {
  Json object = parse_json(line, where);
  if (!object.is_object()) throw Error(ErrorKind::kBadData, "not a JSON object", where);
  const Json* type = object.find("type");
  const std::string kind = type && type->is_string() ? type->as_string() : "";
  if (kind == "request") {
    set.requests.push_back(request_from_json(object, where));
  } else if (kind == "item") {
    set.items.push_back(item_from_json(object, where));
  } else if (kind == "header") {
    set.headers.push_back(std::move(object));
  } else if (kind == "trailer") {
    if (const Json* i = object.find("interrupted"); i && i->is_bool() && i->as_bool()) set.interrupted = true;
    set.trailers.push_back(std::move(object));
  } else if (kind == "drift") {
    set.drift.push_back(std::move(object));
  } else if (!kind.empty()) {
    // A newer producer's record: keep quiet, later versions may add kinds.
  } else if (const Json* times = object.find("token_ns"); times && times->is_array()) {
    set.requests.push_back(timing_line(object, set, where));
  } else {
    set.requests.push_back(foreign_request(object, set, where));
  }
}

RecordSet read_records(const std::vector<std::string>& paths) {
  RecordSet set;
  const auto add = [&](std::string_view line, const std::string& where) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    ++set.n_lines;
    try {
      add_record_line(set, line, where);
    } catch (const Error& e) {
      ++set.n_bad;
      if (set.bad.size() < kShownBadLines) set.bad.push_back(e.message());
    }
  };
  for (const std::string& path : paths) {
    LineReader lines(path, kMaxLineBytes);
    bool first = true, html = false;
    std::string page;
    while (const auto line = lines.next()) {
      if (first) html = line->starts_with("<!DOCTYPE html>");
      first = false;
      if (html) {
        page.append(*line).push_back('\n');
      } else {
        add(*line, lines.where());
      }
    }
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

}  // namespace ds::bench
