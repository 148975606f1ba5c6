#include "filter/duplicates/minhash.h"

#include <xxhash.h>

#include <algorithm>

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

}  // namespace

void MinHasher::sign(const Document& doc, int shingle, Signature& out) {
  const auto& units = doc.shingle_units;
  // Shingles take all numbers for one, as datatrove does; equality must not: 2 + 3 is no copy of 4 + 5.
  const uint64_t* exact_units = units.data();
  if (doc.script == Script::kSpaced && std::find(units.begin(), units.end(), number_unit()) != units.end()) {
    exact_units_.clear();
    for (const Word& w : doc.words) {
      if (w.symbol) continue;
      const uint64_t unit = units[exact_units_.size()];
      exact_units_.push_back(unit == number_unit() ? w.hash : unit);
    }
    exact_units = exact_units_.data();
  }
  const XXH128_hash_t exact = units.empty() ? XXH3_128bits(doc.text.data(), doc.text.size())
                                            : XXH3_128bits(exact_units, units.size() * sizeof units[0]);
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
