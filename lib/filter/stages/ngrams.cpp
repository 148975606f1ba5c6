#include "filter/stages/ngrams.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace ds::filter {
namespace {

constexpr uint64_t kBase = 0x9E3779B97F4A7C15ull;
constexpr int kLargestN = 20;
constexpr size_t kManyPlaces = 1 << 16;

// Above n.
size_t power_of_two(size_t n) { return std::max<size_t>(64, std::bit_ceil(n + 1)); }

}  // namespace

const RepetitionSizes& repetition_sizes(Script script) {
  static const RepetitionSizes words = {{2, 3, 4}, {5, 6, 7, 8, 9, 10}, true};
  static const RepetitionSizes characters = {{3, 5, 7}, {10, 12, 14, 16, 18, 20}, false};
  return script == Script::kHan ? characters : words;
}

void RepetitionCounter::start(const std::vector<Word>& words, const RepetitionSizes& sizes) {
  sizes_ = &sizes;
  n_words_ = static_cast<uint32_t>(words.size());
  prefix_.resize(n_words_ + 1);
  lengths_.resize(n_words_ + 1);
  prefix_[0] = 0;
  lengths_[0] = 0;
  uint64_t h = 0;
  uint32_t l = 0;
  for (uint32_t i = 0; i < n_words_; ++i) {
    prefix_[i + 1] = h = h * kBase + words[i].hash;
    lengths_[i + 1] = l += words[i].length;
  }
  if (powers_.empty()) {
    powers_.resize(kLargestN + 1, 1);
    for (int i = 1; i <= kLargestN; ++i) powers_[i] = powers_[i - 1] * kBase;
  }
  narrowed_to_ = 0;
}

// An n-gram can occur twice only where its first m < n words do: sizes ascend, so each step looks only at the
// places the step before left over. That is what makes nine sizes cost little more than one.
void RepetitionCounter::narrow(int n) {
  if (narrowed_to_ == n) return;
  best_count_ = 0;
  const uint32_t last = n_words_ >= static_cast<uint32_t>(n) ? n_words_ - n + 1 : 0;
  if (narrowed_to_ == 0) {
    candidates_.resize(last);
    for (uint32_t i = 0; i < last; ++i) candidates_[i] = i;
  }
  narrowed_to_ = n;
  while (!candidates_.empty() && candidates_.back() >= last) candidates_.pop_back();
  drop_unique(n);
  // What is left occurs twice as a rule, so that even the smaller table is half empty; the larger one saves
  // steps while it fits the nearest cache.
  const size_t n_slots = power_of_two(candidates_.size() * (candidates_.size() < kManyPlaces ? 2 : 1));
  if (slots_.size() < n_slots) slots_.resize(n_slots);
  std::memset(slots_.data(), 0, n_slots * sizeof(Slot));
  slot_of_.resize(candidates_.size());
  const int shift = 64 - std::countr_zero(n_slots);
  const size_t mask = n_slots - 1;
  for (size_t c = 0; c < candidates_.size(); ++c) {
    const uint32_t i = candidates_[c];
    const uint64_t k = key(i, n);
    size_t s = k >> shift;
    // Whether a place is new is a coin's toss: no branch on it but where slots collide.
    const auto other = [&] {
      return static_cast<int>(slots_[s].count != 0) & static_cast<int>(slots_[s].key != k);
    };
    while (other()) s = (s + 1) & mask;
    Slot& slot = slots_[s];
    slot.key = k;
    slot.first = slot.count ? slot.first : i;
    ++slot.count;
    slot_of_[c] = static_cast<uint32_t>(s);
  }
  size_t kept = 0;
  for (size_t c = 0; c < candidates_.size(); ++c) {
    const Slot& slot = slots_[slot_of_[c]];
    if (slot.count > best_count_) {  // first seen wins ties: candidates ascend
      best_count_ = slot.count;
      best_first_ = slot.first;
    }
    if (slot.count > 1) {
      slot_of_[kept] = slot_of_[c];
      candidates_[kept++] = candidates_[c];
    }
  }
  candidates_.resize(kept);
  slot_of_.resize(kept);
}

// Removes most places whose n-gram occurs once: two bits per hash, small enough for the nearest cache, tell
// "seen" and "seen again" without the branches of a table.
void RepetitionCounter::drop_unique(int n) {
  const size_t n_bits = power_of_two(candidates_.size() * 8);
  const int shift = 64 - std::countr_zero(n_bits);
  seen_.assign(n_bits / 64, 0);
  again_.assign(n_bits / 64, 0);
  slot_of_.resize(candidates_.size());  // here: the bit
  for (size_t c = 0; c < candidates_.size(); ++c) {
    const uint64_t bit = key(candidates_[c], n) >> shift, mask = 1ull << (bit & 63);
    slot_of_[c] = static_cast<uint32_t>(bit);
    again_[bit >> 6] |= seen_[bit >> 6] & mask;
    seen_[bit >> 6] |= mask;
  }
  size_t kept = 0;
  for (size_t c = 0; c < candidates_.size(); ++c) {
    const uint32_t bit = slot_of_[c];
    candidates_[kept] = candidates_[c];
    kept += again_[bit >> 6] >> (bit & 63) & 1;
  }
  candidates_.resize(kept);
}

double RepetitionCounter::top_chars(int i, bool guard) {
  const int n = sizes_->top[i];
  if (n_words_ < static_cast<uint32_t>(n)) return 0;
  narrow(n);
  const uint32_t gaps = sizes_->spaces ? n - 1 : 0;
  if (best_count_ <= 1) return guard ? 0 : length(0, n) + gaps;  // all alike: the first n-gram of the text
  return static_cast<double>(length(best_first_, n) + gaps) * best_count_;
}

double RepetitionCounter::duplicate_chars(int i) {
  const int n = sizes_->duplicate[i];
  if (n_words_ < static_cast<uint32_t>(n)) return 0;
  narrow(n);
  uint64_t chars = 0;
  uint32_t next = 0;
  for (size_t c = 0; c < candidates_.size(); ++c) {
    const uint32_t at = candidates_[c];
    if (at < next) continue;  // inside the n-gram just counted: the reference jumps over it
    Slot& slot = slots_[slot_of_[c]];
    if (slot.count == 0) {  // counts are done with: 0 marks "seen"
      chars += length(at, n);
      next = at + n;
    } else {
      slot.count = 0;
    }
  }
  return static_cast<double>(chars);
}

double RepetitionCounter::covered_chars(int i) {
  const int n = sizes_->duplicate[i];
  if (n_words_ < static_cast<uint32_t>(n)) return 0;
  narrow(n);
  uint64_t chars = 0;
  uint32_t covered_to = 0;
  for (const uint32_t at : candidates_) {
    const uint32_t from = std::max(at, covered_to), to = at + n;
    chars += length(from, to - from);
    covered_to = to;
  }
  return static_cast<double>(chars);
}

}  // namespace ds::filter
