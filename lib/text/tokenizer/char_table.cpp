#include "text/tokenizer/char_table.h"

#include <algorithm>
#include <map>

#include "core/error.h"

namespace ds::text {

CharTable::CharTable(const std::vector<CharSet>& sets) {
  DS_CHECK(sets.size() <= kMaxSets);
  // Where any set begins or ends; between two such places all code points have one mask.
  struct Edge {
    uint32_t at;
    Mask flip;
  };
  std::vector<Edge> edges;
  for (size_t i = 0; i < sets.size(); ++i) {
    const Mask bit = static_cast<Mask>(1u << i);
    for (const CharSet::Range& r : sets[i].ranges()) {
      edges.push_back({r.first, bit});
      edges.push_back({r.last + 1, bit});
    }
  }
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.at < b.at; });

  blocks_.resize((kMaxCodePoint + 1) >> kBlockBits);
  std::map<Mask, uint16_t> uniform;  // most blocks hold one mask throughout and are shared
  Mask mask = 0;
  size_t e = 0;
  for (size_t b = 0; b < blocks_.size(); ++b) {
    const uint32_t begin = static_cast<uint32_t>(b) << kBlockBits, end = begin + kBlockSize;
    while (e < edges.size() && edges[e].at <= begin) mask = static_cast<Mask>(mask ^ edges[e++].flip);
    const bool is_uniform = b != 0 && (e == edges.size() || edges[e].at >= end);
    const uint16_t next = static_cast<uint16_t>(masks_.size() >> kBlockBits);
    if (is_uniform) {
      const auto [it, fresh] = uniform.emplace(mask, next);
      blocks_[b] = it->second;
      if (fresh) masks_.insert(masks_.end(), kBlockSize, mask);
      continue;
    }
    blocks_[b] = next;
    for (uint32_t c = begin; c < end; ++c) {
      while (e < edges.size() && edges[e].at <= c) mask = static_cast<Mask>(mask ^ edges[e++].flip);
      masks_.push_back(mask);
    }
  }
}

}  // namespace ds::text
