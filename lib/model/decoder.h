// The decoder that every architecture up to V3.2 shares: embedding, layers of attention and feed-forward with
// pre-normalisation and residuals, final norm, head. An architecture file says which attention and which
// feed-forward each layer has.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "kernels/rope.h"
#include "model/layer.h"

namespace ds::model {

class Decoder : public Model {
 public:
  // What an architecture file provides: the two halves of layer i, bound to its weights.
  struct LayerParts {
    std::unique_ptr<Attention> attention;
    std::unique_ptr<Ffn> ffn;
  };
  struct Binding {
    const ModelConfig& config;
    const RopeTable& rope;
    Weights& weights;
    std::vector<CacheStream>& streams;
  };
  using BindLayer = std::function<LayerParts(const Binding&, int64_t layer)>;

  // rope_dims: how many dimensions of a head rotate.
  Decoder(const std::shared_ptr<const ModelFolder>& folder, int64_t rope_dims, const BindLayer& bind_layer);

  const ModelConfig& config() const override { return config_; }
  std::vector<CacheStream> cache_streams() const override { return streams_; }
  int64_t workspace_floats(int64_t max_tokens, int64_t max_context, int n_threads) const override;
  void forward(const Exec& exec, Workspace& workspace, std::span<const int32_t> tokens,
               std::span<const Segment> segments, std::span<const int32_t> logit_rows,
               float* logits) const override;
  void copy_into_large_pages(ThreadPool& pool) const override { weights_.copy_into_large_pages(pool); }
  int64_t weight_bytes_per_token() const override;
  int64_t weight_bytes() const override { return weights_.bound_bytes(); }

 private:
  struct Layer {
    const float* input_layernorm;  // [D]
    std::unique_ptr<Attention> attention;
    const float* post_attention_layernorm;  // [D]
    std::unique_ptr<Ffn> ffn;
  };
  void check(std::span<const int32_t> tokens, std::span<const Segment> segments) const;

  ModelConfig config_;
  Weights weights_;
  RopeTable rope_;
  std::vector<CacheStream> streams_;
  WeightView embed_tokens_;  // [V, D]
  std::vector<Layer> layers_;
  const float* norm_;   // [D]
  WeightView lm_head_;  // [V, D]
};

}  // namespace ds::model
