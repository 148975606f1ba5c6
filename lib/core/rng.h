// A counter-based random generator: the n-th number of a stream is a pure function of (seed, stream, n), so a
// record's draws do not depend on which thread, batch or resumed run computes them. Source: Philox4x32-10,
// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
#pragma once
#include <array>
#include <cstdint>

namespace ds {

// One block of four 32-bit numbers for a counter and a key.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

class CounterRng {
 public:
  explicit CounterRng(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}
  uint32_t next_u32();
  // Uniform in [0, 1), 53 bits.
  double next_double();

 private:
  uint64_t seed_, stream_, n_blocks_ = 0;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

}  // namespace ds
