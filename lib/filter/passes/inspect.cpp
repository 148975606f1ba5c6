#include "filter/passes/inspect.h"

#include <algorithm>
#include <cmath>

#include "filter/passes/inputs.h"
#include "filter/passes/worker.h"
#include "filter/stages/semantic.h"
#include "io/lines.h"

namespace ds::filter {
namespace {

constexpr double kQuantiles[] = {.01, .05, .25, .5, .75, .95, .99};

// Judges each line of the inputs in order; stops when `visit` returns false.
template <class Visit>
void each_record(const Profile& profile, std::span<const LoadedStage> stages, const FilterOptions& o,
                 Visit&& visit) {
  WorkerOptions w = o.worker;
  w.score_all = true;
  w.sign = false;
  Worker worker(profile, stages, w);
  std::vector<FilePlan> plan;
  for (size_t f = 0; f < o.inputs.size(); ++f) plan.push_back({f, o.inputs[f], 0, 0, ~0ull, false});
  InputOptions input = o.input;
  input.stop = o.stop;
  BatchReader reader(plan, input);
  JudgedLine out;
  LineBatch batch;
  while (reader.next(batch)) {
    const std::string& name = o.inputs[batch.file];
    for (const InputLine& line : batch.lines) {
      if (!visit.wanted(name, line)) continue;
      worker.judge(std::string_view(batch.bytes).substr(line.begin, line.length), line, batch, name,
                   batch.file, out);
      if (!out.blank && !visit(worker, out, name, line)) return;
    }
  }
}

struct Explain {
  const std::string& id;
  RecordView& view;
  bool wanted(const std::string&, const InputLine&) const { return true; }
  bool operator()(Worker& worker, const JudgedLine& out, const std::string& file, const InputLine& line) {
    const bool place = id == file + ":" + std::to_string(line.line);
    if (!place && (out.fate == Fate::kBad || worker.record().id != id)) return true;
    view.found = true;
    view.file = file;
    view.line = line.line;
    if (out.fate == Fate::kBad) {
      view.error = worker.record().error ? worker.record().error : "not readable";
      return false;
    }
    const Scorecard& j = worker.scorecard();
    const Document& doc = worker.document();
    view.script = script_name(doc.script);
    view.language = doc.language.code;
    view.language_score = doc.language.score;
    view.values = j.values();
    view.verdict = j.verdict();
    view.note = j.note();
    for (const FoundSpan& s : j.spans()) {
      const size_t b = doc.byte_offset(s.begin), e = doc.byte_offset(s.end);
      view.spans.push_back(s.what + "  " + std::string(doc.text.substr(b, e - b)));
    }
    return false;
  }
};

}  // namespace

RecordView explain(const Profile& profile, const FilterOptions& o, const std::string& id) {
  RecordView view;
  Explain visit{id, view};
  each_record(profile, load_stages(profile, o.resources), o, visit);
  return view;
}

namespace {

// An even sample in one reading, so that a pipe will do: whenever it is full, every second record of it goes
// and half as many are taken from then on.
struct Tune {
  uint64_t sample, step = 1, seen = 0;
  struct Row {
    Script script;
    std::vector<RuleValue> values;
  };
  std::vector<Row> rows;
  bool wanted(const std::string&, const InputLine&) { return seen++ % step == 0; }
  bool operator()(Worker& worker, const JudgedLine& out, const std::string&, const InputLine&) {
    if (out.fate == Fate::kBad) return true;
    rows.push_back({worker.document().script, worker.scorecard().values()});
    if (rows.size() <= sample) return true;
    size_t n = 0;
    for (size_t i = 0; i < rows.size(); i += 2, ++n)
      if (i > 0) rows[n] = std::move(rows[i]);
    rows.resize(n);
    step *= 2;
    return true;
  }
};

}  // namespace

std::vector<RuleQuantiles> tune(const Profile& profile, const FilterOptions& o, uint64_t sample) {
  Tune visit{std::max<uint64_t>(1, sample), 1, 0, {}};
  each_record(profile, load_stages(profile, o.resources), o, visit);
  std::vector<double> values[kScripts];
  uint64_t failed[kScripts];
  std::vector<RuleQuantiles> out;
  for (size_t r = 0; r < all_rules().size(); ++r) {
    for (int k = 0; k < kScripts; ++k) values[k].clear(), failed[k] = 0;
    for (const Tune::Row& row : visit.rows)
      for (const RuleValue& v : row.values) {
        if (v.rule != static_cast<int>(r)) continue;
        values[static_cast<int>(row.script)].push_back(v.value);
        failed[static_cast<int>(row.script)] += v.failed;
      }
    for (int k = 0; k < kScripts; ++k) {
      auto& v = values[k];
      if (v.empty()) continue;
      std::sort(v.begin(), v.end());
      RuleQuantiles q{static_cast<int>(r), static_cast<Script>(k), v.size(), 0, {}};
      q.failed_share = static_cast<double>(failed[k]) / static_cast<double>(v.size());
      for (size_t i = 0; i < q.at.size(); ++i)
        q.at[i] = v[static_cast<size_t>(std::lround(kQuantiles[i] * static_cast<double>(v.size() - 1)))];
      out.push_back(q);
    }
  }
  if (out.empty())
    throw Error(ErrorKind::kBadData, "no record has its text where --text-field says", "",
                "there is nothing to take quantiles of");
  return out;
}

namespace {

// Cosines of a file's texts by script.
struct Cosines {
  const Embedder& embedder;
  const Profile& profile;
  std::vector<double> values[kScripts];
  uint64_t unscored[kScripts] = {0, 0};
  std::vector<float> vector;
  bool wanted(const std::string&, const InputLine&) const { return true; }
  bool operator()(Worker& worker, const JudgedLine& out, const std::string&, const InputLine&) {
    if (out.fate == Fate::kBad) return true;
    const Document& doc = worker.document();
    const int k = static_cast<int>(doc.script);
    vector.resize(embedder.dim());
    const Embedder::Result r = embedder.embed(doc, profile.semantic.max_units, vector.data());
    if (r.n_units < profile.semantic.min_units || r.known_share < 0.5 ||
        embedder.n_references(doc.script) == 0)
      ++unscored[k];
    else
      values[k].push_back(embedder.cosine(doc.script, vector.data()));
    return true;
  }
};

}  // namespace

Calibration calibrate(const Profile& given, const FilterOptions& options,
                      const std::vector<std::string>& in_domain, const std::string& out_of_domain,
                      double loss) {
  Profile profile = given;
  profile.semantic.embedder_digest.clear();  // the cut is what we are looking for
  const auto embedder = load_embedder(profile.semantic, options.resources);
  Profile bare = profile;
  bare.stages.clear();
  Calibration result;
  result.digest = embedder->digest();
  Cosines sides[2] = {{*embedder, profile, {}, {0, 0}, {}}, {*embedder, profile, {}, {0, 0}, {}}};
  const std::vector<std::string> paths[2] = {in_domain, {out_of_domain}};
  for (int side = 0; side < 2; ++side) {
    FilterOptions o = options;
    o.inputs = find_inputs(paths[side]).paths;
    each_record(bare, {}, o, sides[side]);
  }
  if (std::all_of(std::begin(sides[0].values), std::end(sides[0].values),
                  [](const auto& v) { return v.empty(); }))
    throw Error(ErrorKind::kBadData, "no in-domain text can be scored", "",
                "give longer texts, or say where they stand with --text-field");
  for (int k = 0; k < kScripts; ++k) {
    Calibration::Side& s = result.scripts[k];
    auto& in = sides[0].values[k];
    auto& out = sides[1].values[k];
    s.n_in = in.size();
    s.n_out = out.size();
    s.unscored = sides[0].unscored[k] + sides[1].unscored[k];
    const auto fill = [](const std::vector<double>& values, std::array<uint64_t, 40>& bins) {
      for (const double v : values) ++bins[std::clamp(static_cast<int>(v * 40), 0, 39)];
    };
    fill(in, s.in);
    fill(out, s.out);
    if (in.empty()) continue;
    std::sort(in.begin(), in.end());
    s.cut = in[static_cast<size_t>(std::floor(loss * static_cast<double>(in.size() - 1)))];
    std::sort(out.begin(), out.end());
    double pairs = 0;  // won, ties by half
    for (const double v : in) {
      const auto [low, high] = std::equal_range(out.begin(), out.end(), v);
      pairs += static_cast<double>((low - out.begin()) + (high - out.begin())) / 2;
    }
    s.auc = out.empty() ? 1 : pairs / (static_cast<double>(in.size()) * static_cast<double>(out.size()));
    s.kept_out = out.empty() ? 0
                             : static_cast<double>(std::count_if(out.begin(), out.end(),
                                                                 [&](double v) { return v >= s.cut; })) /
                                   static_cast<double>(out.size());
  }
  return result;
}

}  // namespace ds::filter
