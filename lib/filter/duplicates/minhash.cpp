#include "filter/duplicates/minhash.h"

#include <xxhash.h>

#include <algorithm>
#include <string_view>

#include "filter/text/characters.h"
#include "filter/text/clones.h"

namespace ds::filter {
namespace {

struct Permutations {
  alignas(64) uint32_t a[kHashes];
  alignas(64) uint32_t b[kHashes];
  Permutations() {
    uint64_t state = 0x6473746f6f6c7331ull;  // "dstools1": changing it makes old signature files useless
    const auto next = [&] {                  // splitmix64
      uint64_t z = state += 0x9E3779B97F4A7C15ull;
      z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
      z = (z ^ z >> 27) * 0x94D049BB133111EBull;
      return static_cast<uint32_t>(z ^ z >> 31);
    };
    for (int i = 0; i < kHashes; ++i) {
      a[i] = next() | 1;  // odd: x > a x + b is a permutation of 32-bit numbers
      b[i] = next();
    }
  }
};

const Permutations& permutations() {
  static const Permutations p;
  return p;
}

DS_CLONES void minima_of(const uint32_t* shingles, size_t n, const uint32_t* a, const uint32_t* b,
                         uint32_t* minima) {
  for (int i = 0; i < kHashes; ++i) minima[i] = 0xFFFFFFFFu;
  for (size_t s = 0; s < n; ++s) {
    const uint32_t x = shingles[s];
    for (int i = 0; i < kHashes; ++i) {
      const uint32_t h = a[i] * x + b[i];
      minima[i] = h < minima[i] ? h : minima[i];
    }
  }
}

constexpr uint64_t kBase = 0x9E3779B97F4A7C15ull;

// Signs without which a text says something else: operators and brackets of programs and formulas. Marks of
// prose, . , ; : ? and quotes, are none.
bool has_meaning(uint32_t c) {
  constexpr std::u32string_view kSigns = U"<>+-*/=%^&|~()[]{}@#$\\×÷±≤≥≠−·√";
  return kSigns.find(static_cast<char32_t>(c)) != kSigns.npos;
}

// Those of them that stand between what they join; a hyphen mostly joins words of prose.
bool is_operator(uint32_t c) {
  constexpr std::u32string_view kOperators = U"<>+*/=%^&|~×÷±≤≥≠−√";
  return kOperators.find(static_cast<char32_t>(c)) != kOperators.npos;
}

}  // namespace

// The units of equality, and what counts beside the shingles.
void MinHasher::read_words(const Document& doc) {
  const LetterTable& table = LetterTable::instance();
  const bool han = doc.script == Script::kHan;  // a word is a character there
  exact_units_.clear();
  beside_.clear();
  size_t unit = 0;
  for (const Word& w : doc.words) {
    if (han ? doc.flags[w.begin] & (kAlpha | kDigit) : !w.symbol) {
      uint64_t hash = doc.shingle_units[unit];
      if (!han && hash == number_unit()) {
        hash = kHashSeed;
        for (uint32_t i = w.begin; i < w.begin + w.length; ++i)
          hash = (hash ^ table.fold(doc.chars[i])) * kHashPrime;
        hash = mix_hash(hash);
        beside_.push_back({unit, unit + 1, hash});
      }
      exact_units_.push_back(hash);
      ++unit;
      continue;
    }
    uint64_t hash = kHashSeed;
    bool joins = false;
    for (uint32_t i = w.begin; i < w.begin + w.length; ++i) {
      const uint32_t c = table.fold(doc.chars[i]);
      hash = (hash ^ c) * kHashPrime;
      joins = joins || is_operator(c);
      // "!x" is another thing than x, "yes!" is not.
      const bool negates = c == '!' && i + 1 < doc.size() &&
                           ((doc.flags[i + 1] & (kAlpha | kDigit)) || doc.chars[i + 1] == '(');
      // A full-width 1 is a symbol to datatrove.
      if (negates || has_meaning(c) || (doc.flags[i] & kDigit)) exact_units_.push_back(hash_char(c));
    }
    if (joins) beside_.push_back({unit, unit, mix_hash(hash)});
  }
}

void MinHasher::sign(const Document& doc, int shingle, Signature& out) {
  const auto& units = doc.shingle_units;
  beside_.clear();
  const uint64_t* exact_units = units.data();
  size_t n_exact = units.size();
  if (!doc.words.empty()) {
    read_words(doc);
    exact_units = exact_units_.data();
    n_exact = exact_units_.size();
  }
  const XXH128_hash_t exact = units.empty() ? XXH3_128bits(doc.text.data(), doc.text.size())
                                            : XXH3_128bits(exact_units, n_exact * sizeof units[0]);
  out.exact = {exact.low64, exact.high64};
  shingles_.clear();
  if (units.size() <= static_cast<size_t>(shingle)) {
    shingles_.push_back(static_cast<uint32_t>(exact.low64 >> 32));
  } else {
    uint64_t power = 1, h = 0;
    for (int i = 0; i < shingle; ++i) {
      h = h * kBase + units[i];
      power *= kBase;
    }
    shingles_.push_back(static_cast<uint32_t>(mix_hash(h) >> 32));
    for (size_t i = shingle; i < units.size(); ++i) {
      h = h * kBase + units[i] - power * units[i - shingle];
      shingles_.push_back(static_cast<uint32_t>(mix_hash(h) >> 32));
    }
    // Shingles take all numbers for one, as datatrove does, and pass over operators; each counts beside them
    // with the unit before it and with the one behind it. So what differs in these alone is less alike, the
    // more of it they are.
    for (const Beside& x : beside_) {
      const uint64_t before = x.n_before ? units[x.n_before - 1] : 0;
      const uint64_t behind = x.behind < units.size() ? units[x.behind] : 0;
      shingles_.push_back(static_cast<uint32_t>(mix_hash(before * kBase + x.hash) >> 32));
      shingles_.push_back(static_cast<uint32_t>(mix_hash(x.hash * kBase + behind) >> 32));
    }
  }
  alignas(64) uint32_t minima[kHashes];
  const Permutations& p = permutations();
  minima_of(shingles_.data(), shingles_.size(), p.a, p.b, minima);
  for (int b = 0; b < kBands; ++b)
    out.bands[b] = XXH3_64bits_withSeed(minima + b * kRows, kRows * sizeof minima[0], b);
  for (int i = 0; i < kHashes; ++i) out.minima[i] = static_cast<uint16_t>(minima[i]);
}

double similarity(const uint16_t* a, const uint16_t* b) {
  int equal = 0;
  for (int i = 0; i < kHashes; ++i) equal += a[i] == b[i];
  const double chance = 1.0 / 65536, p = static_cast<double>(equal) / kHashes;
  return std::max(0.0, (p - chance) / (1 - chance));
}

}  // namespace ds::filter
