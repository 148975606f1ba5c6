// Signatures for duplicate search: one key for equality but for case, width, accents, spacing and the marks
// of prose, 112 MinHash values in 14 bands of 8.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <vector>

#include "filter/stages/rules.h"
#include "filter/text/document.h"

namespace ds::filter {

constexpr int kBands = 14, kRows = 8, kHashes = kBands * kRows;

// Where a record stands in the whole input: sorted file index, then offset of its line. Orders all records
// and does not depend on threads, batches or shards.
struct Ordinal {
  uint64_t file = 0, offset = 0;
  auto operator<=>(const Ordinal&) const = default;
};

struct Signature {
  Ordinal ordinal;
  uint64_t line = 0;
  std::array<uint64_t, 2> exact{};         // XXH3-128 of the folded words, numbers, operators and brackets
  std::array<uint64_t, kBands> bands{};    // hash of each band's eight minima
  std::array<uint16_t, kHashes> minima{};  // low bits of each minimum, for the estimate
};
static_assert(sizeof(Signature) == 376);

class MinHasher {
 public:
  // Fills all but ordinal and line. A text shorter than a shingle is one shingle: it equals only itself.
  void sign(const Document& doc, int shingle, Signature& out);

 private:
  // A number or an operator: between which shingle units it stands, and what it is.
  struct Beside {
    size_t n_before, behind;
    uint64_t hash;
  };
  void read_words(const Document& doc);

  std::vector<uint32_t> shingles_;
  std::vector<uint64_t> exact_units_;
  std::vector<Beside> beside_;
};

// Jaccard estimate from the minima; chance agreement of 16 bits is subtracted.
double similarity(const uint16_t* a, const uint16_t* b);

}  // namespace ds::filter
