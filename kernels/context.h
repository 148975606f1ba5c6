// How ops run: on which threads, with which kernels, with what scratch memory. Passed to every op; owns
// nothing.
#pragma once
#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/arena.h"

namespace ds::kernels {

// What matrix products over many tokens (prefill) do with activations. Decode always keeps float32.
enum class Activations {
  kF32,   // float32, or split into two bfloat16 terms where the CPU multiplies bfloat16: equal to rounding
  kBF16,  // rounded to bfloat16: about twice as fast where the CPU multiplies bfloat16, no effect elsewhere
};

struct Policy {
  Isa isa = Isa::kScalar;
  Activations activations = Activations::kF32;
};

// Memory that nobody may touch outside of ops: each op opens it when it begins and closes it when it ends.
class MemoryGate {
 public:
  virtual ~MemoryGate() = default;
  virtual void open() = 0;
  virtual void close() = 0;
};

class Tape;

struct Context {
  ThreadPool* pool = nullptr;  // may be null where the arena only measures
  Arena& arena;
  Policy policy;
  Device device = Device::kCpu;
  MemoryGate* gate = nullptr;  // set where device is kGuarded
  Tape* tape = nullptr;        // where ops leave what their backward needs (kernels/tape.h); null: nowhere

  // The same with activations in float32, for what must not be rounded: routers, indexers.
  Context exact() const { return {pool, arena, {policy.isa, Activations::kF32}, device, gate, tape}; }
  // The same without a tape: for what nobody walks back.
  Context untaped() const { return {pool, arena, policy, device, gate}; }
  int n_threads() const { return arena.measuring() ? arena.measured_threads() : pool->n_threads(); }
};

}  // namespace ds::kernels
