#include "filter/passes/pipeline.h"

#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "core/clock.h"
#include "core/ordered.h"
#include "filter/passes/outputs.h"
#include "filter/semantic/embedder.h"
#include "filter/stages/evaluation_sets.h"
#include "io/compress.h"
#include "io/json.h"

namespace ds::filter {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSegmentBytes = 32 << 20;  // of content: a checkpoint each
constexpr size_t kLargestClusters = 20;
// Stretches that wait while each thread has one: enough that none waits for a slow one.
constexpr int kSpare = 2;
// Content that the second pass handles as one, and a compressed frame's: no less, for small frames pack
// badly.
constexpr size_t kStretchBytes = 4 << 20;
// A line takes 25 to 40 times its size while it is judged: longer ones are judged one at a time, by a worker
// for them alone, so that this memory is there once and not once a thread.
constexpr size_t kLargeLine = 4 << 20;
const std::string kStdinName = "<stdin>";
// Empty file of a work folder whose first pass is over.
constexpr char kComplete[] = "complete";

// Identifies a run: what must be the same for --resume to go on.
Json run_identity(const Profile& profile, const FilterOptions& o) {
  Json files(Json::Array{});
  for (const auto& path : o.inputs) {
    struct stat st {};
    int64_t size = -1, mtime = 0;
    if (path != "-" && ::stat(path.c_str(), &st) == 0) {
      size = st.st_size;
      mtime = mtime_ns(st);
    }
    files.as_array().push_back(
        Json(Json::Object{{"path", Json(path)}, {"size", Json(size)}, {"mtime", Json(mtime)}}));
  }
  Json out;
  out.set("format", Json(2));
  out.set("profile", profile_json(profile));
  out.set("inputs", std::move(files));
  out.set("shard", Json(std::to_string(o.shard) + "/" + std::to_string(o.n_shards)));
  out.set("text_field", Json(o.worker.fields.text_field));
  out.set("id_field", Json(o.worker.fields.id_field));
  out.set("url_field", Json(o.worker.fields.url_field));
  out.set("text_lines", Json(o.worker.text_lines));
  out.set("transcode", Json(o.input.transcode));
  out.set("no_short_circuit", Json(o.worker.score_all));
  out.set("max_line_bytes", Json(o.input.max_line_bytes));
  Json extra(Json::Array{});
  for (const auto& g : o.resources.gazetteers) extra.as_array().push_back(Json(g));
  for (const auto& d : o.resources.decontaminate) extra.as_array().push_back(Json(d));
  extra.as_array().push_back(Json(o.resources.embedder));
  extra.as_array().push_back(Json(o.resources.references));
  extra.as_array().push_back(Json(o.resources.url_list));
  out.set("resources", std::move(extra));
  return out;
}

// Prepares the work folder: empty for a new run, checked for a resumed one.
void open_work(const Profile& profile, const FilterOptions& o) {
  std::error_code error;
  const std::string manifest = o.work + "/manifest.json";
  const Json identity = run_identity(profile, o);
  if (o.resume && file_exists(manifest)) {
    const std::string before = read_file(manifest, 1 << 26);
    if (before != identity.dump() + "\n")
      throw Error(ErrorKind::kUsage, "the unfinished run had other inputs or another configuration", manifest,
                  "give the same arguments, or run without --resume to start over");
    return;
  }
  if (file_exists(o.work)) {
    // Only what such a folder holds is removed: a mistyped --work must not cost data.
    for (const auto& entry : fs::directory_iterator(o.work, error)) {
      const std::string name = entry.path().filename().string();
      const std::string base = name.substr(0, name.rfind(".partial"));
      const bool ours = name.rfind("s-", 0) == 0 || base == "manifest.json" || base == kComplete;
      if (!ours)
        throw Error(ErrorKind::kUsage, "holds '" + name + "', which no run of ds-filter made", o.work,
                    "choose another --work folder");
    }
    fs::remove_all(o.work, error);
  }
  fs::create_directories(o.work, error);
  if (error) throw Error(ErrorKind::kCannotCreate, "cannot create: " + error.message(), o.work);
  AtomicFile file(manifest);
  file.write(identity.dump() + "\n");
  file.commit();
}

// Removes segments that no chain reaches: what a kill left between its two files, or while a work folder was
// being deleted. Were they to stay, the second pass would take them for part of this run.
void drop_stale_segments(const std::string& work, const std::vector<size_t>& n_segments) {
  std::error_code error;
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(work, error)) {
    size_t file = 0, segment = 0;
    if (std::sscanf(entry.path().filename().c_str(), "s-%zu-%zu", &file, &segment) == 2 &&
        (file >= n_segments.size() || segment >= n_segments[file]))
      stale.push_back(entry.path());
  }
  for (const auto& path : stale) fs::remove(path, error);
}

// Which files, or which part of the one file, this shard reads.
std::vector<FilePlan> plan_files(const FilterOptions& o) {
  std::vector<FilePlan> plan;
  if (o.n_shards > 1 && o.inputs.size() == 1) {
    struct stat st {};
    if (o.inputs[0] == "-" || ::stat(o.inputs[0].c_str(), &st) != 0 || !S_ISREG(st.st_mode))
      throw Error(ErrorKind::kUsage, "a stream cannot be split into shards", o.inputs[0], "give files");
    ByteSource source(o.inputs[0]);
    if (source.compression() != Compression::kNone)
      throw Error(ErrorKind::kUsage, "one compressed file cannot be split into shards", o.inputs[0],
                  "give several files, or one that is not compressed");
    const uint64_t size = static_cast<uint64_t>(st.st_size);
    const auto border = [&](int i) {
      return size / o.n_shards * i + std::min<uint64_t>(i, size % o.n_shards);
    };
    FilePlan p{0,    o.inputs[0], border(o.shard), 0, o.shard + 1 == o.n_shards ? ~0ull : border(o.shard + 1),
               false};
    // A line belongs to the shard that its first byte is in: begin one byte early and skip to the line's end.
    if (p.offset > 0) {
      --p.offset;
      p.find_line_start = true;
    }
    plan.push_back(p);
    return plan;
  }
  for (size_t f = 0; f < o.inputs.size(); ++f)
    if (f % o.n_shards == static_cast<size_t>(o.shard)) plan.push_back({f, o.inputs[f], 0, 0, ~0ull, false});
  return plan;
}

}  // namespace

bool first_pass_complete(const std::string& work) { return file_exists(work + "/" + kComplete); }

std::vector<std::string> signature_files(const std::string& work) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(work, error))
    if (entry.path().extension() == ".sig") files.push_back(entry.path().string());
  if (error) throw Error(ErrorKind::kNoInput, "cannot list: " + error.message(), work);
  std::sort(files.begin(), files.end());
  return files;
}

Report run_first_pass(const Profile& profile, const FilterOptions& o) {
  const int64_t start = now_ns();
  Report report;
  report.profile = profile;
  report.threads = o.threads;
  report.shard = o.shard;
  report.n_shards = o.n_shards;
  const Resources resources = load_resources(profile, o.resources, o.worker.fields);
  if (resources.embedder) {
    report.embedder = resources.embedder->name();
    report.embedder_digest = resources.embedder->digest();
    report.references = resources.embedder->reference_name();
  }
  if (resources.evaluation_sets && resources.evaluation_sets->n_too_short())
    report.notes.push_back(std::to_string(resources.evaluation_sets->n_too_short()) +
                           " evaluation texts are too short to be looked for");
  open_work(profile, o);
  report.work = o.work;

  std::vector<FilePlan> plan = plan_files(o);
  for (const auto& p : plan) report.files.push_back({p.path, "", 0});
  const auto result_of = [&](size_t file) -> FileResult& {
    for (size_t i = 0; i < plan.size(); ++i)
      if (plan[i].file == file) return report.files[i];
    return report.files[0];
  };
  Progress progress;
  for (const auto& p : plan) {
    struct stat st {};
    if (p.path != "-" && ::stat(p.path.c_str(), &st) == 0 && S_ISREG(st.st_mode))
      progress.total_bytes += st.st_size;
    if (p.path == "-") progress.total_bytes = 0;
  }

  // What an earlier run finished is taken over.
  std::vector<FilePlan> todo;
  std::vector<size_t> next_segment(o.inputs.size(), 0);
  std::vector<uint64_t> next_offset(o.inputs.size(), 0);
  for (const auto& p : plan) {
    FilePlan left = p;
    bool done = false;
    for (size_t s = 0; o.resume && !done; ++s) {
      SegmentInfo info;
      if (!read_segment_info(segment_name(o.work, p.file, s), info) || info.partial) break;
      report.statistics.merge(info.statistics);
      next_segment[p.file] = s + 1;
      left.offset = info.end_offset;
      left.line = info.end_line;
      left.find_line_start = false;
      done = info.ends_file;
      result_of(p.file).damage = info.damage;
      result_of(p.file).content_bytes = info.end_offset;
    }
    next_offset[p.file] = left.offset;
    if (!done) todo.push_back(left);
  }
  drop_stale_segments(o.work, next_segment);
  if (report.statistics.read > 0)
    report.notes.push_back("resumed: " + std::to_string(report.statistics.read) +
                           " records were done before");

  InputOptions input = o.input;
  input.stop = o.stop;
  WorkerOptions worker_options = o.worker;
  worker_options.sign = false;
  for (const auto& s : profile.stages) worker_options.sign = worker_options.sign || s == "duplicates";
  std::vector<std::unique_ptr<Worker>> workers(o.threads + 1);  // the last for large lines
  for (auto& worker : workers) worker = std::make_unique<Worker>(profile, resources, worker_options);
  ThreadPool pool(o.threads);
  BatchReader reader(todo, input);

  std::unique_ptr<SegmentWriter> writer;
  SegmentInfo info;
  uint64_t segment_content = 0;
  bool stopped = false;
  const auto close_segment = [&](const Batch& batch) {
    info.end_offset = batch.end_offset;
    info.end_line = batch.end_line;
    info.ends_file = batch.ends_file;
    info.partial = stopped && !batch.ends_file;
    info.damage = batch.damage;
    report.statistics.merge(info.statistics);
    writer->commit(info);
    writer.reset();
    segment_content = 0;
    FileResult& result = result_of(batch.file);
    result.damage = batch.damage;
    result.content_bytes = batch.end_offset;
    if (!batch.note.empty()) report.notes.push_back(result.path + " " + batch.note);
  };
  struct Stretch {
    Batch batch;
    SegmentBlock block;
    Statistics statistics;
  };
  std::vector<JudgedLine> outcomes(o.threads);  // one line's, of each thread
  std::mutex large;                             // held while the last worker judges
  const auto make = [&](Stretch& s) { return reader.next(s.batch); };
  const auto judge = [&](Stretch& s, int thread) {
    const std::string& file_name = o.inputs[s.batch.file] == "-" ? kStdinName : o.inputs[s.batch.file];
    JudgedLine& out = outcomes[thread];
    s.block.clear();
    s.statistics = {};
    for (const InputLine& line : s.batch.lines) {
      const std::string_view bytes = std::string_view(s.batch.bytes).substr(line.begin, line.length);
      if (line.length > kLargeLine) {
        const std::lock_guard lock(large);
        workers.back()->judge(bytes, line, s.batch, file_name, s.batch.file, out);
        s.statistics.merge(std::exchange(workers.back()->statistics(), {}));
      } else {
        workers[thread]->judge(bytes, line, s.batch, file_name, s.batch.file, out);
      }
      if (out.blank) continue;
      s.block.add(SegmentEntry{out.fate, out.stage, line.offset, line.line,
                               out.own ? std::string_view(out.text) : bytes});
      if (out.has_signature) s.block.add(out.signature);
    }
    s.statistics.merge(std::exchange(workers[thread]->statistics(), {}));
  };
  const auto write = [&](Stretch& s) {
    if (stopped) return;  // the last segment is closed
    const Batch& batch = s.batch;
    uint64_t& offset = next_offset[batch.file];
    if (!writer) {
      writer = std::make_unique<SegmentWriter>(segment_name(o.work, batch.file, next_segment[batch.file]++));
      info = {};
      info.begin_offset = offset;
    }
    writer->add(s.block);
    info.statistics.merge(s.statistics);
    segment_content += batch.end_offset - offset;
    progress.content_bytes += batch.end_offset - offset;
    offset = batch.end_offset;
    progress.read += batch.lines.size();
    progress.kept += s.block.n_kept();
    stopped = o.stop && o.stop();
    if (batch.ends_file || stopped || segment_content >= static_cast<uint64_t>(kSegmentBytes))
      close_segment(batch);
    if (batch.ends_file) progress.bytes += batch.raw_bytes;
    if (o.progress) {
      Progress now = progress;
      if (!batch.ends_file) now.bytes += batch.raw_bytes;
      now.doing = "reading";
      o.progress(now);
    }
  };
  run_ordered<Stretch>(pool, o.threads + kSpare, make, judge, write);
  report.interrupted = o.stop && o.stop();
  if (!report.interrupted) AtomicFile(o.work + "/" + kComplete).commit(false);
  const Statistics& s = report.statistics;
  report.conserved = s.read == s.kept + s.dropped + s.quarantined;
  for (const auto& f : report.files) report.damaged = report.damaged || !f.damage.empty();
  report.seconds = seconds_since(start);
  return report;
}

namespace {

// A part of one input on its way to the outputs.
struct OutgoingStretch {
  size_t file = 0;
  bool begins_file = false, ends_file = false;
  std::shared_ptr<SegmentReader> segment;  // null where the file left nothing
  std::vector<SegmentReader::Block> blocks;

  std::vector<std::string_view> kept;  // runs of whole lines inside the segment
  std::string packed;                  // the same, where the output is compressed
  std::vector<std::string> rejects;    // by Outputs::reject_file
  std::string bad;
  std::vector<const Duplicate*> duplicates;
  uint64_t n_kept = 0, kept_bytes = 0, n_dropped = 0, n_bad = 0;
};

// Hands out the segments' stretches in input order.
class StretchReader {
 public:
  explicit StretchReader(const FilterOptions& o) : o_(o), plan_(plan_files(o)) {}
  bool next(OutgoingStretch& s) {
    if (at_ == plan_.size()) return false;
    s.file = plan_[at_].file;
    s.begins_file = !begun_;
    s.blocks.clear();
    begun_ = true;
    size_t bytes = 0;
    if (!segment_) open();
    s.segment = segment_;
    SegmentReader::Block block;
    while (segment_ && bytes < kStretchBytes) {
      if (!segment_->next(block)) {
        open();
        break;
      }
      s.blocks.push_back(block);
      bytes += block.kept.size();
    }
    s.ends_file = !segment_;
    if (s.ends_file) {
      ++at_;
      begun_ = false;
      n_segments_ = 0;
    }
    return true;
  }

 private:
  void open() {
    segment_.reset();
    const std::string stem = segment_name(o_.work, plan_[at_].file, n_segments_);
    if (!file_exists(stem + ".seg")) return;
    segment_ = std::make_shared<SegmentReader>(stem);
    ++n_segments_;
  }
  const FilterOptions& o_;
  std::vector<FilePlan> plan_;
  size_t at_ = 0, n_segments_ = 0;
  bool begun_ = false;
  std::shared_ptr<SegmentReader> segment_;
};

// Sorts a stretch's records to the outputs.
void sort_out(const Profile& profile, const FilterOptions& o, const std::vector<Duplicate>& duplicates,
              const Outputs& outputs, OutgoingStretch& s) {
  const int stage = stage_of_rule(rule_index("s4.exact"));
  const size_t n_stages = stage_table().size();
  s.kept.clear();
  s.duplicates.clear();
  s.rejects.assign(n_stages, "");
  s.bad.clear();
  s.packed.clear();
  s.n_kept = s.kept_bytes = s.n_dropped = s.n_bad = 0;
  const auto reject = [&](int from, std::string_view line) {
    ++s.n_dropped;
    if (outputs.wants_rejects()) s.rejects[outputs.reject_file(from)].append(line).push_back('\n');
  };
  auto next = duplicates.end();
  bool placed = false;
  for (const auto& block : s.blocks)
    s.segment->each(block, [&](const SegmentEntry& e) {
      if (e.fate == Fate::kBad) {
        ++s.n_bad;
        if (outputs.wants_bad_lines()) s.bad.append(e.bytes).push_back('\n');
        return;
      }
      if (e.fate == Fate::kDropped) {
        if (e.stage >= n_stages) throw Error(ErrorKind::kBadData, "a segment is damaged", o.work);
        return reject(e.stage, e.bytes);
      }
      const uint64_t ordinal = make_ordinal(s.file, e.offset);
      if (!placed)
        next = std::lower_bound(duplicates.begin(), duplicates.end(), ordinal,
                                [](const Duplicate& d, uint64_t n) { return d.ordinal < n; });
      placed = true;
      while (next != duplicates.end() && next->ordinal < ordinal) ++next;
      if (next != duplicates.end() && next->ordinal == ordinal) {
        s.duplicates.push_back(&*next);
        const int rule = rule_index(next->exact ? "s4.exact" : "s4.near");
        if (!outputs.wants_rejects())
          ++s.n_dropped;
        else
          reject(stage, duplicate_reject(profile, o, s.file, e, *next, rule));
        return;
      }
      const std::string_view line(e.bytes.data(), e.bytes.size() + 1);  // its newline stands behind it
      ++s.n_kept;
      s.kept_bytes += line.size();
      if (!s.kept.empty() && s.kept.back().end() == line.begin())
        s.kept.back() = {s.kept.back().data(), s.kept.back().size() + line.size()};
      else
        s.kept.push_back(line);
    });
  if (const Compression c = outputs.kept_compression(s.file); c != Compression::kNone && !s.kept.empty())
    s.packed = pack(c, s.kept);
  const auto pack_in_place = [](Compression c, std::string& text) {
    const std::string_view piece = text;
    if (c != Compression::kNone && !text.empty()) text = pack(c, {&piece, 1});
  };
  for (auto& text : s.rejects) pack_in_place(outputs.reject_compression(), text);
  pack_in_place(outputs.bad_compression(), s.bad);
}

}  // namespace

void run_second_pass(const Profile& profile, const FilterOptions& o, const std::vector<Duplicate>& duplicates,
                     Report& report) {
  const int64_t start = now_ns();
  Statistics& s = report.statistics;
  const int exact_rule = rule_index("s4.exact"), near_rule = rule_index("s4.near");
  const int stage = stage_of_rule(exact_rule);
  Outputs outputs(o);
  StretchReader reader(o);
  uint64_t written = 0, dropped = 0, quarantined = 0;
  uint64_t kept_bytes = 0;
  const auto make = [&](OutgoingStretch& out) {
    report.interrupted = report.interrupted || (o.stop && o.stop());
    return !report.interrupted && reader.next(out);
  };
  const auto sort = [&](OutgoingStretch& out, int) { sort_out(profile, o, duplicates, outputs, out); };
  const auto write = [&](OutgoingStretch& out) {
    if (out.begins_file) outputs.begin_file(out.file);
    if (outputs.kept_compression(out.file) == Compression::kNone)
      for (const auto& run : out.kept) outputs.keep(run);
    else
      outputs.keep(out.packed);
    for (size_t i = 0; i < out.rejects.size(); ++i)
      if (!out.rejects[i].empty()) outputs.reject(static_cast<int>(i), out.rejects[i]);
    if (!out.bad.empty()) outputs.bad_lines(out.bad);
    if (out.ends_file) outputs.end_file();
    for (const Duplicate* d : out.duplicates) {
      ++s.stages[stage].dropped;
      RuleStatistics& rule = s.rules[0][d->exact ? exact_rule : near_rule];
      ++rule.dropped;
      ++rule.failed;
      ++rule.evaluated;
      ++rule.histogram[std::min(kBins - 1, static_cast<int>(d->similarity * kBins))];
    }
    written += out.n_kept;
    kept_bytes += out.kept_bytes;
    dropped += out.n_dropped;
    quarantined += out.n_bad;
  };
  ThreadPool pool(o.threads);
  run_ordered<OutgoingStretch>(pool, o.threads + kSpare, make, sort, write);
  if (report.interrupted) return;
  outputs.finish();
  s.kept = written;
  s.kept_bytes = kept_bytes;
  s.dropped = dropped;
  report.conserved = s.read == written + dropped + quarantined && quarantined == s.quarantined;
  std::vector<std::pair<uint64_t, const Duplicate*>> clusters;
  uint64_t last = ~0ull;
  std::vector<const Duplicate*> by_kept;
  for (const Duplicate& d : duplicates) by_kept.push_back(&d);
  std::sort(by_kept.begin(), by_kept.end(), [](const Duplicate* a, const Duplicate* b) {
    return a->kept_ordinal != b->kept_ordinal ? a->kept_ordinal < b->kept_ordinal : a->ordinal < b->ordinal;
  });
  for (const Duplicate* d : by_kept) {
    if (d->kept_ordinal == last) continue;
    last = d->kept_ordinal;
    clusters.emplace_back(d->cluster_size, d);
  }
  report.n_clusters = clusters.size();
  std::stable_sort(clusters.begin(), clusters.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (size_t i = 0; i < std::min(kLargestClusters, clusters.size()); ++i) {
    const Duplicate& d = *clusters[i].second;
    const size_t f = ordinal_file(d.kept_ordinal);
    report.largest_clusters.push_back(
        {clusters[i].first, (f < o.inputs.size() ? o.inputs[f] : "?") + ":" + std::to_string(d.kept_line)});
  }
  report.write_seconds = seconds_since(start);
}

Report run(const Profile& profile, FilterOptions o) {
  const int64_t start = now_ns();
  check_outputs(o);
  bool temporary = false;
  if (o.work.empty()) {
    if (o.output != "-") {
      std::string base = o.output;
      while (base.size() > 1 && base.back() == '/') base.pop_back();
      o.work = base + ".work";
    } else {
      const char* tmp = std::getenv("TMPDIR");
      std::string pattern = std::string(tmp && *tmp ? tmp : "/tmp") + "/ds-filter-XXXXXX";
      if (!::mkdtemp(pattern.data()))
        throw Error(ErrorKind::kCannotCreate, "cannot create: " + os_error(), pattern);
      o.work = pattern;
      temporary = true;
    }
  }
  struct Cleaner {  // what was thrown or stopped leaves a named work folder for --resume, a temporary one
                    // never
    std::string folder;
    bool armed;
    ~Cleaner() {
      std::error_code error;
      if (armed) fs::remove_all(folder, error);
    }
  } cleaner{o.work, temporary};
  Report report = run_first_pass(profile, o);
  if (!report.interrupted) {
    const int64_t dedup_start = now_ns();
    std::vector<Duplicate> duplicates;
    for (const auto& s : profile.stages) {
      if (s != "duplicates") continue;
      if (o.progress) {
        Progress p;
        p.doing = "finding duplicates";
        o.progress(p);
      }
      EdgeOptions edges;
      edges.min_similarity = profile.min_similarity;
      edges.exact = profile.rules[rule_index("s4.exact")].on[0];
      edges.near = profile.rules[rule_index("s4.near")].on[0];
      edges.memory_bytes = o.dedup_memory_bytes;
      edges.stop = o.stop;
      ThreadPool pool(o.threads);
      const SignatureSet set(signature_files(o.work));
      duplicates = find_duplicates(set, edges, pool);
      report.statistics.stages[stage_index("duplicates")].nanoseconds += now_ns() - dedup_start;
    }
    report.dedup_seconds = seconds_since(dedup_start);
    if (!(o.stop && o.stop()))
      run_second_pass(profile, o, duplicates, report);
    else
      report.interrupted = true;
  }
  report.seconds = seconds_since(start);
  if (!report.interrupted && !o.keep_work) cleaner.armed = true;
  if (cleaner.armed) report.work.clear();
  return report;
}

}  // namespace ds::filter
