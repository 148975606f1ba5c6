#include "core/rng.h"

#include <doctest/doctest.h>

#include <cmath>
#include <set>

using namespace ds;

TEST_CASE("Philox4x32-10 gives Random123's published answers") {
  using Block = std::array<uint32_t, 4>;
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const uint32_t ones = 0xffffffff;
  CHECK(philox4x32({ones, ones, ones, ones}, {ones, ones}) ==
        Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a stream is a pure function of seed, stream and position") {
  CounterRng a(42, 7), b(42, 7), other_stream(42, 8), other_seed(43, 7);
  int n_same_stream = 0, n_same_seed = 0;
  for (int i = 0; i < 1000; ++i) {
    const uint32_t x = a.next_u32();
    CHECK(x == b.next_u32());
    n_same_stream += x == other_stream.next_u32();
    n_same_seed += x == other_seed.next_u32();
  }
  CHECK(n_same_stream < 3);
  CHECK(n_same_seed < 3);
  // The first block is the cipher of counter 0 under the seed.
  CounterRng zero(0, 0);
  CHECK(zero.next_u32() == 0x6627e8d5);
  CHECK(zero.next_u32() == 0xe169c58d);
}

TEST_CASE("doubles are uniform in [0, 1)") {
  CounterRng rng(1);
  double sum = 0, sum_squares = 0, low = 1, high = 0;
  constexpr int kN = 200000;
  for (int i = 0; i < kN; ++i) {
    const double x = rng.next_double();
    REQUIRE(x >= 0.0);
    REQUIRE(x < 1.0);
    sum += x, sum_squares += x * x;
    low = std::min(low, x), high = std::max(high, x);
  }
  // Six standard errors.
  CHECK(std::fabs(sum / kN - 0.5) < 6 * std::sqrt(1.0 / 12 / kN));
  CHECK(std::fabs(sum_squares / kN - 1.0 / 3) < 6 * std::sqrt(4.0 / 45 / kN));
  CHECK(low < 1e-3);
  CHECK(high > 1 - 1e-3);
}
