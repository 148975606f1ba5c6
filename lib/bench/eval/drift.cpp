#include "bench/eval/drift.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "bench/eval/questions.h"
#include "bench/eval/tally.h"
#include "bench/records/environment.h"
#include "bench/stats/stats.h"
#include "core/error.h"
#include "core/json_value.h"
#include "core/sha256.h"
#include "io/files.h"
#include "io/json.h"
#include "report/words.h"

namespace ds::bench {
namespace {

constexpr double kOddsFall = 3;  // the fall of the odds of being right that the chart looks for
constexpr size_t kShownItems = 8;

double number(const Json& entry, const char* key, double otherwise = 0) {
  const Json* v = find(entry, key);
  return v && v->is_number() ? std::clamp(v->get<double>(), -1e15, 1e15) : otherwise;
}
std::string text(const Json* object, const char* key) {
  const Json* v = object ? find(*object, key) : nullptr;
  return v && v->is_string() ? as_string(*v) : "";
}

// The hash covers everything in the entry but itself.
std::string entry_hash(const Json& entry) {
  Json bare = Json::object();
  for (const auto& [key, value] : entry.items())
    if (key != "hash") bare[key] = value;
  return sha256_hex(dump(bare));
}

// Short digests of each answer, so that the first change can be named later.
Json answer_digests(const RecordSet& set) {
  Json out = Json::object();
  for (const auto& i : set.items) out[i.id] = sha256_hex(i.text).substr(0, 8);
  return out;
}

// The questions that were asked: as their source names them, and which of them.
std::string set_name(const RecordSet& set) {
  std::map<std::string, std::string> answers;
  for (const auto& i : set.items) answers[i.id] = i.expected;
  Sha256 digest;
  if (!set.headers.empty()) digest.update(set.headers[0].set_digest);
  for (const auto& [id, expected] : answers) digest.update(id + "\n" + expected + "\n");
  return digest.hex();
}

Json ids_json(const std::vector<std::string>& ids) { return Json(Json::array_t(ids.begin(), ids.end())); }

std::vector<std::string> wrong_ids(const Json& entry) {
  std::vector<std::string> out;
  if (const Json* list = find(entry, "wrong"); list && list->is_array())
    for (const Json& id : *list)
      if (id.is_string()) out.push_back(as_string(id));
  return out;
}

void count_day(PastAnswers& past, const Json& entry, const std::map<std::string, bool>& ids) {
  ++past.n_days;
  for (const auto& [id, right] : ids) ++past.n_right[id];
  for (const std::string& id : wrong_ids(entry)) --past.n_right[id];
}

void check_fit(const RecordSet& set) {
  const auto refuse = [](const std::string& what, const std::string& hint) {
    throw Error(ErrorKind::kBadData, what, "drift", hint);
  };
  if (set.items.empty()) refuse("no evaluated items", "feed it the output of ds-bench eval");
  if (set.interrupted || set.cut_off || set.n_bad)
    refuse("the evaluation is incomplete", "ds-bench eval --resume completes it");
  if (set.runs.size() > 1)
    refuse(std::to_string(set.runs.size()) + " evaluations at once", "one entry is one evaluation");
  if (set.items[0].nll >= 0)
    refuse("perplexities, not judged answers",
           "evaluate a set of questions; ds-bench compare judges two perplexities");
  if (const std::string failed = failures_text(set.items); !failed.empty())
    refuse("some of the " + std::to_string(set.items.size()) + " questions got no answer: " + failed,
           "nothing was entered; ds-bench eval --resume asks those again");
}

// "dsv3-tiny (sha256:0123456789ab)"
std::string model_name(const std::string& what, const std::string& digest) {
  constexpr size_t kDigits = 12;
  const std::string hash = digest.substr(0, std::min(digest.find(':'), digest.size()) + 1 + kDigits);
  return what.empty() ? hash : hash.empty() ? what : what + " (" + hash + ")";
}

// A model is known by its digest, or by its name where a server or command has no other; what neither entry
// says cannot differ.
std::string other_models(const std::vector<Json>& entries, const TargetHeader& now) {
  int64_t n_others = 0;
  std::string other;
  for (const Json& entry : entries) {
    const std::string what = text(&entry, "target"), digest = text(&entry, "model");
    const bool by_digest = !digest.empty() || !now.digest.empty();
    if (by_digest ? digest == now.digest : what.empty() || now.what.empty() || what == now.what) continue;
    ++n_others;
    other = model_name(what, digest);
  }
  if (n_others == 0) return "";
  const auto known = [](const std::string& name) { return name.empty() ? "one that has no name" : name; };
  return std::to_string(n_others) + " of the ledger's " + std::to_string(entries.size()) +
         " earlier entries are of another model, the last of them of " + known(other) + "; this one is of " +
         known(model_name(now.what, now.digest)) +
         ": a change of answers may be the model's. One ledger a model tells them apart";
}

std::string first_of(const std::vector<std::string>& ids) {
  std::string out;
  for (size_t i = 0; i < std::min(ids.size(), kShownItems); ++i) out += (i ? ", " : "") + ids[i];
  return out + (ids.size() > kShownItems ? ", ..." : "");
}

}  // namespace

double drift_evidence(const PastAnswers& past, const std::map<std::string, bool>& today) {
  const auto days = static_cast<double>(past.n_days + 1);
  double sum = 0;
  for (const auto& [id, right] : today) {
    const auto before = past.n_right.find(id);
    const double k = static_cast<double>((before == past.n_right.end() ? 0 : before->second) + right);
    if (k == 0 || k == days) continue;  // the same on all days
    const double expected = k / days, fallen = k / (k + kOddsFall * (days - k));
    sum += right ? std::log(fallen / expected) : std::log((1 - fallen) / (1 - expected));
  }
  return sum;
}

std::vector<Json> read_ledger(const std::string& path, int64_t* size, int64_t* n_torn) {
  std::vector<Json> entries;
  if (size) *size = 0;
  if (!file_exists(path)) return entries;
  const std::string bytes = read_file(path, int64_t{1} << 32);
  std::string previous;
  int64_t number = 0;
  for (size_t begin = 0; begin < bytes.size();) {
    const size_t end = bytes.find('\n', begin);
    if (end == std::string::npos) {  // half an entry: whoever wrote it was stopped, and told nobody
      if (n_torn) *n_torn = static_cast<int64_t>(bytes.size() - begin);
      break;
    }
    const std::string line = bytes.substr(begin, end - begin), where = path + ":" + std::to_string(++number);
    begin = end + 1;
    if (size) *size = static_cast<int64_t>(begin);
    if (line.empty()) continue;
    Json entry = parse_json(line, where);
    if (!entry.is_object() || text(&entry, "type") != "drift")
      throw Error(ErrorKind::kBadData, "no entry of a drift ledger", where);
    if (text(&entry, "prev") != previous || text(&entry, "hash") != entry_hash(entry))
      throw Error(ErrorKind::kBadData,
                  "the chain is broken here: this entry or the one before was changed or removed", where,
                  "restore the ledger from a copy, or start a new one");
    previous = text(&entry, "hash");
    entries.push_back(std::move(entry));
  }
  return entries;
}

namespace {

std::string entry_text(const DriftResult& r, const DriftOptions& o, bool has_past) {
  const Interval w = wilson_interval(r.n_correct, r.n);
  std::string out = "entry " + std::to_string(r.n_entries) + ": " + std::to_string(r.n_correct) + "/" +
                    std::to_string(r.n) + " right [" + short_number(w.lo * 100) + ", " +
                    short_number(w.hi * 100) + "] %\n";
  if (has_past) {
    out +=
        "since the last entry " + std::to_string(r.lost.size()) + " were lost, " +
        std::to_string(r.won.size()) + " won (McNemar mid-p " +
        short_number(mcnemar_mid_p(static_cast<int64_t>(r.lost.size()), static_cast<int64_t>(r.won.size()))) +
        ")\n";
    if (!r.lost.empty()) out += "  lost: " + first_of(r.lost) + "\n";
    out += "CUSUM (evidence of a fall, summed up over entries) " + short_number(r.sum) + " of " +
           short_number(r.limit) + " (a false alarm about once in " + short_number(o.false_alarm_days) +
           " entries)\n";
  }
  if (r.outputs_changed)
    out += "! the same model on the same machine answers differently since the last entry, first at " +
           r.first_changed + "\n";
  return out + (r.alarm ? "verdict: DRIFT\n" : has_past ? "verdict: STEADY\n" : "verdict: BASELINE SET\n");
}

}  // namespace

DriftResult add_to_ledger(const RecordSet& set, const DriftOptions& o) {
  check_fit(set);
  DriftResult r;
  // Held until the entry is written: two cron jobs at once must not both follow the same entry.
  const FileHandle ledger(::open(o.ledger.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (ledger.get() < 0 || ::flock(ledger.get(), LOCK_EX) != 0)
    throw Error(ErrorKind::kCannotCreate, "cannot open for appending: " + os_error(), o.ledger);
  int64_t end = 0, n_torn = 0;
  const std::vector<Json> entries = read_ledger(o.ledger, &end, &n_torn);
  const Json* last = entries.empty() ? nullptr : &entries.back();
  // The name is a file's, and files are renamed; what was asked is in the digest.
  const std::string& name = set.items[0].set;
  const std::string digest = set_name(set);
  if (last && text(last, "set_digest") != digest)
    throw Error(ErrorKind::kBadData,
                "these are " + std::to_string(set.items.size()) + " questions of set '" + name + "' (" +
                    digest.substr(0, 12) + "), the ledger's are of '" + text(last, "set") + "' (" +
                    text(last, "set_digest").substr(0, 12) + ")",
                o.ledger, "one ledger holds one set; start another for another");
  std::map<std::string, bool> today;
  for (const auto& i : set.items) today[i.id] = i.correct;
  r.n = static_cast<int64_t>(today.size());
  std::vector<std::string> wrong;
  for (const auto& [id, right] : today) right ? void(++r.n_correct) : wrong.push_back(id);

  r.limit = std::log(std::max(2.0, o.false_alarm_days));
  if (last) {
    PastAnswers past;
    // Days of an alarm are no part of what was usual.
    for (const Json& entry : entries)
      if (const Json* alarm = find(entry, "alarm"); !(alarm && alarm->is_boolean() && alarm->get<bool>()))
        count_day(past, entry, today);
    const Json* alarm = find(*last, "alarm");
    const bool ended =
        alarm && alarm->is_boolean() && alarm->get<bool>();  // an alarm that was given ends its episode
    r.sum = std::max(0.0, (ended ? 0 : number(*last, "cusum")) + drift_evidence(past, today));
    r.alarm = r.sum >= r.limit;
    const std::vector<std::string> list = wrong_ids(*last);
    const std::set<std::string> before(list.begin(), list.end());
    for (const auto& [id, right] : today)
      if (right == (before.count(id) > 0)) (right ? r.won : r.lost).push_back(id);
  }

  const Json digests = answer_digests(set);
  const RunHeader header = set.headers.empty() ? RunHeader(Json()) : set.headers[0];
  const std::string &model = header.target.digest, &cpu = header.cpu_model, &isa = header.isa;
  if (last && !model.empty() && text(last, "model") == model && text(last, "cpu") == cpu &&
      text(last, "isa") == isa)
    if (const Json* before = find(*last, "answers"); before && before->is_object())
      for (const auto& [id, answer] : digests.items()) {
        const Json* old = find(*before, id);
        if (r.outputs_changed || (old && dump(*old) == dump(answer))) continue;
        r.outputs_changed = true;
        r.first_changed = id;
      }
  r.warning = other_models(entries, header.target);
  if (n_torn > 0)
    r.warning += (r.warning.empty() ? "" : "\n") + o.ledger + ": its last line ends in the middle (" +
                 std::to_string(n_torn) + " bytes): that entry is lost, and this one takes its place" +
                 (entries.empty() ? "; there is no other, so a new baseline begins here" : "");
  r.n_entries = static_cast<int64_t>(entries.size()) + 1;
  r.entry = Json{{"type", "drift"},
                 {"schema", "dsbench-drift/2"},
                 {"seq", r.n_entries},
                 {"time_utc", o.time_utc.empty() ? time_utc_now() : o.time_utc},
                 {"set", name},
                 {"set_digest", digest},
                 {"n", r.n},
                 {"n_correct", r.n_correct},
                 {"wrong", ids_json(wrong)},
                 {"lost", static_cast<int64_t>(r.lost.size())},
                 {"won", static_cast<int64_t>(r.won.size())},
                 {"cusum", r.sum},
                 {"h", r.limit},
                 {"alarm", r.alarm},
                 {"outputs_changed", r.outputs_changed},
                 {"model", model},
                 {"target", header.target.what},
                 {"cpu", cpu},
                 {"isa", isa},
                 {"answers", digests},
                 {"prev", last ? text(last, "hash") : ""}};
  r.entry["hash"] = entry_hash(r.entry);
  r.text = entry_text(r, o, last != nullptr);
  if (::ftruncate(ledger.get(), end) != 0 || ::lseek(ledger.get(), end, SEEK_SET) != end)
    throw Error(ErrorKind::kIo, "cannot go to the end: " + os_error(), o.ledger);
  write_all(ledger.get(), dump(r.entry) + "\n", o.ledger);
  if (::fsync(ledger.get()) != 0) throw Error(ErrorKind::kIo, "cannot sync: " + os_error(), o.ledger);
  return r;
}

}  // namespace ds::bench
