// Repetition of n-grams inside one text, as the Gopher rules define it and datatrove computes it.
#pragma once
#include <cstdint>
#include <vector>

#include "filter/text/document.h"

namespace ds::filter {

constexpr int kTopSizes = 3, kDuplicateSizes = 6;

struct RepetitionSizes {
  int top[kTopSizes];              // ascending; the first is counted at every position
  int duplicate[kDuplicateSizes];  // ascending
  bool spaces;                     // the length of an n-gram includes the spaces between its words
};
// Words 2 3 4 and 5..10; characters 3 5 7 and 10 12 .. 20 (the closest to the word sizes on Chinese text).
const RepetitionSizes& repetition_sizes(Script script);

class RepetitionCounter {
 public:
  void start(const std::vector<Word>& words, const RepetitionSizes& sizes);
  // Characters of the most frequent n-gram times its count; ties: the first seen. With `guard`, an n-gram
  // that occurs once counts nothing. Call with i = 0, 1, 2 in this order.
  double top_chars(int i, bool guard);
  // Characters (without spaces) in n-grams seen before, left to right without overlap. Call after top_chars,
  // with i = 0 .. 5 in this order.
  double duplicate_chars(int i);
  // Characters of all words that lie in any n-gram occurring twice or more. Same order of calls.
  double covered_chars(int i);

 private:
  uint64_t key(uint32_t begin, int n) const { return prefix_[begin + n] - prefix_[begin] * powers_[n]; }
  uint32_t length(uint32_t begin, uint32_t n) const { return lengths_[begin + n] - lengths_[begin]; }
  // Counts the n-grams at candidates_ and leaves those that occur twice or more.
  void narrow(int n);
  void drop_unique(int n);

  struct Slot {
    uint64_t key;
    uint32_t count, first;
  };
  const RepetitionSizes* sizes_ = nullptr;
  uint32_t n_words_ = 0;
  std::vector<uint64_t> prefix_;
  std::vector<uint32_t> lengths_;
  std::vector<uint64_t> powers_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> candidates_, slot_of_;
  std::vector<uint64_t> seen_, again_;  // bits
  int narrowed_to_ = 0;
  uint32_t best_count_ = 0, best_first_ = 0;
};

// Elements equal to an earlier one, and their characters. Lines, paragraphs.
struct RepeatedElements {
  uint32_t n = 0, repeated = 0;
  uint64_t chars = 0;
};

}  // namespace ds::filter
