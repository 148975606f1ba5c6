// Grouped-query attention with half-split RoPE: Llama, Mistral (a window), Qwen2 (biases), Qwen3 (q_norm and
// k_norm), DeepSeek v1. A layer with a window keeps no more rows than it sees.
#pragma once
#include "kernels/rope.h"
#include "model/layer.h"

namespace ds::model {

class GroupedQueryAttention : public Attention {
 public:
  // prefix: "model.layers.N.self_attn."; adds the streams "k" and "v" of this layer to `streams`.
  GroupedQueryAttention(const ModelConfig& config, const BlockSpec& block, const RopeTable& rope_table,
                        const std::string& prefix, int64_t layer, Weights& weights,
                        std::vector<CacheStream>& streams);
  void forward(const Step& step, TensorView x, TensorView y) const override;

 private:
  const RopeTable& rope_;
  int64_t D_, H_, KV_, hd_, window_;
  float eps_, scale_;
  WeightView q_proj_;              // [H * hd, D]
  WeightView k_proj_;              // [KV * hd, D]
  WeightView v_proj_;              // [KV * hd, D]
  WeightView o_proj_;              // [D, H * hd]
  const float* q_norm_ = nullptr;  // [hd]
  const float* k_norm_ = nullptr;  // [hd]
  int64_t k_stream_, v_stream_;
};

}  // namespace ds::model
