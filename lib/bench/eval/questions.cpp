#include "bench/eval/questions.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "bench/eval/answers.h"
#include "bench/load/threads.h"
#include "core/error.h"
#include "core/json_value.h"
#include "core/sha256.h"
#include "io/files.h"
#include "io/json.h"
#include "io/lines.h"

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

Question question_from(const Json& object, const std::string& set, int64_t number, const std::string& where) {
  Question q;
  q.set = set;
  q.request.id = text_of(object, "id", where);
  // Not of the file's name: renamed, it holds the same questions.
  if (q.request.id.empty()) q.request.id = "line-" + std::to_string(number);
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

ItemRecord answer(Target& target, const Question& q, const AskOptions& options) {
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

}  // namespace

std::vector<Question> read_questions(const std::string& set, const std::string& data_folder) {
  const bool embedded = set == "math" || set == "multiturn" || set == "reading";
  const std::string path = embedded ? data_folder + "/dsv3-tiny-data/eval_" + set + ".jsonl" : set;
  if (!embedded && !file_exists(path) && path != "-")
    throw Error(ErrorKind::kNoInput, "no such set or file", path,
                "sets are math, multiturn, reading, ppl and kld; a file has {messages, answer} lines");
  LineReader lines(path);
  std::vector<Question> questions;
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

std::string set_digest(const std::vector<Question>& questions) {
  std::map<std::string, std::string> parts;
  for (const Question& q : questions) {
    Json one{{"prompt", q.request.prompt}, {"match", q.match}};
    one["messages"] = q.request.messages;
    one["expected"] = Json::array_t(q.expected.begin(), q.expected.end());
    parts[q.request.id] = dump(one);
  }
  Sha256 digest;
  for (const auto& [id, part] : parts) digest.update(id + "\n" + part + "\n");
  return digest.hex();
}

bool ask(Target& target, const std::vector<Question>& all, const AskOptions& options) {
  std::vector<const Question*> questions;
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

}  // namespace ds::bench
