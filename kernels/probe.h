// What this machine can do at best: the yardsticks that kernels are held against.
#pragma once
#include <cstdint>

#include "core/cpu.h"
#include "core/parallel.h"

namespace ds::kernels {

// Bytes per second read from memory by all threads of the pool: 64-byte loads over `bytes` (far beyond the
// caches) with the prefetch distance of the matrix kernels, the best of `rounds`.
double probe_read_bandwidth(ThreadPool& pool, Isa isa, int64_t bytes, int rounds);

// Floating-point operations per second of the level's widest multiply-add on registers alone, all threads,
// the best of `rounds`: float32 FMA, or bfloat16 products where the level has them.
struct PeakFlops {
  double f32 = 0;
  double bf16 = 0;  // 0 where the level has none
};
PeakFlops probe_peak_flops(ThreadPool& pool, Isa isa, int rounds);

struct ProbeKernels {
  const char* name;
  // Reads bytes [begin, end) of 64-byte lines; returns something that depends on all of them.
  float (*read)(const void* data, int64_t n_bytes, int64_t prefetch_bytes);
  // Runs n_rounds of independent multiply-adds; returns the operations done in *flops.
  float (*multiply_add)(int64_t n_rounds, double* flops);
};

}  // namespace ds::kernels
