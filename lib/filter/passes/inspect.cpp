#include "filter/passes/inspect.h"

#include <algorithm>
#include <cmath>

#include "filter/semantic/embedder.h"
#include "io/lines.h"

namespace ds::filter {
namespace {

constexpr double kQuantiles[] = {.01, .05, .25, .5, .75, .95, .99};

// Judges each line of the inputs in order; stops when `visit` returns false.
template <class Visit>
void each_record(const Profile& profile, const Resources& resources, const FilterOptions& o, Visit&& visit) {
  WorkerOptions w = o.worker;
  w.score_all = true;
  w.sign = false;
  Worker worker(profile, resources, w);
  std::vector<FilePlan> plan;
  for (size_t f = 0; f < o.inputs.size(); ++f) plan.push_back({f, o.inputs[f], 0, 0, ~0ull, false});
  InputOptions input = o.input;
  input.stop = o.stop;
  BatchReader reader(plan, input);
  JudgedLine out;
  Batch batch;
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
    view.language = doc.language;
    view.language_score = doc.language_score;
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
  each_record(profile, load_resources(profile, o.resources, o.worker.fields), o, visit);
  return view;
}

namespace {

struct Tune {
  uint64_t step, seen = 0;
  std::vector<double> values[kScripts][128];
  std::vector<uint64_t> failed[kScripts] = {std::vector<uint64_t>(128), std::vector<uint64_t>(128)};
  bool wanted(const std::string&, const InputLine&) { return seen++ % step == 0; }
  bool operator()(Worker& worker, const JudgedLine& out, const std::string&, const InputLine&) {
    if (out.fate == Fate::kBad) return true;
    const int k = static_cast<int>(worker.document().script);
    for (const RuleValue& v : worker.scorecard().values()) {
      values[k][v.rule].push_back(v.value);
      failed[k][v.rule] += v.failed;
    }
    return true;
  }
};

struct Count {
  uint64_t n = 0;
  bool wanted(const std::string&, const InputLine&) { return ++n == 0; }
  bool operator()(Worker&, const JudgedLine&, const std::string&, const InputLine&) { return true; }
};

}  // namespace

std::vector<RuleQuantiles> tune(const Profile& profile, const FilterOptions& o, uint64_t sample) {
  const Resources resources = load_resources(profile, o.resources, o.worker.fields);
  DS_CHECK(all_rules().size() <= 128);
  Count count;
  each_record(profile, resources, o, count);
  auto visit = std::make_unique<Tune>();
  visit->step = std::max<uint64_t>(1, (count.n + sample - 1) / std::max<uint64_t>(1, sample));
  each_record(profile, resources, o, *visit);
  std::vector<RuleQuantiles> out;
  for (size_t r = 0; r < all_rules().size(); ++r)
    for (int k = 0; k < kScripts; ++k) {
      auto& v = visit->values[k][r];
      if (v.empty()) continue;
      std::sort(v.begin(), v.end());
      RuleQuantiles q{static_cast<int>(r), static_cast<Script>(k), v.size(), 0, {}};
      q.failed_share = static_cast<double>(visit->failed[k][r]) / static_cast<double>(v.size());
      for (size_t i = 0; i < q.at.size(); ++i)
        q.at[i] = v[static_cast<size_t>(std::lround(kQuantiles[i] * static_cast<double>(v.size() - 1)))];
      out.push_back(q);
    }
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
    const Embedder::Result r = embedder.embed(doc, profile.semantic_max_units, vector.data());
    if (r.n_units < profile.semantic_min_units || r.known_share < 0.5 ||
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
  profile.stages = {"semantic"};
  profile.semantic_digest.clear();  // the cut is what we are looking for
  const Resources resources = load_resources(profile, options.resources, options.worker.fields);
  Profile bare = profile;
  bare.stages.clear();
  Calibration result;
  result.digest = resources.embedder->digest();
  Cosines sides[2] = {{*resources.embedder, profile, {}, {0, 0}, {}},
                      {*resources.embedder, profile, {}, {0, 0}, {}}};
  const std::vector<std::string> paths[2] = {in_domain, {out_of_domain}};
  for (int side = 0; side < 2; ++side) {
    FilterOptions o = options;
    o.inputs = expand_inputs(paths[side]);
    each_record(bare, resources, o, sides[side]);
  }
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
    s.kept_out = out.empty() ? 0
                             : static_cast<double>(std::count_if(out.begin(), out.end(),
                                                                 [&](double v) { return v >= s.cut; })) /
                                   static_cast<double>(out.size());
  }
  return result;
}

}  // namespace ds::filter
