// Byte pair encoding, over bytes or over characters with bytes to fall back on (SentencePiece's): the "model"
// of tokenizer.json, with tokens held as the bytes they stand for.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ds::text {

// Hash map from (left, right) to (rank, merged): open addressing in one array, one cache line per probe. Most
// pairs of a text do not merge; a bit per hash, eight times as many as merges, answers for nearly all of
// those without touching the array, which is larger than the caches.
class MergeTable {
 public:
  struct Merge {
    uint32_t rank, id;
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  void reserve(size_t n);
  void set(uint32_t left, uint32_t right, Merge merge);  // a later one replaces an earlier one
  template <class F>
  void for_each(F&& f) const {  // f(left, right, merge)
    for (const Slot& s : slots_)
      if (s.key != kEmpty) f(static_cast<uint32_t>(s.key >> 32), static_cast<uint32_t>(s.key), s.merge);
  }
  Merge find(uint32_t left, uint32_t right) const {
    const uint64_t key = pack(left, right);
    const uint64_t bit = bit_of(key);
    if (!(may_have_[bit >> 6] >> (bit & 63) & 1)) return {kNone, kNone};
    for (size_t i = slot_of(key);; i = (i + 1) & mask_) {
      const Slot& slot = slots_[i];
      if (slot.key == key) return slot.merge;
      if (slot.key == kEmpty) return {kNone, kNone};
    }
  }

 private:
  struct Slot {
    uint64_t key;
    Merge merge;
  };
  static constexpr uint64_t kEmpty = UINT64_MAX;
  static uint64_t pack(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }
  static constexpr int kBitsPerSlotLog2 = 2;
  size_t slot_of(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u) >> shift_; }
  size_t bit_of(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u) >> (shift_ - kBitsPerSlotLog2); }
  std::vector<Slot> slots_;
  std::vector<uint64_t> may_have_;
  size_t mask_ = 0;
  int shift_ = 63;
};

// Every token's bytes in one arena, found by id or by bytes.
class TokenTable {
 public:
  static constexpr int64_t kMaxIds = int64_t{1} << 24;
  static constexpr uint32_t kNone = UINT32_MAX;

  // Comes first: index() takes no more than n_tokens.
  void reserve(size_t n_tokens, size_t n_bytes);
  // False when the id is taken. Ids may come in any order and must be below kMaxIds.
  bool add(uint32_t id, std::string_view bytes);
  // Makes the bytes findable; false when another id has the same.
  bool index(uint32_t id);
  uint32_t find(std::string_view bytes) const;

  bool has(uint32_t id) const { return id < spans_.size() && spans_[id].begin != kNone; }
  std::string_view bytes(uint32_t id) const {
    return has(id) ? std::string_view(arena_).substr(spans_[id].begin, spans_[id].length)
                   : std::string_view();
  }
  size_t n_ids() const { return spans_.size(); }

 private:
  struct Span {
    uint32_t begin = kNone, length = 0;
  };
  static constexpr size_t kBitsPerSlot = 4;
  size_t bit_of(uint64_t hash) const { return (hash >> 32) & (kBitsPerSlot * slots_.size() - 1); }
  std::string arena_;
  std::vector<Span> spans_;  // by id
  std::vector<uint32_t> slots_;
  std::vector<uint64_t> may_have_;  // a bit per hash, as in MergeTable
  size_t mask_ = 0, longest_ = 0;
};

// Where a piece may be cut without changing its ids: between two characters that no merge joins. Chinese
// pieces are whole clauses and hardly ever repeat; the words they are cut into do.
class CutTable {
 public:
  // `merges` over whole bytes, as Bpe::finish() has checked.
  void build(const MergeTable& merges, const TokenTable& tokens);
  // Bytes of the piece up to the first cut; all of it when there is none. The piece is not empty.
  size_t first_part(std::string_view piece) const;

 private:
  static constexpr uint32_t kFirst = 0x800, kLast = 0xFFFF;  // characters of three bytes are looked at
  bool may_join(uint32_t left, uint32_t right) const {
    const size_t bit = bit_of(left, right);
    return (pairs_[bit >> 6] >> (bit & 63) & 1) != 0 || joins_any_next_[left] || joins_any_previous_[right];
  }
  size_t bit_of(uint32_t left, uint32_t right) const {
    return ((uint64_t{left} << 16 | right) * 0x9E3779B97F4A7C15u) >> shift_;
  }
  std::vector<uint64_t> pairs_;  // a bit per hash; empty: nothing is ever cut
  int shift_ = 63;
  // By code point: joined with the beginning of a character, or with the end of one.
  std::vector<bool> joins_any_next_, joins_any_previous_;
};

class Bpe {
 public:
  TokenTable tokens;
  MergeTable merges;
  std::vector<uint32_t> byte_ids;  // [256], TokenTable::kNone where the vocabulary lacks the byte
  uint32_t unknown_id = TokenTable::kNone;
  bool fuse_unknown = false;
  bool ignore_merges = false;  // a piece that is a token is emitted whole
  bool by_character = false;   // merging starts from characters that are tokens; byte_ids are for the others

  // Call once when the tables are filled.
  void finish();

  // Appends the ids of one piece (whole characters of valid UTF-8). Time is linear in its length.
  void encode(std::string_view piece, std::vector<int32_t>& out) const;
  // The same for a part of a piece that was cut by `cuts`, which is never a token as a whole.
  void encode_part(std::string_view part, std::vector<int32_t>& out) const;
  CutTable cuts;

 private:
  // Write at most piece.size() start symbols and return how many.
  size_t symbols(std::string_view piece, uint32_t* out) const;
  size_t character_symbols(std::string_view piece, uint32_t* out) const;
  void merge_short(uint32_t* ids, size_t n, std::vector<int32_t>& out) const;
  void merge_long(std::span<const uint32_t> symbols, std::vector<int32_t>& out) const;
  // Where merging one character's bytes by themselves ends, and the highest rank on the way; id kNone: not
  // one token.
  MergeTable::Merge merge_alone(std::string_view character) const;

  bool has_all_bytes_ = false;
  std::vector<uint32_t>
      char_ids_;  // by code point below U+10000: the token to start with, or kNone for its bytes
};

}  // namespace ds::text
