// Near-duplicate clusters over signature files: equal band keys make candidate pairs, pairs that look similar
// enough make edges, connected records make clusters, the earliest record of each stays. The clusters do not
// depend on the order of files, threads or shards.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "filter/duplicates/minhash.h"
#include "io/files.h"

namespace ds::filter {

// Signature files, mapped; index i runs over all records in ordinal order of files as given.
class SignatureSet {
 public:
  // Throws Error{kBadData} for a file that is cut short or damaged.
  explicit SignatureSet(const std::vector<std::string>& paths);
  uint64_t size() const { return n_; }
  const Signature& operator[](uint64_t i) const;

 private:
  std::vector<MappedFile> files_;
  std::vector<uint64_t> first_;  // index of each file's first record, in the order of files_
  uint64_t n_ = 0;
};

constexpr int kKeys = kBands + 1;  // the bands, then exact equality

struct EdgeOptions {
  double min_similarity = 0.75;  // 0: sharing a band is enough
  bool exact = true, near = true;
  int64_t memory_bytes = int64_t{1} << 30;  // for sorting keys; more records than fit are taken in key ranges
  std::function<bool()> stop;
};
// Calls edge(a, b), indices, for each accepted pair of one key's groups (fewer than all pairs where they are
// implied).
void find_edges(const SignatureSet& set, int key, const EdgeOptions& options,
                const std::function<void(uint32_t, uint32_t)>& edge);

struct Duplicate {
  Ordinal ordinal, kept_ordinal;  // the record dropped, the one that stands for it
  uint64_t kept_line = 0;
  double similarity = 0;
  uint32_t cluster_size = 0;  // records that the kept one stands for, itself included
  uint32_t exact = 0;
};

class UnionFind {
 public:
  explicit UnionFind(uint64_t n);
  uint32_t root(uint32_t x);
  bool join(uint32_t a, uint32_t b);  // false when they were one already

 private:
  std::vector<uint32_t> parent_;
};

// All duplicates, by ordinal.
std::vector<Duplicate> find_duplicates(const SignatureSet& set, const EdgeOptions& options, ThreadPool& pool);
// The second half of it, for edges that came from elsewhere. Inside a component records are kept or dropped
// in ordinal order: dropped where one that is kept equals it or resembles it as much as promised. So a chain,
// each link like the next, loses no record that resembles nothing kept.
std::vector<Duplicate> duplicates_of(const SignatureSet& set, UnionFind& components,
                                     const EdgeOptions& options);

}  // namespace ds::filter
