// How an op runs: which kernels and on which threads. Passed to every op; owns nothing.
#pragma once
#include "core/cpu.h"
#include "core/parallel.h"

namespace ds::kernels {

// What matrix products over many tokens (prefill) do with activations. Decode always keeps float32.
enum class Activations {
  kF32,   // float32, or split into two bfloat16 terms where the CPU multiplies bfloat16: equal to rounding
  kBF16,  // rounded to bfloat16: about twice as fast where the CPU multiplies bfloat16, no effect elsewhere
};

struct Exec {
  ThreadPool& pool;
  Isa isa = Isa::kScalar;
  Activations activations = Activations::kF32;
};

}  // namespace ds::kernels
