#include "text/tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <queue>
#include <unordered_map>

#include "core/error.h"
#include "core/utf8.h"
#include "text/tokenizer/char_table.h"

namespace ds::text {
namespace {

// Up to this many symbols the lowest rank is searched by scanning; beyond it they wait in order.
constexpr size_t kShortPiece = 96;
constexpr size_t kShortPieceBytes = 256;

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

bool is_continuation(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

// Merges that may be done, lowest rank first, leftmost first within a rank. A text that becomes one token
// does so by the same merges wherever it stands, so a pair of tokens always arises in the sweep that makes
// the later of the two: from left to right. They wait in line, and the time is linear. (Only an unknown token
// that is also what a merge makes arises at other times; it is put where it belongs.)
class MergeQueue {
 public:
  struct Candidate {
    uint32_t rank, at, merged;
  };
  bool empty() const { return ranks_.empty(); }
  void push(const Candidate& c) {
    if (!last_ || last_rank_ != c.rank) last_ = &lines_[c.rank], last_rank_ = c.rank;
    auto& waiting = last_->waiting;
    if (last_->front == waiting.size()) {
      waiting.clear();
      last_->front = 0;
      ranks_.push(c.rank);
    }
    auto place = waiting.end();
    if (!waiting.empty() && waiting.back().at > c.at)
      place = std::upper_bound(waiting.begin() + static_cast<ptrdiff_t>(last_->front), waiting.end(), c,
                               [](const Candidate& x, const Candidate& y) { return x.at < y.at; });
    waiting.insert(place, c);
  }
  Candidate pop() {
    if (!first_ || first_rank_ != ranks_.top()) first_rank_ = ranks_.top(), first_ = &lines_[first_rank_];
    const Candidate c = first_->waiting[first_->front++];
    if (first_->front == first_->waiting.size()) ranks_.pop();
    return c;
  }

 private:
  struct Line {
    std::vector<Candidate> waiting;
    size_t front = 0;
  };
  std::unordered_map<uint32_t, Line> lines_;                                    // by rank
  std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> ranks_;  // whose line is not empty
  Line *last_ = nullptr, *first_ = nullptr;  // used last by push and by pop
  uint32_t last_rank_ = 0, first_rank_ = 0;
};

}  // namespace

void MergeTable::reserve(size_t n) {
  const size_t n_slots = std::bit_ceil(std::max<size_t>(2 * n, 2));
  slots_.assign(n_slots, {kEmpty, {kNone, kNone}});
  may_have_.assign(std::max<size_t>((n_slots << kBitsPerSlotLog2) / 64, 1), 0);
  mask_ = n_slots - 1;
  shift_ = 64 - std::countr_zero(n_slots);
}

void MergeTable::set(uint32_t left, uint32_t right, Merge merge) {
  const uint64_t key = pack(left, right);
  const uint64_t bit = bit_of(key);
  may_have_[bit >> 6] |= uint64_t{1} << (bit & 63);
  size_t i = slot_of(key);
  while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & mask_;
  slots_[i] = {key, merge};
}

void TokenTable::reserve(size_t n_tokens, size_t n_bytes) {
  arena_.reserve(n_bytes);
  spans_.reserve(n_tokens);
  slots_.assign(std::bit_ceil(std::max<size_t>(2 * n_tokens, 16)), kNone);
  may_have_.assign(kBitsPerSlot * slots_.size() / 64, 0);
  mask_ = slots_.size() - 1;
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
  const std::string_view name = bytes(id);
  const uint64_t hash = hash_bytes(name);
  size_t i = hash & mask_;
  for (; slots_[i] != kNone; i = (i + 1) & mask_)
    if (bytes(slots_[i]) == name) return false;
  slots_[i] = id;
  may_have_[bit_of(hash) >> 6] |= uint64_t{1} << (bit_of(hash) & 63);
  longest_ = std::max(longest_, name.size());
  return true;
}

uint32_t TokenTable::find(std::string_view wanted) const {
  if (slots_.empty() || wanted.size() > longest_) return kNone;
  const uint64_t hash = hash_bytes(wanted);
  if (!(may_have_[bit_of(hash) >> 6] >> (bit_of(hash) & 63) & 1)) return kNone;
  for (size_t i = hash & mask_; slots_[i] != kNone; i = (i + 1) & mask_)
    if (bytes(slots_[i]) == wanted) return slots_[i];
  return kNone;
}

// The first symbol to reach over the place between two characters comes from a merge whose left side ends and
// whose right side begins there. Either may hold only bytes of its character.
void CutTable::build(const MergeTable& merges, const TokenTable& tokens) {
  std::vector<std::pair<uint32_t, uint32_t>> joined;
  joins_any_next_.assign(kLast + 1, false);
  joins_any_previous_.assign(kLast + 1, false);
  merges.for_each([&](uint32_t left_id, uint32_t right_id, MergeTable::Merge) {
    const std::string_view left = tokens.bytes(left_id), right = tokens.bytes(right_id);
    const uint8_t lead = static_cast<uint8_t>(right[0]);
    if (static_cast<uint8_t>(left.back()) < 0x80 || lead < 0xE0 || lead > 0xEF) return;
    size_t begin = left.size() - 1;
    while (begin > 0 && is_continuation(left[begin])) --begin;
    const bool has_previous = !is_continuation(left[begin]);
    const Utf8Char previous = has_previous ? decode_utf8(left.substr(begin)) : Utf8Char();
    const Utf8Char next = decode_utf8(right);
    if (next.length != 0) {
      if (!has_previous) joins_any_previous_[next.code_point] = true;
      if (has_previous && previous.code_point >= kFirst && previous.code_point <= kLast)
        joined.emplace_back(previous.code_point, next.code_point);
    } else if (next.length == 0 && has_previous) {
      if (previous.code_point <= kLast) joins_any_next_[previous.code_point] = true;
    } else if (next.length == 0 && right.size() < 3) {
      // The end of one character and the beginning of the next: all characters that begin so.
      const bool two = right.size() == 2;
      const uint32_t low = (lead & 0xFu) << 12 | (two ? (static_cast<uint8_t>(right[1]) & 0x3Fu) << 6 : 0);
      const uint32_t high = low | (two ? 0x3F : 0xFFF);
      for (uint32_t c = low; c <= high; ++c) joins_any_previous_[c] = true;
    }
  });
  const size_t n_bits = std::bit_ceil(std::max<size_t>(16 * joined.size(), 64));
  pairs_.assign(n_bits / 64, 0);
  shift_ = 64 - std::countr_zero(n_bits);
  for (const auto& [left, right] : joined) {
    const size_t bit = bit_of(left, right);
    pairs_[bit >> 6] |= uint64_t{1} << (bit & 63);
  }
}

size_t CutTable::first_part(std::string_view piece) const {
  const char* const begin = piece.data();
  const char* const end = begin + piece.size();
  if (pairs_.empty()) return piece.size();
  uint32_t previous = 0;
  for (const char* p = begin; p != end;) {
    int length = 0;
    const uint32_t c = read_char(p, length);
    if (length == 3 && previous != 0 && !may_join(previous, c)) return static_cast<size_t>(p - begin);
    previous = length == 3 ? c : 0;
    p += length;
  }
  return piece.size();
}

MergeTable::Merge Bpe::merge_alone(std::string_view character) const {
  uint32_t ids[4];
  size_t n = character.size();
  for (size_t i = 0; i < n; ++i) ids[i] = byte_ids[static_cast<uint8_t>(character[i])];
  uint32_t highest = 0;
  while (n > 1) {
    size_t best = 0;
    MergeTable::Merge lowest{MergeTable::kNone, MergeTable::kNone};
    for (size_t i = 0; i + 1 < n; ++i) {
      const MergeTable::Merge m = merges.find(ids[i], ids[i + 1]);
      if (m.rank < lowest.rank) lowest = m, best = i;
    }
    if (lowest.rank == MergeTable::kNone) return {MergeTable::kNone, MergeTable::kNone};
    highest = std::max(highest, lowest.rank);
    ids[best] = lowest.id;
    --n;
    std::copy(ids + best + 2, ids + n + 1, ids + best + 1);
  }
  return {highest, ids[0]};
}

// Most multi-byte characters always become one token before anything else happens to their bytes, and merging
// may as well start from that token: a third of the symbols in Chinese text. That is exact for a character
// when every merge that could interfere comes later than the last of its own merges (rank R):
// - a neighbour merging with the front part of it: merges whose right side is an unfinished character,
// - its back part merging with a neighbour: merges from continuation bytes to the start of a character,
// - the whole character merging (only in odd files is that ranked before R).
void Bpe::finish() {
  has_all_bytes_ =
      std::all_of(byte_ids.begin(), byte_ids.end(), [](uint32_t id) { return id != TokenTable::kNone; });
  if (!has_all_bytes_ || by_character) return;
  cuts.build(merges, tokens);
  enum Shape : uint8_t { kOther, kFront, kBack, kWhole };
  std::vector<Shape> shapes(tokens.n_ids(), kOther);
  for (uint32_t id = 0; id < tokens.n_ids(); ++id) {
    const std::string_view s = tokens.bytes(id);
    if (s.empty() || s.size() > 4 || static_cast<uint8_t>(s[0]) < 0x80) continue;
    if (std::all_of(s.begin(), s.end(), is_continuation)) {
      shapes[id] = kBack;
    } else if (!is_continuation(s[0]) && std::all_of(s.begin() + 1, s.end(), is_continuation)) {
      const Utf8Char c = decode_utf8(s);
      if (c.length == static_cast<int>(s.size())) shapes[id] = kWhole;
      if (c.length == 0 && c.invalid_length == static_cast<int>(s.size())) shapes[id] = kFront;
    }
  }
  std::vector<uint32_t> earliest(tokens.n_ids(),
                                 MergeTable::kNone);  // rank of the first merge that interferes
  merges.for_each([&](uint32_t left, uint32_t right, MergeTable::Merge m) {
    const auto note = [&](uint32_t id) { earliest[id] = std::min(earliest[id], m.rank); };
    if (shapes[left] == kWhole || (shapes[left] == kBack && !is_continuation(tokens.bytes(right)[0])))
      note(left);
    if (shapes[right] == kWhole || shapes[right] == kFront) note(right);
  });
  for (uint32_t id = 0; id < tokens.n_ids(); ++id) {
    if (shapes[id] != kWhole) continue;
    const std::string_view s = tokens.bytes(id);
    const uint32_t code_point = decode_utf8(s).code_point;
    const MergeTable::Merge alone = merge_alone(s);
    if (code_point > 0xFFFF || alone.id != id) continue;
    bool safe = alone.rank < earliest[id];
    for (size_t i = 1; i < s.size(); ++i) {
      const uint32_t front = tokens.find(s.substr(0, i)), back = tokens.find(s.substr(i));
      safe = safe && (front == TokenTable::kNone || alone.rank < earliest[front]) &&
             (back == TokenTable::kNone || alone.rank < earliest[back]);
    }
    if (!safe) continue;
    if (char_ids_.empty()) char_ids_.assign(0x10000, TokenTable::kNone);
    char_ids_[code_point] = id;
  }
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& out) const {
  const uint32_t id = ignore_merges ? tokens.find(piece) : TokenTable::kNone;
  if (id != TokenTable::kNone)
    out.push_back(static_cast<int32_t>(id));
  else
    encode_part(piece, out);
}

void Bpe::encode_part(std::string_view piece, std::vector<int32_t>& out) const {
  if (piece.size() <= kShortPieceBytes) {
    uint32_t ids[kShortPieceBytes];
    const size_t n = symbols(piece, ids);
    if (n <= kShortPiece)
      merge_short(ids, n, out);
    else
      merge_long({ids, n}, out);
    return;
  }
  std::vector<uint32_t> ids(piece.size());
  ids.resize(symbols(piece, ids.data()));
  merge_long(ids, out);
}

size_t Bpe::character_symbols(std::string_view piece, uint32_t* out) const {
  uint32_t* const begin = out;
  bool after_unknown = false;
  for (size_t i = 0; i < piece.size();) {
    int length = 0;
    read_char(piece.data() + i, length);
    const std::string_view character = piece.substr(i, static_cast<size_t>(length));
    i += character.size();
    const uint32_t id = tokens.find(character);
    bool known = id != TokenTable::kNone;
    if (known) {
      *out++ = id;
    } else if (std::all_of(character.begin(), character.end(),
                           [&](char c) { return byte_ids[static_cast<uint8_t>(c)] != TokenTable::kNone; })) {
      for (const char c : character) *out++ = byte_ids[static_cast<uint8_t>(c)];
      known = true;
    } else if (unknown_id != TokenTable::kNone && !(fuse_unknown && after_unknown)) {
      *out++ = unknown_id;
    }
    after_unknown = !known;
  }
  return static_cast<size_t>(out - begin);
}

size_t Bpe::symbols(std::string_view piece, uint32_t* out) const {
  if (by_character) return character_symbols(piece, out);
  uint32_t* const begin = out;
  if (has_all_bytes_) {
    for (size_t i = 0; i < piece.size();) {
      const uint8_t b = static_cast<uint8_t>(piece[i]);
      if (b >= 0x80 && !char_ids_.empty()) {
        int length = 0;
        const uint32_t code_point = read_char(piece.data() + i, length);
        const uint32_t id = code_point < char_ids_.size() ? char_ids_[code_point] : TokenTable::kNone;
        if (id != TokenTable::kNone) {
          *out++ = id;
          i += static_cast<size_t>(length);
          continue;
        }
        for (; length > 0; --length) *out++ = byte_ids[static_cast<uint8_t>(piece[i++])];
        continue;
      }
      *out++ = byte_ids[b];
      ++i;
    }
    return static_cast<size_t>(out - begin);
  }
  // A byte that the vocabulary lacks becomes the unknown token, or nothing where there is none.
  bool after_unknown = false;
  for (const char c : piece) {
    const uint32_t id = byte_ids[static_cast<uint8_t>(c)];
    if (id != TokenTable::kNone) {
      *out++ = id;
    } else if (unknown_id != TokenTable::kNone && !(fuse_unknown && after_unknown)) {
      *out++ = unknown_id;
    }
    after_unknown = id == TokenTable::kNone;
  }
  return static_cast<size_t>(out - begin);
}

void Bpe::merge_short(uint32_t* ids, size_t n, std::vector<int32_t>& out) const {
  uint64_t pairs[kShortPiece];  // rank << 32 | merged id of (i, i + 1): the smallest is the lowest rank,
                                // leftmost first
  const auto pair_at = [&](size_t i) {
    const MergeTable::Merge m = merges.find(ids[i], ids[i + 1]);
    return uint64_t{m.rank} << 32 | m.id;
  };
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
    std::copy(ids + best + 2, ids + n + 1, ids + best + 1);
    if (best + 1 < n) std::copy(pairs + best + 1, pairs + n, pairs + best);
    if (best + 1 < n) pairs[best] = pair_at(best);
    if (best > 0) pairs[best - 1] = pair_at(best - 1);
  }
  for (size_t i = 0; i < n; ++i) out.push_back(static_cast<int32_t>(ids[i]));
}

void Bpe::merge_long(std::span<const uint32_t> symbols, std::vector<int32_t>& out) const {
  constexpr uint32_t kEnd = UINT32_MAX;
  if (symbols.size() >= kEnd)
    throw Error(ErrorKind::kBadData, "one piece of text is longer than 4 GiB", "tokenizer");
  struct Symbol {
    uint32_t id, previous, next;
    uint32_t merged;  // what this and the next become; kNone when they do not merge, or this one is gone
  };
  const uint32_t n = static_cast<uint32_t>(symbols.size());
  if (n == 0) return;
  std::vector<Symbol> list(n);
  MergeQueue queue;
  const auto look = [&](uint32_t at) {
    Symbol& s = list[at];
    s.merged = MergeTable::kNone;
    if (s.next == kEnd) return;
    const MergeTable::Merge m = merges.find(s.id, list[s.next].id);
    if (m.rank == MergeTable::kNone) return;
    s.merged = m.id;
    queue.push({m.rank, at, m.id});
  };
  for (uint32_t i = 0; i < n; ++i)
    list[i] = {symbols[i], i - 1, i + 1 == n ? kEnd : i + 1, MergeTable::kNone};
  for (uint32_t i = 0; i + 1 < n; ++i) look(i);
  while (!queue.empty()) {
    const MergeQueue::Candidate c = queue.pop();
    Symbol& s = list[c.at];
    if (s.merged != c.merged) continue;  // one of the two has changed since
    const uint32_t gone = s.next;
    s.id = c.merged;
    s.next = list[gone].next;
    list[gone].merged = MergeTable::kNone;
    if (s.next != kEnd) list[s.next].previous = c.at;
    if (c.at != 0) look(s.previous);
    look(c.at);
  }
  for (uint32_t i = 0; i != kEnd; i = list[i].next) out.push_back(static_cast<int32_t>(list[i].id));
}

}  // namespace ds::text
