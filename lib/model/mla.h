// Multi-head latent attention of V2 and V3 (spec sections 2.2, 2.3, 3.4), with V3.2's indexer where there is
// one.
//
// The cache holds one row per token: the normalised latent and the rotated rope key, [Rkv | Dr]. Prefill
// expands it to per-head keys and values (un-absorbed: fewer operations per key); decode keeps it and moves
// kv_b_proj to the query and the output (absorbed: the cache is all that is read). Both give the same result
// up to rounding.
#pragma once
#include <memory>

#include "kernels/rope.h"
#include "model/indexer.h"
#include "model/layer.h"

namespace ds::model {

class LatentAttention : public Attention {
 public:
  // prefix: "model.layers.N.self_attn."; adds the stream "latent" (and the indexer's) of this layer.
  LatentAttention(const ModelConfig& config, const BlockSpec& block, const RopeTable& rope_table,
                  const std::string& prefix, int64_t layer, Weights& weights,
                  std::vector<CacheStream>& streams);
  void forward(const Step& step, TensorView x, TensorView y) const override;

 private:
  // q: [T, H * (Dn + Dr)], rotated; out: [T, H * Dv]. runs: the tokens of the sequences, the others skipped.
  void attend_absorbed(const Step& step, std::span<const AttentionSequence> sequences,
                       std::span<const TokenRun> runs, TensorView q, TensorView selected,
                       TensorView out) const;
  void attend_expanded(const Step& step, const StepSegment& segment, TensorView q, TensorView out) const;
  bool absorbed_is_cheaper(int64_t n, int64_t S) const;

  const RopeTable& rope_;
  int64_t D_, H_, Dn_, Dr_, Dv_, Rq_, Rkv_;
  RopePairs pairs_;
  float scale_;
  WeightView q_proj_;                     // [H * (Dn + Dr), D], when Rq is 0
  WeightView q_a_proj_;                   // [Rq, D]
  const float* q_a_layernorm_ = nullptr;  // [Rq]
  WeightView q_b_proj_;                   // [H * (Dn + Dr), Rq]
  WeightView kv_a_proj_with_mqa_;         // [Rkv + Dr, D]
  const float* kv_a_layernorm_;           // [Rkv]
  WeightView kv_b_proj_;                  // [H * (Dn + Dv), Rkv]
  WeightView o_proj_;                     // [D, H * Dv]
  std::unique_ptr<Indexer> indexer_;
  int64_t stream_;
};

}  // namespace ds::model
