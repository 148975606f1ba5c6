// Code point -> bit mask in two table steps: which of up to 32 character sets it belongs to.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "text/tokenizer/char_set.h"

namespace ds::text {

class CharTable {
 public:
  using Mask = uint32_t;
  static constexpr size_t kMaxSets = 32;

  CharTable() = default;
  // Bit i of a code point's mask: it is in sets[i]. At most kMaxSets sets.
  explicit CharTable(const std::vector<CharSet>& sets);

  Mask ascii(uint8_t c) const { return masks_[c]; }
  Mask operator[](uint32_t code_point) const {
    return masks_[size_t{blocks_[code_point >> kBlockBits]} << kBlockBits | (code_point & (kBlockSize - 1))];
  }

 private:
  static constexpr int kBlockBits = 7;
  static constexpr uint32_t kBlockSize = 1u << kBlockBits;
  std::vector<uint16_t> blocks_;  // block 0 is ASCII and lies first
  std::vector<Mask> masks_;
};

// The character at p, which must be valid UTF-8; length receives its bytes.
inline uint32_t read_char(const char* p, int& length) {
  const auto b = [p](int i) { return static_cast<uint32_t>(static_cast<uint8_t>(p[i])); };
  const uint32_t b0 = b(0);
  if (b0 < 0x80) {
    length = 1;
    return b0;
  }
  if (b0 < 0xE0) {
    length = 2;
    return (b0 & 0x1F) << 6 | (b(1) & 0x3F);
  }
  if (b0 < 0xF0) {
    length = 3;
    return (b0 & 0x0F) << 12 | (b(1) & 0x3F) << 6 | (b(2) & 0x3F);
  }
  length = 4;
  return (b0 & 0x07) << 18 | (b(1) & 0x3F) << 12 | (b(2) & 0x3F) << 6 | (b(3) & 0x3F);
}

}  // namespace ds::text
