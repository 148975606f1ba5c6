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

  // Appends the keys of n tokens at `position` to the cache. x: [n, D], the layer's normalised input.
  void append_keys(const Step& step, KvSequence& cache, int64_t position, int64_t n, const float* x) const;

  // The keys each of n tokens at `position` may see, ascending. q_latent: [n, Rq], q_a_layernorm's output.
  // selected: [n, topk()], n_selected: [n].
  void select(const Step& step, const KvSequence& cache, int64_t position, int64_t n, const float* x,
              const float* q_latent, int32_t* selected, int32_t* n_selected) const;

  int64_t topk() const { return topk_; }
  int64_t workspace_floats(int64_t max_tokens, int64_t max_context, int n_threads) const;

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
