#include "bench/eval/eval.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <map>
#include <mutex>

#include "bench/eval/answers.h"
#include "bench/load/threads.h"
#include "bench/records/sha256.h"
#include "bench/stats/stats.h"
#include "core/error.h"
#include "core/json_value.h"
#include "io/files.h"
#include "io/json.h"
#include "io/lines.h"
#include "report/words.h"

namespace ds::bench {
namespace {

std::string text_of(const Json& object, const char* key, const std::string& where) {
  const Json* v = find(object, key);
  if (!v || v->is_null()) return "";
  if (v->is_number() || is_any_integer(*v)) return dump(*v);
  if (!v->is_string()) throw Error(ErrorKind::kBadData, std::string("\"") + key + "\" is no text", where);
  return as_string(*v);
}

// One answer, or a list of which each counts; "aliases" adds to it.
std::vector<std::string> expected_of(const Json& object, const std::string& where) {
  std::vector<std::string> out;
  for (const char* key : {"answer", "aliases"}) {
    const Json* v = find(object, key);
    if (v && v->is_array()) {
      for (const Json& one : *v) out.push_back(text_of(Json{{key, one}}, key, where));
    } else if (v && !v->is_null()) {
      out.push_back(text_of(object, key, where));
    }
  }
  if (out.empty()) throw Error(ErrorKind::kBadData, "no \"answer\"", where);
  return out;
}

EvalQuestion question_from(const Json& object, const std::string& set, int64_t number,
                           const std::string& where) {
  EvalQuestion q;
  q.set = set;
  q.request.id = text_of(object, "id", where);
  if (q.request.id.empty()) q.request.id = set.substr(set.rfind('/') + 1) + "-" + std::to_string(number);
  q.expected = expected_of(object, where);
  q.category = text_of(object, "category", where);
  q.match = text_of(object, "match", where);
  if (q.match.empty()) q.match = q.expected[0].find("####") != std::string::npos ? "number" : "exact";
  if (q.match != "exact" && q.match != "contains" && q.match != "number" && q.match != "choice")
    throw Error(ErrorKind::kBadData, "unknown \"match\": " + q.match, where,
                "exact, contains, number or choice");
  for (const auto& [key, out] : {std::pair("turns", &q.turns), std::pair("distance", &q.distance)})
    if (const Json* v = find(object, key); v && is_int(*v)) *out = as_int(*v);
  const Json* messages = find(object, "messages");
  if (messages && messages->is_array() && !messages->empty()) {
    for (const Json& m : *messages) {
      const Json *role = find(m, "role"), *content = find(m, "content");
      if (!role || !role->is_string() || !content || !content->is_string())
        throw Error(ErrorKind::kBadData, "a message has no role or no text", where);
      q.request.prompt = as_string(*content);
    }
    q.request.messages = messages->get_ref<const Json::array_t&>();
  } else {
    q.request.prompt = text_of(object, "prompt", where);
    if (q.request.prompt.empty()) q.request.prompt = text_of(object, "question", where);
    if (q.request.prompt.empty())
      throw Error(ErrorKind::kBadData, "none of \"messages\", \"prompt\", \"question\"", where);
    q.request.messages = {Json{{"role", "user"}, {"content", q.request.prompt}}};
  }
  return q;
}

ItemRecord answer(Target& target, const EvalQuestion& q, const EvalOptions& options) {
  Request request = q.request;
  request.max_tokens = options.max_tokens;
  const Outcome o = target.send(request, options.stop);
  ItemRecord item;
  item.id = q.request.id;
  item.set = q.set;
  item.category = q.category;
  item.arm = options.arm;
  item.turns = q.turns;
  item.distance = q.distance;
  item.n_in = o.n_in;
  item.n_out = o.n_out;
  item.e2e_ms = static_cast<double>(o.t_done_ns - o.t_send_ns) * 1e-6;
  item.expected = q.expected[0];
  item.text = o.text;
  item.error = o.error;
  item.error_detail = o.error_detail;
  if (o.ok()) {
    const AnswerJudgement j = judge_answer(o.text, q.expected, q.match);
    item.correct = j.correct, item.strict = j.strict, item.flexible = j.flexible, item.unparsed = j.unparsed;
  } else {
    item.unparsed = true;
  }
  return item;
}

std::string percent(double share) { return short_number(share * 100) + " %"; }

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  if (text.size() > 60) {
    size_t end = 57;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text = text.substr(0, end) + "...";
  }
  return text;
}

}  // namespace

std::vector<EvalQuestion> read_questions(const std::string& set, const std::string& data_folder) {
  const bool embedded = set == "math" || set == "multiturn" || set == "reading";
  const std::string path = embedded ? data_folder + "/dsv3-tiny-data/eval_" + set + ".jsonl" : set;
  if (!embedded && !file_exists(path) && path != "-")
    throw Error(ErrorKind::kNoInput, "no such set or file", path,
                "sets are math, multiturn, reading, ppl and kld; a file has {messages, answer} lines");
  LineReader lines(path);
  std::vector<EvalQuestion> questions;
  std::set<std::string> ids;
  while (const auto line = lines.next()) {
    if (line->find_first_not_of(" \t") == std::string_view::npos) continue;
    const Json object = parse_json(*line, lines.where());
    if (!object.is_object()) throw Error(ErrorKind::kBadData, "not a JSON object", lines.where());
    questions.push_back(question_from(object, embedded ? set : set.substr(set.rfind('/') + 1),
                                      lines.line_number(), lines.where()));
    if (!ids.insert(questions.back().request.id).second)
      throw Error(ErrorKind::kBadData, "id '" + questions.back().request.id + "' occurs twice",
                  lines.where());
  }
  if (questions.empty()) throw Error(ErrorKind::kBadData, "no questions", path);
  return questions;
}

std::string set_digest(const std::vector<EvalQuestion>& questions) {
  std::map<std::string, std::string> parts;
  for (const EvalQuestion& q : questions) {
    Json one{{"prompt", q.request.prompt}, {"match", q.match}};
    one["messages"] = q.request.messages;
    one["expected"] = Json::array_t(q.expected.begin(), q.expected.end());
    parts[q.request.id] = dump(one);
  }
  Sha256 digest;
  for (const auto& [id, part] : parts) digest.update(id + "\n" + part + "\n");
  return digest.hex();
}

bool run_eval(Target& target, const std::vector<EvalQuestion>& all, const EvalOptions& options) {
  std::vector<const EvalQuestion*> questions;
  for (const auto& q : all) {
    if (options.limit > 0 && static_cast<int64_t>(questions.size()) >= options.limit) break;
    if (in_shard(options.shard, q.request.id) && !options.skip.count(q.request.id)) questions.push_back(&q);
  }
  const auto n = static_cast<int64_t>(questions.size());
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  std::map<int64_t, ItemRecord> ready;  // waits for its turn
  int64_t n_written = 0;
  std::atomic<bool> broken{false};
  const auto work = [&] {
    while (!broken && !(options.stop && options.stop())) {
      const int64_t i = next++;
      if (i >= n) return;
      ItemRecord item = answer(target, *questions[i], options);
      const std::lock_guard lock(mutex);
      if (item.error == "stopped") return;
      ready.emplace(i, std::move(item));
      for (auto it = ready.find(n_written); it != ready.end(); it = ready.find(n_written)) {
        if (options.on_item) options.on_item(it->second);
        ready.erase(it);
        ++n_written;
        if (options.on_progress) options.on_progress(n_written, n);
      }
    }
  };
  in_threads(std::clamp<int64_t>(options.clients, 1, target.max_concurrency()), work, [&] { broken = true; });
  return n_written == n;
}

Score score(const std::string& name, const std::vector<const ItemRecord*>& items) {
  Score s;
  s.name = name;
  for (const ItemRecord* i : items) {
    ++s.n;
    s.n_correct += i->correct;
    s.n_strict += i->strict;
    s.n_flexible += i->flexible;
    s.n_unparsed += i->unparsed;
    s.n_errors += !i->error.empty();
  }
  s.interval = wilson_interval(s.n_correct, s.n);
  return s;
}

std::vector<Score> scores(const std::vector<ItemRecord>& items) {
  std::vector<const ItemRecord*> all, long_talks;
  std::vector<std::pair<std::string, std::vector<const ItemRecord*>>> groups;
  const auto group = [&](const std::string& name) -> std::vector<const ItemRecord*>& {
    for (auto& [n, list] : groups)
      if (n == name) return list;
    return groups.emplace_back(name, std::vector<const ItemRecord*>{}).second;
  };
  for (const auto& i : items) {
    if (i.nll >= 0) continue;
    all.push_back(&i);
    if (i.turns >= 20) long_talks.push_back(&i);
    if (!i.category.empty()) group(i.category).push_back(&i);
  }
  std::vector<Score> out{score("all", all)};
  if (!long_talks.empty()) out.push_back(score("20 turns and more", long_talks));
  for (const auto& [name, list] : groups) out.push_back(score(name, list));
  return out;
}

std::string failures_text(const std::vector<ItemRecord>& items) {
  std::map<std::string, std::pair<int64_t, std::string>> kinds;
  for (const auto& i : items)
    if (!i.error.empty() && kinds[i.error].first++ == 0) kinds[i.error].second = i.error_detail;
  std::string out;
  for (const auto& [error, kind] : kinds)
    out += (out.empty() ? "" : "; ") + std::to_string(kind.first) + " " + error +
           (kind.second.empty() ? "" : " (" + one_line(kind.second) + ")");
  return out;
}

// Sums over the windows of a perplexity.
struct Likelihood {
  double nll = 0, kl_sum = 0;
  int64_t n_tokens = 0, n_kl_tokens = 0, n_bytes = 0;
  double perplexity() const { return std::exp(nll / static_cast<double>(n_tokens)); }
  double bits_per_byte() const { return nll / static_cast<double>(n_bytes) / std::log(2.0); }
  double kl() const { return kl_sum / static_cast<double>(n_kl_tokens); }
};

static Likelihood likelihood(const std::vector<ItemRecord>& items) {
  Likelihood l;
  for (const auto& i : items) {
    if (i.nll < 0 || i.n_out < 1) continue;
    l.nll += i.nll, l.n_tokens += i.n_out, l.n_bytes += std::max<int64_t>(i.distance, 0);
    if (i.kld >= 0) l.kl_sum += i.kld * static_cast<double>(i.n_out), l.n_kl_tokens += i.n_out;
  }
  return l;
}

std::string scores_text(const std::vector<ItemRecord>& items) {
  std::string out;
  const Likelihood l = likelihood(items);
  if (l.n_tokens) {
    out += "perplexity " + short_number(l.perplexity()) + " over " + std::to_string(l.n_tokens) + " tokens";
    if (l.n_bytes) out += ", " + short_number(l.bits_per_byte()) + " bits per byte";
    out += "\n";
    if (l.n_kl_tokens)
      out += "KL to the baseline " + short_number(l.kl()) + " nats per token (lower bound)\n";
  }
  const auto list = scores(items);
  if (list[0].n == 0) return out;
  char line[200];
  std::snprintf(line, sizeof line, "%-18s %9s  %-21s %8s %8s %8s\n", "", "correct", "share [95 % Wilson]",
                "strict", "flexible", "unparsed");
  out += line;
  for (const Score& s : list) {
    const auto share = [&](int64_t n) {
      return percent(static_cast<double>(n) / static_cast<double>(std::max<int64_t>(1, s.n)));
    };
    const std::string interval = share(s.n_correct) + " [" + short_number(s.interval.lo * 100) + ", " +
                                 short_number(s.interval.hi * 100) + "]";
    const std::string correct = std::to_string(s.n_correct) + "/" + std::to_string(s.n);
    std::snprintf(line, sizeof line, "%-18s %9s  %-21s %8s %8s %8s\n", s.name.c_str(), correct.c_str(),
                  interval.c_str(), share(s.n_strict).c_str(), share(s.n_flexible).c_str(),
                  share(s.n_unparsed).c_str());
    out += line;
  }
  if (list[0].n_errors)
    out += "! " + std::to_string(list[0].n_errors) +
           " questions got no answer (counted as wrong): " + failures_text(items) + "\n";
  return out;
}

Json scores_json(const std::vector<ItemRecord>& items) {
  Json::array_t list;
  const Likelihood l = likelihood(items);
  if (l.n_tokens)
    list.push_back(Json{{"name", "perplexity"},
                        {"n", l.n_tokens},
                        {"perplexity", l.perplexity()},
                        {"bits_per_byte", l.n_bytes > 0 ? Json(l.bits_per_byte()) : Json()},
                        {"kl", l.n_kl_tokens ? Json(l.kl()) : Json()}});
  for (const Score& s : scores(items))
    if (s.n)
      list.push_back(Json{{"name", s.name},
                          {"n", s.n},
                          {"n_correct", s.n_correct},
                          {"n_strict", s.n_strict},
                          {"n_flexible", s.n_flexible},
                          {"n_unparsed", s.n_unparsed},
                          {"n_errors", s.n_errors},
                          {"lo", s.interval.lo},
                          {"hi", s.interval.hi}});
  return Json(std::move(list));
}

std::vector<std::pair<std::string, std::vector<ItemRecord>>> items_by_run(const RecordSet& set) {
  std::map<int32_t, std::vector<ItemRecord>> runs;
  for (const auto& i : set.items) runs[i.run].push_back(i);
  std::vector<std::pair<std::string, std::vector<ItemRecord>>> out;
  for (auto& [run, items] : runs)
    out.emplace_back(set.runs.empty() ? "" : set.runs[static_cast<size_t>(run)].name, std::move(items));
  return out;
}

std::string scores_text(const RecordSet& set) {
  const auto runs = items_by_run(set);
  std::string out;
  for (const auto& [name, items] : runs) out += (runs.size() > 1 ? name + ":\n" : "") + scores_text(items);
  return out;
}

Json scores_json(const RecordSet& set) {
  Json::array_t out;
  for (const auto& [name, items] : items_by_run(set)) {
    const Json list = scores_json(items);
    for (Json s : list) {
      s["run"] = name;
      out.push_back(std::move(s));
    }
  }
  return Json(std::move(out));
}

ItemComparison compare_items(const std::vector<ItemRecord>& a, const std::vector<ItemRecord>& b,
                             double margin) {
  ItemComparison c;
  std::map<std::string, const ItemRecord*> by_id;
  for (const auto& i : a) by_id[i.set + "/" + i.id] = &i;
  int64_t right_a = 0, right_b = 0;
  for (const auto& y : b) {
    const auto it = by_id.find(y.set + "/" + y.id);
    if (it == by_id.end()) continue;
    const ItemRecord& x = *it->second;
    if (x.expected != y.expected)
      throw Error(ErrorKind::kBadData, "item '" + y.id + "' has another answer in the other run", "compare",
                  "the two runs used different sets");
    ++c.n_common;
    right_a += x.correct;
    right_b += y.correct;
    if (x.correct == y.correct) continue;
    ++(x.correct ? c.n_only_a : c.n_only_b);
    c.flipped.push_back(y.id + (x.correct ? ": right > wrong" : ": wrong > right") + " (expected \"" +
                        one_line(y.expected) + "\", got \"" +
                        one_line(answer_part((x.correct ? y : x).text)) + "\")");
  }
  if (c.n_common == 0) throw Error(ErrorKind::kBadData, "the runs have no item in common", "compare");
  const auto n = static_cast<double>(c.n_common), x = static_cast<double>(c.n_only_a),
             y = static_cast<double>(c.n_only_b);
  c.share_a = static_cast<double>(right_a) / n;
  c.share_b = static_cast<double>(right_b) / n;
  c.p = mcnemar_mid_p(c.n_only_a, c.n_only_b);
  // Agresti and Min's interval of a paired difference: half an observation to each discordant cell.
  const double d = (y - x) / (n + 2),
               variance = (x + y + 1 - (y - x) * (y - x) / (n + 2)) / ((n + 2) * (n + 2));
  const double half = normal_quantile(0.975) * std::sqrt(std::max(0.0, variance));
  c.difference = {d - half, d + half};
  if (c.p <= 0.05)
    c.verdict = c.n_only_b > c.n_only_a ? "BETTER" : "WORSE";
  else
    c.verdict = c.difference.lo > -margin && c.difference.hi < margin ? "SAME" : "INCONCLUSIVE";
  c.exit_code = c.verdict == "WORSE" ? 1 : c.verdict == "INCONCLUSIVE" ? 3 : 0;
  return c;
}

std::string item_comparison_text(const ItemComparison& c) {
  std::string out = "A " + percent(c.share_a) + ", B " + percent(c.share_b) + " of " +
                    std::to_string(c.n_common) + " common items; right in A only " +
                    std::to_string(c.n_only_a) + ", in B only " + std::to_string(c.n_only_b) +
                    "\ndifference " + short_number((c.share_b - c.share_a) * 100) + " points [" +
                    short_number(c.difference.lo * 100) + ", " + short_number(c.difference.hi * 100) +
                    "], McNemar mid-p " + short_number(c.p) + "\n";
  for (const auto& f : c.flipped) out += "  " + f + "\n";
  return out + "verdict: " + c.verdict + " (exit " + std::to_string(c.exit_code) + ")\n";
}

Json item_comparison_json(const ItemComparison& c) {
  Json::array_t flipped(c.flipped.begin(), c.flipped.end());
  return Json{{"schema", "dsbench-compare-items/1"},
              {"verdict", c.verdict},
              {"exit", c.exit_code},
              {"n", c.n_common},
              {"share_a", c.share_a},
              {"share_b", c.share_b},
              {"only_a", c.n_only_a},
              {"only_b", c.n_only_b},
              {"mid_p", c.p},
              {"lo", c.difference.lo},
              {"hi", c.difference.hi},
              {"flipped", std::move(flipped)}};
}

}  // namespace ds::bench
