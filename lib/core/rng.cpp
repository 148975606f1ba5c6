#include "core/rng.h"

namespace ds {

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> x, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * x[0], p1 = uint64_t{0xCD9E8D57} * x[2];
    x = {static_cast<uint32_t>(p1 >> 32) ^ x[1] ^ key[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ x[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return x;
}

uint32_t CounterRng::next_u32() {
  if (used_ == 4) {
    const auto low = [](uint64_t v) { return static_cast<uint32_t>(v); };
    const auto high = [](uint64_t v) { return static_cast<uint32_t>(v >> 32); };
    block_ =
        philox4x32({low(n_blocks_), high(n_blocks_), low(stream_), high(stream_)}, {low(seed_), high(seed_)});
    ++n_blocks_;
    used_ = 0;
  }
  return block_[used_++];
}

double CounterRng::next_double() {
  const uint64_t high = next_u32() >> 5, low = next_u32() >> 6;
  return static_cast<double>(high << 26 | low) * 0x1p-53;
}

}  // namespace ds
