// A hash whose value may be written down: the same on every machine and in every version.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace ds {

// FNV-1a, 64 bits, with the offset basis and prime of its authors (draft-eastlake-fnv). Several texts in a
// row: the hash so far is the seed of the next.
constexpr uint64_t fnv1a(std::string_view bytes, uint64_t seed = 0xCBF29CE484222325u) {
  for (const char c : bytes) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return seed;
}

// Its 16 digits, as they are written down.
inline std::string hex_of(uint64_t hash) {
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; hash >>= 4) text[i] = "0123456789abcdef"[hash & 15];
  return text;
}

}  // namespace ds
