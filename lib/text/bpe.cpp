#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"

namespace ds {
namespace {

// Up to this many symbols the lowest rank is searched by scanning; beyond it a heap takes over.
constexpr size_t kShortPiece = 96;

uint64_t hash_bytes(std::string_view s) {
  uint64_t h = s.size() * 0x9E3779B97F4A7C15u;
  const auto mix = [&h](uint64_t v) {
    h = (h ^ v) * 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
  };
  size_t i = 0;
  for (; i + 8 <= s.size(); i += 8) {
    uint64_t v;
    std::memcpy(&v, s.data() + i, 8);
    mix(v);
  }
  if (i < s.size()) {
    uint64_t v = 0;
    std::memcpy(&v, s.data() + i, s.size() - i);
    mix(v);
  }
  return h ^ h >> 29;
}

}  // namespace

void MergeTable::reserve(size_t n) {
  const size_t n_slots = std::bit_ceil(std::max<size_t>(2 * n, 2));
  slots_.assign(n_slots, {kEmpty, {kNone, kNone}});
  mask_ = n_slots - 1;
  shift_ = 64 - std::countr_zero(n_slots);
}

void MergeTable::set(uint32_t left, uint32_t right, Merge merge) {
  const uint64_t key = pack(left, right);
  size_t i = slot_of(key);
  while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & mask_;
  slots_[i] = {key, merge};
}

void TokenTable::reserve(size_t n_tokens, size_t n_bytes) {
  arena_.reserve(n_bytes);
  spans_.reserve(n_tokens);
  slots_.assign(std::bit_ceil(std::max<size_t>(2 * n_tokens, 16)), kNone);
  mask_ = slots_.size() - 1;
  n_indexed_ = 0;
}

bool TokenTable::add(uint32_t id, std::string_view bytes) {
  if (id >= spans_.size()) spans_.resize(size_t{id} + 1);
  if (spans_[id].begin != kNone) return false;
  DS_CHECK(arena_.size() + bytes.size() < kNone);
  spans_[id] = {static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(bytes.size())};
  arena_ += bytes;
  return true;
}

bool TokenTable::index(uint32_t id) {
  if (2 * (n_indexed_ + 1) > slots_.size()) grow();
  size_t i = hash_bytes(bytes(id)) & mask_;
  for (; slots_[i] != kNone; i = (i + 1) & mask_)
    if (bytes(slots_[i]) == bytes(id)) return false;
  slots_[i] = id;
  ++n_indexed_;
  return true;
}

void TokenTable::grow() {
  std::vector<uint32_t> old = std::move(slots_);
  slots_.assign(std::max<size_t>(16, 2 * old.size()), kNone);
  mask_ = slots_.size() - 1;
  for (const uint32_t id : old) {
    if (id == kNone) continue;
    size_t i = hash_bytes(bytes(id)) & mask_;
    while (slots_[i] != kNone) i = (i + 1) & mask_;
    slots_[i] = id;
  }
}

uint32_t TokenTable::find(std::string_view wanted) const {
  if (slots_.empty()) return kNone;
  for (size_t i = hash_bytes(wanted) & mask_; slots_[i] != kNone; i = (i + 1) & mask_)
    if (bytes(slots_[i]) == wanted) return slots_[i];
  return kNone;
}

void Bpe::finish() {
  has_all_bytes_ =
      std::all_of(byte_ids.begin(), byte_ids.end(), [](uint32_t id) { return id != TokenTable::kNone; });
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& out) const {
  if (ignore_merges) {
    const uint32_t id = tokens.find(piece);
    if (id != TokenTable::kNone) {
      out.push_back(static_cast<int32_t>(id));
      return;
    }
  }
  if (has_all_bytes_ && piece.size() <= kShortPiece) {
    merge_short(piece, out);
    return;
  }
  std::vector<uint32_t> list;
  symbols(piece, list);
  merge_long(list, out);
}

// One symbol per byte; a byte that the vocabulary lacks becomes the unknown token, or nothing where there is
// none.
void Bpe::symbols(std::string_view piece, std::vector<uint32_t>& out) const {
  out.reserve(piece.size());
  bool after_unknown = false;
  for (const char c : piece) {
    const uint32_t id = byte_ids[static_cast<uint8_t>(c)];
    if (id != TokenTable::kNone) {
      out.push_back(id);
    } else if (unknown_id != TokenTable::kNone && !(fuse_unknown && after_unknown)) {
      out.push_back(unknown_id);
    }
    after_unknown = id == TokenTable::kNone;
  }
}

void Bpe::merge_short(std::string_view piece, std::vector<int32_t>& out) const {
  uint32_t ids[kShortPiece];
  uint64_t pairs[kShortPiece];  // rank << 32 | merged id of (i, i + 1): the smallest is the lowest rank,
                                // leftmost first
  size_t n = piece.size();
  const auto pair_at = [&](size_t i) {
    const MergeTable::Merge m = merges.find(ids[i], ids[i + 1]);
    return uint64_t{m.rank} << 32 | m.id;
  };
  for (size_t i = 0; i < n; ++i) ids[i] = byte_ids[static_cast<uint8_t>(piece[i])];
  for (size_t i = 0; i + 1 < n; ++i) pairs[i] = pair_at(i);
  while (n > 1) {
    size_t best = 0;
    uint64_t lowest = pairs[0];
    for (size_t i = 1; i + 1 < n; ++i) {
      if (pairs[i] < lowest) lowest = pairs[i], best = i;
    }
    if (lowest == UINT64_MAX) break;
    ids[best] = static_cast<uint32_t>(lowest);
    --n;
    std::memmove(ids + best + 1, ids + best + 2, (n - best - 1) * sizeof *ids);
    std::memmove(pairs + best, pairs + best + 1, (n - best) * sizeof *pairs);
    if (best + 1 < n) pairs[best] = pair_at(best);
    if (best > 0) pairs[best - 1] = pair_at(best - 1);
  }
  for (size_t i = 0; i < n; ++i) out.push_back(static_cast<int32_t>(ids[i]));
}

void Bpe::merge_long(const std::vector<uint32_t>& symbols, std::vector<int32_t>& out) const {
  constexpr uint32_t kEnd = UINT32_MAX;
  if (symbols.size() >= kEnd)
    throw Error(ErrorKind::kBadData, "one piece of text is longer than 4 GiB", "tokenizer");
  struct Symbol {
    uint32_t id, previous, next;
    uint32_t merged;  // what this and the next become; kNone when they do not merge, or this one is gone
  };
  struct Candidate {
    uint32_t rank, at, merged;
    bool operator<(const Candidate& o) const {
      return rank != o.rank ? rank > o.rank : at > o.at;
    }  // min-heap
  };
  const uint32_t n = static_cast<uint32_t>(symbols.size());
  if (n == 0) return;
  std::vector<Symbol> list(n);
  std::vector<Candidate> heap;
  const auto look = [&](uint32_t at) -> bool {
    Symbol& s = list[at];
    s.merged = MergeTable::kNone;
    if (s.next == kEnd) return false;
    const MergeTable::Merge m = merges.find(s.id, list[s.next].id);
    if (m.rank == MergeTable::kNone) return false;
    s.merged = m.id;
    heap.push_back({m.rank, at, m.id});
    return true;
  };
  for (uint32_t i = 0; i < n; ++i)
    list[i] = {symbols[i], i - 1, i + 1 == n ? kEnd : i + 1, MergeTable::kNone};
  for (uint32_t i = 0; i + 1 < n; ++i) look(i);
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Candidate c = heap.back();
    heap.pop_back();
    Symbol& s = list[c.at];
    if (s.merged != c.merged) continue;  // one of the two has changed since
    const uint32_t gone = s.next;
    s.id = c.merged;
    s.next = list[gone].next;
    list[gone].merged = MergeTable::kNone;
    if (s.next != kEnd) list[s.next].previous = c.at;
    if (look(c.at)) std::push_heap(heap.begin(), heap.end());
    if (c.at != 0 && look(s.previous)) std::push_heap(heap.begin(), heap.end());
  }
  for (uint32_t i = 0; i != kEnd; i = list[i].next) out.push_back(static_cast<int32_t>(list[i].id));
}

}  // namespace ds
