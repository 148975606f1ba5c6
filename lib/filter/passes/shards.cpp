#include "filter/passes/shards.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "core/clock.h"
#include "core/shard.h"
#include "filter/passes/first_pass.h"
#include "filter/passes/second_pass.h"
#include "filter/passes/work_folder.h"
#include "io/files.h"

namespace ds::filter {
namespace {

// magic, number of rows, XXH3 of the rows, which of how many such files it is, rows.
struct FileHead {
  char magic[8];
  uint64_t n_rows, checksum;
  uint32_t part = 0, n_parts = 1;
};

struct Edge {
  Ordinal a, b;
};

template <class Row>
void write_rows(const std::string& path, const char* magic, const std::vector<Row>& rows, Shard part = {}) {
  FileHead head{{},
                rows.size(),
                XXH3_64bits(rows.data(), rows.size() * sizeof(Row)),
                static_cast<uint32_t>(part.idx),
                static_cast<uint32_t>(part.n)};
  std::memcpy(head.magic, magic, 8);
  AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&head), sizeof head});
  file.write({reinterpret_cast<const char*>(rows.data()), rows.size() * sizeof(Row)});
  file.commit();
}

template <class Row>
std::vector<Row> read_rows(const std::string& path, const char* magic, Shard* part = nullptr) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  FileHead head{};
  if (bytes.size() < sizeof head) throw Error(ErrorKind::kBadData, "too short", path, "make it again");
  std::memcpy(&head, bytes.data(), sizeof head);
  if (std::memcmp(head.magic, magic, 8) != 0)
    throw Error(ErrorKind::kBadData, "is no file of this step", path,
                "see ds-filter --help for the order of steps");
  if (head.n_rows != (bytes.size() - sizeof head) / sizeof(Row) ||
      (bytes.size() - sizeof head) % sizeof(Row) ||
      XXH3_64bits(bytes.data() + sizeof head, bytes.size() - sizeof head) != head.checksum)
    throw Error(ErrorKind::kBadData, "its checksum does not fit: cut short or damaged", path,
                "make it again");
  if (part) *part = {head.part, head.n_parts};
  std::vector<Row> rows(head.n_rows);
  std::memcpy(static_cast<void*>(rows.data()), bytes.data() + sizeof head, head.n_rows * sizeof(Row));
  return rows;
}

constexpr char kEdgeMagic[] = "dsfedge3", kClusterMagic[] = "dsfclus3";

SignatureSet signatures_of(const std::vector<std::string>& works) {
  std::vector<std::string> files;
  for (const auto& work : works) {
    const auto some = signature_files(work);
    if (!first_pass_complete(work))
      throw Error(ErrorKind::kNoInput, "ds-filter sig has not finished here", work,
                  "run it to its end first; --resume goes on where it stopped");
    files.insert(files.end(), some.begin(), some.end());
  }
  return SignatureSet(files);
}

// A missing part's pairs would be kept as if no duplicates were among them.
void need_all_parts(const std::vector<std::pair<Shard, std::string>>& parts) {
  const int64_t n = parts.empty() ? 1 : parts[0].first.n;
  std::set<int64_t> seen;
  for (const auto& [part, path] : parts) {
    if (part.n != n)
      throw Error(ErrorKind::kBadData,
                  "is one of " + std::to_string(part.n) + " parts, " + parts[0].second + " one of " +
                      std::to_string(n),
                  path, "give the parts of one run of ds-filter edges");
    seen.insert(part.idx);
  }
  std::string missing;
  for (int64_t i = 0; i < n; ++i)
    if (!seen.contains(i))
      missing += (missing.empty() ? "" : ", ") + std::to_string(i) + "/" + std::to_string(n);
  if (!missing.empty())
    throw Error(ErrorKind::kBadData, "parts that are missing: " + missing, "--edges",
                "give the files of all parts that ds-filter edges made");
}

// The folder that one step leaves to the next.
void need_work(const FilterOptions& options) {
  if (options.work.empty())
    throw Error(ErrorKind::kUsage, "this step needs a folder that stays", "", "give --work DIR");
}

}  // namespace

Report judge_shard(const Profile& profile, const FilterOptions& options) {
  need_work(options);
  const WorkFolder work(options);
  Report report = run_first_pass(profile, options);
  report.step = Report::Step::kJudge;
  return report;
}

uint64_t write_edges(const std::vector<std::string>& works, int part, int n_parts, const EdgeOptions& options,
                     const std::string& out) {
  if (works.empty())
    throw Error(ErrorKind::kUsage, "no work folder is given", "",
                "name the folders of `ds-filter sig`: a pattern may have matched nothing");
  const SignatureSet set = signatures_of(works);
  std::vector<Edge> edges;
  for (int key = part; key < kKeys; key += n_parts) {
    if (key == kBands ? !options.exact : !options.near) continue;
    find_edges(set, key, options, [&](uint32_t a, uint32_t b) {
      const Ordinal x = set[a].ordinal, y = set[b].ordinal;
      edges.push_back({std::min(x, y), std::max(x, y)});
    });
  }
  std::sort(edges.begin(), edges.end(),
            [](const Edge& x, const Edge& y) { return x.a != y.a ? x.a < y.a : x.b < y.b; });
  edges.erase(std::unique(edges.begin(), edges.end(),
                          [](const Edge& x, const Edge& y) { return x.a == y.a && x.b == y.b; }),
              edges.end());
  write_rows(out, kEdgeMagic, edges, {part, n_parts});
  return edges.size();
}

uint64_t write_clusters(const std::vector<std::string>& works, const std::vector<std::string>& edge_files,
                        const EdgeOptions& options, const std::string& out) {
  if (works.empty())
    throw Error(ErrorKind::kUsage, "no work folder is given", "",
                "name the folders of `ds-filter sig`: a pattern may have matched nothing");
  const SignatureSet set = signatures_of(works);
  std::vector<std::pair<Ordinal, uint32_t>> by_ordinal;
  by_ordinal.reserve(set.size());
  for (uint64_t i = 0; i < set.size(); ++i) by_ordinal.emplace_back(set[i].ordinal, static_cast<uint32_t>(i));
  std::sort(by_ordinal.begin(), by_ordinal.end());
  const auto index = [&](const Ordinal& ordinal, const std::string& path) {
    const auto it =
        std::lower_bound(by_ordinal.begin(), by_ordinal.end(), std::pair<Ordinal, uint32_t>(ordinal, 0));
    if (it == by_ordinal.end() || it->first != ordinal)
      throw Error(ErrorKind::kBadData, "names a record that no work folder holds", path,
                  "give all work folders");
    return it->second;
  };
  UnionFind components(set.size());
  std::vector<std::pair<Shard, std::string>> parts;
  for (const auto& path : edge_files) {
    Shard part;
    for (const Edge& e : read_rows<Edge>(path, kEdgeMagic, &part))
      components.join(index(e.a, path), index(e.b, path));
    parts.emplace_back(part, path);
  }
  need_all_parts(parts);
  const std::vector<Duplicate> duplicates = duplicates_of(set, components, options);
  write_rows(out, kClusterMagic, duplicates);
  return duplicates.size();
}

std::vector<Duplicate> read_clusters(const std::string& path) {
  return read_rows<Duplicate>(path, kClusterMagic);
}

Report write_shard(const Profile& profile, FilterOptions options, const std::string& clusters) {
  need_work(options);
  const int64_t start = now_ns();
  const WorkFolder work(options);
  options.resume = true;
  Report report = run_first_pass(profile, options);
  if (!report.interrupted) run_second_pass(profile, options, read_clusters(clusters), report);
  // The time of judging was step 1's, and its report told it.
  report.step = Report::Step::kWrite;
  report.statistics.parse_nanoseconds = 0;
  for (auto& stage : report.statistics.stages) stage.nanoseconds = 0;
  report.seconds = seconds_since(start);
  return report;
}

}  // namespace ds::filter
