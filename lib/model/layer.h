// The two halves of a decoder layer, as the decoder sees them. One file per kind: gqa, mla, mlp, moe.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/weights.h"
#include "model/model.h"

namespace ds::model {

// One forward pass: T new tokens of one or more sequences.
struct Step {
  const Exec& exec;
  Workspace& workspace;
  std::span<const Segment> segments;
  std::span<const int32_t> tokens;
  int64_t T() const { return static_cast<int64_t>(tokens.size()); }
};

class Attention {
 public:
  virtual ~Attention() = default;
  // y [T, D] from the normalised x [T, D]; appends this layer's rows to the caches (whose length is still the
  // old one).
  virtual void forward(const Step& step, const float* x, float* y) const = 0;
  virtual int64_t workspace_floats(int64_t max_tokens, int64_t max_context, int n_threads) const = 0;
};

class Ffn {
 public:
  virtual ~Ffn() = default;
  // y [T, D] from the normalised x [T, D].
  virtual void forward(const Step& step, const float* x, float* y) const = 0;
  virtual int64_t workspace_floats(int64_t max_tokens, int n_threads) const = 0;
  // Bytes of weights bound that one token does not read (experts not chosen).
  virtual int64_t idle_bytes_per_token() const { return 0; }
};

}  // namespace ds::model
