#include "filter/passes/pipeline.h"

#include "core/clock.h"
#include "filter/passes/first_pass.h"
#include "filter/passes/outputs.h"
#include "filter/passes/second_pass.h"
#include "filter/passes/work_folder.h"

namespace ds::filter {
namespace {

std::vector<Duplicate> search_duplicates(const Profile& profile, const FilterOptions& o, Report& report) {
  const DuplicateSearch search = duplicate_search(profile);
  if (!search.on) return {};
  const int64_t start = now_ns();
  if (o.progress) {
    Progress p;
    p.doing = "finding duplicates";
    o.progress(p);
  }
  EdgeOptions edges = edge_options(profile, o.dedup_memory_bytes);
  edges.stop = o.stop;
  ThreadPool pool(o.threads);
  const SignatureSet set(signature_files(o.work));
  const std::vector<Duplicate> duplicates = find_duplicates(set, edges, pool);
  report.statistics.stages[search.stage].nanoseconds += now_ns() - start;
  report.dedup_seconds = seconds_since(start);
  return duplicates;
}

}  // namespace

EdgeOptions edge_options(const Profile& profile, int64_t memory_bytes) {
  const DuplicateSearch search = duplicate_search(profile);
  EdgeOptions edges;
  edges.min_similarity = profile.duplicates.min_similarity;
  edges.exact = search.exact;
  edges.near = search.near;
  edges.memory_bytes = memory_bytes;
  return edges;
}

Report run(const Profile& profile, FilterOptions o) {
  const int64_t start = now_ns();
  check_outputs(o);
  WorkFolder work(o);
  o.work = work.path();
  Report report = run_first_pass(profile, o);
  if (!report.interrupted) {
    const std::vector<Duplicate> duplicates = search_duplicates(profile, o, report);
    report.interrupted = o.stopped();
    if (!report.interrupted) run_second_pass(profile, o, duplicates, report);
  }
  report.seconds = seconds_since(start);
  if (!report.interrupted) work.done();
  if (!work.stays()) report.work.clear();
  return report;
}

}  // namespace ds::filter
