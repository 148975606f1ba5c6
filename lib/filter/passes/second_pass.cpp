#include "filter/passes/second_pass.h"

#include <algorithm>
#include <memory>

#include "core/clock.h"
#include "core/ordered.h"
#include "filter/passes/inputs.h"
#include "filter/passes/outputs.h"
#include "filter/passes/segment.h"

namespace ds::filter {
namespace {

constexpr size_t kLargestClusters = 20;
// Stretches that wait while each thread has one: enough that none waits for a slow one.
constexpr int kSpare = 2;
// Content that is handled as one, and a compressed frame's: no less, for small frames pack badly.
constexpr size_t kStretchBytes = 4 << 20;

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
  explicit StretchReader(const FilterOptions& o) : o_(o), plan_(plan_files(o.inputs, o.shard, o.n_shards)) {}
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
  const DuplicateSearch search = duplicate_search(profile);
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
      const Ordinal ordinal{s.file, e.offset};
      if (!placed)
        next = std::lower_bound(duplicates.begin(), duplicates.end(), ordinal,
                                [](const Duplicate& d, const Ordinal& n) { return d.ordinal < n; });
      placed = true;
      while (next != duplicates.end() && next->ordinal < ordinal) ++next;
      if (next != duplicates.end() && next->ordinal == ordinal) {
        s.duplicates.push_back(&*next);
        const int rule = next->exact ? search.exact_rule : search.near_rule;
        if (!outputs.wants_rejects())
          ++s.n_dropped;
        else
          reject(search.stage, duplicate_reject(profile, o, s.file, e, *next, rule));
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

// The largest clusters, for people to look at.
void list_clusters(const FilterOptions& o, const std::vector<Duplicate>& duplicates, Report& report) {
  std::vector<const Duplicate*> clusters;  // one of each
  for (const Duplicate& d : duplicates) clusters.push_back(&d);
  std::sort(clusters.begin(), clusters.end(), [](const Duplicate* a, const Duplicate* b) {
    return a->kept_ordinal != b->kept_ordinal ? a->kept_ordinal < b->kept_ordinal : a->ordinal < b->ordinal;
  });
  const auto same = [](const Duplicate* a, const Duplicate* b) { return a->kept_ordinal == b->kept_ordinal; };
  clusters.erase(std::unique(clusters.begin(), clusters.end(), same), clusters.end());
  report.n_clusters = clusters.size();
  std::stable_sort(clusters.begin(), clusters.end(),
                   [](const Duplicate* a, const Duplicate* b) { return a->cluster_size > b->cluster_size; });
  for (size_t i = 0; i < std::min(kLargestClusters, clusters.size()); ++i) {
    const Duplicate& d = *clusters[i];
    report.largest_clusters.push_back(
        {d.cluster_size, o.shown(d.kept_ordinal.file) + ":" + std::to_string(d.kept_line)});
  }
}

}  // namespace

void run_second_pass(const Profile& profile, const FilterOptions& o, const std::vector<Duplicate>& duplicates,
                     Report& report) {
  const int64_t start = now_ns();
  Statistics& s = report.statistics;
  const DuplicateSearch search = duplicate_search(profile);
  Outputs outputs(o);
  StretchReader reader(o);
  uint64_t written = 0, dropped = 0, quarantined = 0;
  uint64_t kept_bytes = 0;
  const auto make = [&](OutgoingStretch& out) {
    report.interrupted = report.interrupted || o.stopped();
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
      ++s.stages[search.stage].dropped;
      RuleStatistics& rule = s.rules[0][d->exact ? search.exact_rule : search.near_rule];
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
  list_clusters(o, duplicates, report);
  report.write_seconds = seconds_since(start);
}

}  // namespace ds::filter
