// The lightning indexer of V3.2's sparse attention (spec section 4): scores every earlier token with a few
// cheap heads and keeps the best index_topk. Exact arithmetic: no Hadamard rotation, no FP8 rounding.
#pragma once
#include "kernels/rope.h"
#include "model/layer.h"

namespace ds::model {

class Indexer {
 public:
  // prefix: "model.layers.N.self_attn.indexer."; adds the stream "index_k" of this layer.
  Indexer(const ModelConfig& config, const RopeTable& rope_table, const std::string& prefix, int64_t layer,
          Weights& weights, std::vector<CacheStream>& streams);

  // Appends the keys of the step's tokens to the caches. x: [T, D], the layer's normalised input.
  void append_keys(const Step& step, TensorView x) const;

  // The keys that each token of a segment may see, ascending, into its rows of `selected` [T, topk()] i32.
  // q_latent: [T, Rq], q_a_layernorm's output.
  void select(const Step& step, const StepSegment& segment, TensorView x, TensorView q_latent,
              TensorView selected) const;

  int64_t topk() const { return topk_; }

 private:
  const RopeTable& rope_;
  int64_t D_, Rq_, H_, Di_, topk_;
  WeightView wq_b_;             // [H * Di, Rq]
  WeightView wk_;               // [Di, D]
  WeightView weights_proj_;     // [H, D]
  const float* k_norm_weight_;  // [Di]
  const float* k_norm_bias_;    // [Di]
  int64_t stream_;
};

}  // namespace ds::model
