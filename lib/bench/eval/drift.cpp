#include "bench/eval/drift.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "bench/records/sha256.h"
#include "bench/stats/stats.h"
#include "core/error.h"
#include "io/files.h"
#include "io/json.h"
#include "io/lines.h"
#include "report/words.h"

namespace ds::bench {
namespace {

constexpr int kStates = 200;

double number(const Json& entry, const char* key, double otherwise = 0) {
  const Json* v = entry.find(key);
  return v && v->is_number() ? std::clamp(v->as_double(), -1e15, 1e15) : otherwise;
}
std::string text(const Json* object, const char* key) {
  const Json* v = object ? object->find(key) : nullptr;
  return v && v->is_string() ? v->as_string() : "";
}

// The hash covers everything in the entry but itself.
std::string entry_hash(const Json& entry) {
  Json bare{Json::Object{}};
  for (const auto& [key, value] : entry.as_object())
    if (key != "hash") bare.set(key, value);
  return sha256_hex(bare.dump());
}

// Short digests of each answer, so that the first change can be named later.
Json answer_digests(const RecordSet& set) {
  Json out{Json::Object{}};
  for (const auto& i : set.items) out.set(i.id, sha256_hex(i.text).substr(0, 8));
  return out;
}

}  // namespace

double Cusum::step(double sum, bool correct) const { return std::max(0.0, sum + (correct ? down : up)); }

double cusum_run_length(const Cusum& c) {
  // States are the middles of kStates cells on [0, h); each row of (I - Q) L = 1 has at most three entries
  // besides its own. Value iteration would need run_length steps, elimination needs kStates^3 / 3.
  const double width = c.h / kStates;
  std::vector<std::vector<double>> m(kStates, std::vector<double>(kStates + 1));
  for (int i = 0; i < kStates; ++i) {
    m[i][i] += 1;
    m[i][kStates] = 1;
    const double at = i == 0 ? 0 : (i + 0.5) * width;
    for (const auto& [step, p] : {std::pair(c.up, 1 - c.p0), std::pair(c.down, c.p0)}) {
      const double next = std::max(0.0, at + step);
      if (next >= c.h) continue;
      // Linear sharing between the two nearest states keeps the mean step exact.
      const double place = next / width - 0.5;
      const int low = std::clamp(static_cast<int>(std::floor(place)), 0, kStates - 1);
      const double share = std::clamp(place - low, 0.0, 1.0);
      m[i][low] -= p * (1 - share);
      if (low + 1 < kStates) m[i][low + 1] -= p * share;
    }
  }
  for (int k = 0; k < kStates; ++k) {
    int pivot = k;
    for (int i = k + 1; i < kStates; ++i)
      if (std::fabs(m[i][k]) > std::fabs(m[pivot][k])) pivot = i;
    std::swap(m[k], m[pivot]);
    if (m[k][k] == 0) return HUGE_VAL;
    for (int i = k + 1; i < kStates; ++i) {
      if (m[i][k] == 0) continue;
      const double f = m[i][k] / m[k][k];
      for (int j = k; j <= kStates; ++j) m[i][j] -= f * m[k][j];
    }
  }
  std::vector<double> length(kStates);
  for (int i = kStates - 1; i >= 0; --i) {
    double v = m[i][kStates];
    for (int j = i + 1; j < kStates; ++j) v -= m[i][j] * length[j];
    length[i] = v / m[i][i];
  }
  return length[0];
}

Cusum design_cusum(double p0, double drop, double run_length) {
  Cusum c;
  c.p0 = std::clamp(p0, 0.02, 0.999);
  c.p1 = std::max(c.p0 - drop, c.p0 / 2);
  c.up = std::log((1 - c.p1) / (1 - c.p0));
  c.down = std::log(c.p1 / c.p0);
  double lo = 0.5, hi = 40;
  for (int i = 0; i < 24; ++i) {
    c.h = (lo + hi) / 2;
    (cusum_run_length(c) < run_length ? lo : hi) = c.h;
  }
  c.h = hi;
  return c;
}

std::vector<Json> read_ledger(const std::string& path) {
  std::vector<Json> entries;
  if (!file_exists(path)) return entries;
  LineReader lines(path);
  std::string previous;
  while (const auto line = lines.next()) {
    if (line->empty()) continue;
    Json entry = parse_json(*line, lines.where());
    if (!entry.is_object() || text(&entry, "type") != "drift")
      throw Error(ErrorKind::kBadData, "no entry of a drift ledger", lines.where());
    if (text(&entry, "prev") != previous || text(&entry, "hash") != entry_hash(entry))
      throw Error(ErrorKind::kBadData,
                  "the chain is broken here: this entry or the one before was changed or removed",
                  lines.where(), "restore the ledger from a copy, or start a new one");
    previous = text(&entry, "hash");
    entries.push_back(std::move(entry));
  }
  return entries;
}

DriftResult add_to_ledger(const RecordSet& set, const DriftOptions& o) {
  if (set.items.empty())
    throw Error(ErrorKind::kBadData, "no evaluated items", "drift", "feed it the output of ds-bench eval");
  if (set.interrupted || set.cut_off || set.n_bad)
    throw Error(ErrorKind::kBadData, "the evaluation is incomplete", "drift",
                "ds-bench eval --resume completes it");
  if (set.runs.size() > 1)
    throw Error(ErrorKind::kBadData, std::to_string(set.runs.size()) + " evaluations at once", "drift",
                "one entry is one evaluation");
  if (set.items[0].nll >= 0)
    throw Error(ErrorKind::kBadData, "perplexities, not judged answers", "drift",
                "evaluate a set of questions; ds-bench compare judges two perplexities");
  DriftResult r;
  // Held until the entry is written: two cron jobs at once must not both follow the same entry.
  const FileHandle ledger(::open(o.ledger.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (ledger.get() < 0 || ::flock(ledger.get(), LOCK_EX) != 0)
    throw Error(ErrorKind::kCannotCreate, "cannot open for appending: " + os_error(), o.ledger);
  const std::vector<Json> entries = read_ledger(o.ledger);
  r.n = static_cast<int64_t>(set.items.size());
  for (const auto& i : set.items) r.n_correct += i.correct;
  const Json* last = entries.empty() ? nullptr : &entries.back();

  if (last && text(last, "set") != set.items[0].set)
    throw Error(
        ErrorKind::kBadData,
        "this evaluation is of set '" + set.items[0].set + "', the ledger of '" + text(last, "set") + "'",
        o.ledger, "use one ledger per set");
  if (last && number(*last, "n") != static_cast<double>(r.n))
    throw Error(ErrorKind::kBadData,
                "this evaluation has " + std::to_string(r.n) + " items, the ledger's have " +
                    std::to_string(static_cast<int64_t>(number(*last, "n"))),
                o.ledger, "use one ledger per set");
  r.run_length_items = o.false_alarm_days * static_cast<double>(r.n);
  if (last) {  // the chart is fixed by the first entry
    r.chart.p0 = number(*last, "p0"), r.chart.p1 = number(*last, "p1"), r.chart.h = number(*last, "h");
    r.chart.up = std::log((1 - r.chart.p1) / (1 - r.chart.p0));
    r.chart.down = std::log(r.chart.p1 / r.chart.p0);
    r.run_length_items = number(*last, "false_alarm_items", r.run_length_items);
    r.sum = number(*last, "cusum");
    // An alarm that was given ends its episode.
    if (const Json* a = last->find("alarm"); a && a->is_bool() && a->as_bool()) r.sum = 0;
  } else {
    const double p0 = o.baseline >= 0
                          ? o.baseline
                          : (static_cast<double>(r.n_correct) + 1) / (static_cast<double>(r.n) + 2);
    r.chart = design_cusum(p0, o.drop, r.run_length_items);
  }
  // The entry that set the baseline cannot deviate from it.
  double highest = r.sum;
  if (last || o.baseline >= 0)
    for (const auto& i : set.items) highest = std::max(highest, r.sum = r.chart.step(r.sum, i.correct));
  r.alarm = highest >= r.chart.h;

  const Json digests = answer_digests(set);
  const Json* header = set.headers.empty() ? nullptr : &set.headers[0];
  const Json *target = header ? header->find("target") : nullptr,
             *env = header ? header->find("env") : nullptr;
  const std::string model = text(target, "digest"), cpu = text(env, "cpu_model"), isa = text(env, "isa");
  if (last && !model.empty() && text(last, "model") == model && text(last, "cpu") == cpu &&
      text(last, "isa") == isa)
    if (const Json* before = last->find("answers"); before && before->is_object())
      for (const auto& [id, digest] : digests.as_object()) {
        const Json* old = before->find(id);
        if (r.outputs_changed || (old && old->dump() == digest.dump())) continue;
        r.outputs_changed = true;
        r.first_changed = id;
      }
  r.n_entries = static_cast<int64_t>(entries.size()) + 1;
  r.entry = Json(Json::Object{{"type", "drift"},
                              {"schema", "dsbench-drift/1"},
                              {"seq", r.n_entries},
                              {"time_utc", o.time_utc},
                              {"set", set.items[0].set},
                              {"n", r.n},
                              {"n_correct", r.n_correct},
                              {"p0", r.chart.p0},
                              {"p1", r.chart.p1},
                              {"h", r.chart.h},
                              {"false_alarm_items", r.run_length_items},
                              {"cusum", r.sum},
                              {"alarm", r.alarm},
                              {"outputs_changed", r.outputs_changed},
                              {"model", model},
                              {"cpu", cpu},
                              {"isa", isa},
                              {"answers", digests},
                              {"prev", last ? text(last, "hash") : ""}});
  r.entry.set("hash", entry_hash(r.entry));
  const Interval w = wilson_interval(r.n_correct, r.n);
  const double days = r.run_length_items / static_cast<double>(r.n);
  r.text = "entry " + std::to_string(r.n_entries) + ": " + std::to_string(r.n_correct) + "/" +
           std::to_string(r.n) + " right [" + short_number(w.lo * 100) + ", " + short_number(w.hi * 100) +
           "] %, expected " + short_number(r.chart.p0 * 100) + " %\nCUSUM " + short_number(r.sum) + " of " +
           short_number(r.chart.h) + " (tuned to a drop of " + short_number((r.chart.p0 - r.chart.p1) * 100) +
           " points; a false alarm about once in " + short_number(days) + " entries)\n";
  if (r.outputs_changed)
    r.text += "! the same model on the same machine answers differently since the last entry, first at " +
              r.first_changed + "\n";
  r.text += r.alarm ? "verdict: DRIFT\n" : last ? "verdict: STEADY\n" : "verdict: BASELINE SET\n";
  write_all(ledger.get(), r.entry.dump() + "\n", o.ledger);
  if (::fsync(ledger.get()) != 0) throw Error(ErrorKind::kIo, "cannot sync: " + os_error(), o.ledger);
  return r;
}

}  // namespace ds::bench
