// The two halves of a decoder layer, as the decoder sees them. One file per kind: gqa, mla, mlp, moe.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/architecture.h"
#include "checkpoint/weights.h"
#include "kernels/attention.h"
#include "kernels/kv_append.h"
#include "kernels/matmul.h"
#include "model/model.h"

namespace ds::model {

// One sequence's tokens in a step: [first_token, + n_tokens) of the step, `position`... of the sequence.
struct StepSegment {
  int64_t first_token = 0, n_tokens = 0;
  int64_t position = 0;
  std::span<const KvRows> streams;
};

// One forward pass: T new tokens of one or more sequences.
struct Step {
  const Context& context;
  std::span<const int32_t> tokens;     // [T]
  std::span<const int32_t> positions;  // [T], in the token's sequence
  std::span<const StepSegment> segments;
  std::span<const int64_t> segment_tokens;  // n_tokens of each
  std::span<const TokenRun> runs;           // how the tokens are multiplied
  bool training = false;                    // only what has a backward is chosen, with or without a tape
  int64_t T() const { return static_cast<int64_t>(tokens.size()); }

  // Appends x [T, width] to a stream of every sequence.
  void append(int64_t stream, TensorView x) const {
    const auto jobs = context.arena.list<KvAppendJob>(static_cast<int64_t>(segments.size()));
    for (size_t i = 0; i < segments.size(); ++i) {
      const StepSegment& s = segments[i];
      jobs[i] = {s.first_token, s.n_tokens, s.position, s.streams[stream]};
    }
    kv_append(context, x, jobs);
  }
};

// Takes scratch back at the end of a scope.
class ScratchScope {
 public:
  explicit ScratchScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ScratchScope() { arena_.reset_to(mark_); }
  ScratchScope(const ScratchScope&) = delete;
  ScratchScope& operator=(const ScratchScope&) = delete;

 private:
  Arena& arena_;
  Arena::Mark mark_;
};

class Attention {
 public:
  virtual ~Attention() = default;
  // y [T, D] from the normalised x [T, D]; appends this layer's rows to the caches (whose length is still the
  // old one).
  virtual void forward(const Step& step, TensorView x, TensorView y) const = 0;
};

class Ffn {
 public:
  virtual ~Ffn() = default;
  // y [T, D] from the normalised x [T, D].
  virtual void forward(const Step& step, TensorView x, TensorView y) const = 0;
  // Bytes of weights bound that one token does not read (experts not chosen).
  virtual int64_t idle_bytes_per_token() const { return 0; }
};

}  // namespace ds::model
