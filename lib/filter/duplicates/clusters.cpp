#include "filter/duplicates/clusters.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <numeric>
#include <span>
#include <unordered_map>

#include "filter/passes/segment.h"

namespace ds::filter {
namespace {

// In a group of more different signatures than this, each is compared with so many neighbours and pivots in
// an order that only their content decides.
constexpr size_t kAllPairs = 64, kNeighbours = 16;

struct KeyIndex {
  uint64_t key;
  uint32_t index;
};

uint64_t key_of(const Signature& s, int key) {
  return key < kBands ? s.bands[key] : s.exact[0] ^ (s.exact[1] * 0x9E3779B97F4A7C15ull);
}

struct Member {
  uint64_t content;  // hash of the minima
  uint32_t index;
};

class GroupEdges {
 public:
  GroupEdges(const SignatureSet& set, const EdgeOptions& options,
             const std::function<void(uint32_t, uint32_t)>& edge)
      : set_(set), options_(options), edge_(edge) {}

  void exact(const KeyIndex* group, size_t n) {
    for (size_t i = 1; i < n; ++i)
      if (set_[group[i].index].exact == set_[group[0].index].exact) edge_(group[0].index, group[i].index);
  }

  void near(const KeyIndex* group, size_t n) {
    if (options_.min_similarity <= 0) {
      for (size_t i = 1; i < n; ++i) edge_(group[0].index, group[i].index);
      return;
    }
    members_.clear();
    for (size_t i = 0; i < n; ++i) {
      const Signature& s = set_[group[i].index];
      members_.push_back({XXH3_64bits(s.minima.data(), sizeof s.minima), group[i].index});
    }
    std::sort(members_.begin(), members_.end(), [](const Member& a, const Member& b) {
      return a.content != b.content ? a.content < b.content : a.index < b.index;
    });
    // Equal signatures are one; what is left is compared in pairs.
    size_t different = 0;
    for (size_t i = 0; i < members_.size(); ++i) {
      if (different && members_[different - 1].content == members_[i].content)
        edge_(members_[different - 1].index, members_[i].index);
      else
        members_[different++] = members_[i];
    }
    for (size_t i = 0; i < different; ++i) {
      for (size_t j = i + 1;
           j < std::min(different, different <= kAllPairs ? different : i + 1 + kNeighbours); ++j)
        compare(members_[i], members_[j]);
      if (different > kAllPairs)
        for (size_t j = 0; j < std::min(i, kAllPairs); ++j) compare(members_[j], members_[i]);
    }
  }

 private:
  void compare(const Member& a, const Member& b) {
    if (similarity(set_[a.index].minima.data(), set_[b.index].minima.data()) >= options_.min_similarity)
      edge_(a.index, b.index);
  }
  const SignatureSet& set_;
  const EdgeOptions& options_;
  const std::function<void(uint32_t, uint32_t)>& edge_;
  std::vector<Member> members_;
};

}  // namespace

SignatureSet::SignatureSet(const std::vector<std::string>& paths) {
  for (const auto& path : paths) {
    files_.emplace_back(path);
    const int64_t n = count_signatures(files_.back().bytes());
    if (n < 0)
      throw Error(ErrorKind::kBadData, "its checksum does not fit: cut short or damaged", path,
                  "run ds-filter sig for this shard again");
    first_.push_back(n_);
    n_ += static_cast<uint64_t>(n);
  }
  if (n_ > 0xFFFFFFFFull)
    throw Error(ErrorKind::kUsage, "more than 4294967295 records in one duplicate search", "");
}

const Signature& SignatureSet::operator[](uint64_t i) const {
  const size_t f = std::upper_bound(first_.begin(), first_.end(), i) - first_.begin() - 1;
  return reinterpret_cast<const Signature*>(files_[f].bytes().data())[i - first_[f]];
}

void find_edges(const SignatureSet& set, int key, const EdgeOptions& options,
                const std::function<void(uint32_t, uint32_t)>& edge) {
  const uint64_t n = set.size();
  const uint64_t fits =
      std::max<uint64_t>(1 << 16, static_cast<uint64_t>(options.memory_bytes) / sizeof(KeyIndex));
  // Keys are hashes, spread evenly: ranges of equal width hold about equally many.
  const uint64_t n_ranges = (n + fits - 1) / fits;
  GroupEdges group(set, options, edge);
  std::vector<KeyIndex> keys;
  for (uint64_t range = 0; range < n_ranges; ++range) {
    if (options.stop && options.stop()) return;
    keys.clear();
    for (uint64_t i = 0; i < n; ++i) {
      const uint64_t k = key_of(set[i], key);
      if (n_ranges > 1 && static_cast<uint64_t>(static_cast<unsigned __int128>(k) * n_ranges >> 64) != range)
        continue;
      keys.push_back({k, static_cast<uint32_t>(i)});
    }
    std::sort(keys.begin(), keys.end(), [](const KeyIndex& a, const KeyIndex& b) {
      return a.key != b.key ? a.key < b.key : a.index < b.index;
    });
    for (size_t b = 0; b < keys.size();) {
      size_t e = b + 1;
      while (e < keys.size() && keys[e].key == keys[b].key) ++e;
      if (e - b > 1) {
        if (key == kBands)
          group.exact(keys.data() + b, e - b);
        else
          group.near(keys.data() + b, e - b);
      }
      b = e;
    }
  }
}

UnionFind::UnionFind(uint64_t n) : parent_(n) { std::iota(parent_.begin(), parent_.end(), 0u); }

uint32_t UnionFind::root(uint32_t x) {
  while (parent_[x] != x) x = parent_[x] = parent_[parent_[x]];
  return x;
}

bool UnionFind::join(uint32_t a, uint32_t b) {
  a = root(a), b = root(b);
  if (a == b) return false;
  parent_[std::max(a, b)] = std::min(a, b);  // the earliest record is the root
  return true;
}

std::vector<Duplicate> find_duplicates(const SignatureSet& set, const EdgeOptions& options,
                                       ThreadPool& pool) {
  UnionFind components(set.size());
  std::mutex mutex;
  EdgeOptions each = options;
  each.memory_bytes = options.memory_bytes / pool.n_threads();
  pool.parallel_for(kKeys, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t key = begin; key < end; ++key) {
      if (key == kBands ? !options.exact : !options.near) continue;
      std::vector<std::pair<uint32_t, uint32_t>> edges;
      const auto flush = [&] {
        const std::lock_guard lock(mutex);
        for (const auto& [a, b] : edges) components.join(a, b);
        edges.clear();
      };
      find_edges(set, static_cast<int>(key), each, [&](uint32_t a, uint32_t b) {
        edges.emplace_back(a, b);
        if (edges.size() >= 1 << 16) flush();
      });
      flush();
    }
  });
  return duplicates_of(set, components, options);
}

namespace {

// Keeps or drops the members of one component.
class Component {
 public:
  Component(const SignatureSet& set, const EdgeOptions& options) : set_(set), options_(options) {}

  // `members` in ordinal order.
  void judge(std::span<const uint32_t> members, std::vector<Duplicate>& out) {
    kept_.clear();
    by_key_.clear();
    const size_t first = out.size();
    for (const uint32_t m : members) {
      const Likeness like = likest(m);
      if (like.kept < 0) {
        keep(m);
        continue;
      }
      Kept& kept = kept_[like.kept];
      ++kept.n;
      out.push_back({set_[m].ordinal, set_[kept.index].ordinal, set_[kept.index].line, like.similarity,
                     static_cast<uint32_t>(like.kept), like.exact});
    }
    for (size_t i = first; i < out.size(); ++i) out[i].cluster_size = kept_[out[i].cluster_size].n;
  }

 private:
  struct Kept {
    uint32_t index, n;
  };
  struct Likeness {
    int64_t kept = -1;
    double similarity = -1;
    uint32_t exact = 0;
  };

  void keep(uint32_t index) {
    if (kept_.size() == kCompareAll)
      for (size_t k = 0; k < kept_.size(); ++k) list(k);
    kept_.push_back({index, 1});
    if (kept_.size() > kCompareAll) list(kept_.size() - 1);
  }
  void list(size_t kept) {
    for (int key = 0; key < kKeys; ++key)
      by_key_[key_of(set_[kept_[kept].index], key)].push_back(static_cast<uint32_t>(kept));
  }

  // The kept record that equals this one, or else the one most like it; the earliest of equals.
  Likeness likest(uint32_t index) const {
    Likeness best;
    const Signature& a = set_[index];
    const auto compare = [&](size_t k) {
      const Signature& b = set_[kept_[k].index];
      if (options_.exact && a.exact == b.exact) {
        best = {static_cast<int64_t>(k), 1, 1};
        return true;
      }
      if (!options_.near) return false;
      const double s = similarity(a.minima.data(), b.minima.data());
      if (s > best.similarity && near(a, b, s)) best = {static_cast<int64_t>(k), s, 0};
      return false;
    };
    if (kept_.size() <= kCompareAll) {
      for (size_t k = 0; k < kept_.size(); ++k)
        if (compare(k)) break;
      return best;
    }
    for (int key = kKeys; key-- > 0;) {  // equality first
      const auto found = by_key_.find(key_of(a, key));
      if (found == by_key_.end()) continue;
      for (const uint32_t k : found->second)
        if (compare(k)) return best;
    }
    return best;
  }
  bool near(const Signature& a, const Signature& b, double s) const {
    if (options_.min_similarity > 0) return s >= options_.min_similarity;
    for (int band = 0; band < kBands; ++band)
      if (a.bands[band] == b.bands[band]) return true;
    return false;
  }

  // So many kept records are looked at one by one; where there are more, those that share a key are.
  static constexpr size_t kCompareAll = 1024;

  const SignatureSet& set_;
  const EdgeOptions& options_;
  std::vector<Kept> kept_;
  std::unordered_map<uint64_t, std::vector<uint32_t>> by_key_;
};

}  // namespace

std::vector<Duplicate> duplicates_of(const SignatureSet& set, UnionFind& components,
                                     const EdgeOptions& options) {
  // Members of all components with more than one, those of one component together and in ordinal order.
  std::vector<std::pair<uint32_t, uint32_t>> members;  // root, index
  for (uint64_t i = 0; i < set.size(); ++i) {
    const uint32_t root = components.root(static_cast<uint32_t>(i));
    if (root != i) members.emplace_back(root, static_cast<uint32_t>(i));
  }
  std::vector<uint32_t> roots;
  for (const auto& [root, i] : members) roots.push_back(root);
  std::sort(roots.begin(), roots.end());
  roots.erase(std::unique(roots.begin(), roots.end()), roots.end());
  for (const uint32_t root : roots) members.emplace_back(root, root);
  std::sort(members.begin(), members.end(), [&](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : set[a.second].ordinal < set[b.second].ordinal;
  });
  std::vector<Duplicate> out;
  std::vector<uint32_t> one;
  Component component(set, options);
  for (size_t i = 0; i < members.size();) {
    one.clear();
    const uint32_t root = members[i].first;
    for (; i < members.size() && members[i].first == root; ++i) one.push_back(members[i].second);
    component.judge(one, out);
  }
  std::sort(out.begin(), out.end(),
            [](const Duplicate& a, const Duplicate& b) { return a.ordinal < b.ordinal; });
  return out;
}

}  // namespace ds::filter
