// The decoder of every architecture: embedding, blocks of attention and feed-forward with pre-normalisation
// and residuals, final norm, head. What a block is made of its architecture's row says
// (checkpoint/architecture.h).
#pragma once
#include <memory>
#include <vector>

#include "checkpoint/architecture.h"
#include "kernels/rope.h"
#include "model/layer.h"

namespace ds::model {

class Decoder : public Model {
 public:
  Decoder(const std::shared_ptr<const ModelFolder>& folder, const Architecture& architecture,
          Weights::Access access = Weights::Access::kValues, WeightBinder* binder = nullptr);

  const ModelConfig& config() const override { return config_; }
  std::vector<CacheStream> cache_streams() const override { return streams_; }
  int64_t workspace_floats(int64_t max_tokens, int64_t max_context, int n_threads, int64_t max_sequences,
                           DType cache_type) const override;
  void forward(const Context& context, std::span<const int32_t> tokens, std::span<const Segment> segments,
               std::span<const int32_t> logit_rows, float* logits) const override;
  void forward_hidden(const Context& context, std::span<const int32_t> tokens,
                      std::span<const Segment> segments, std::span<const int32_t> logit_rows, bool recompute,
                      const std::function<void(TensorView hidden)>& then) const override;
  void head(const Context& context, TensorView hidden, TensorView logits) const override;
  void copy_into_large_pages(ThreadPool& pool) const override { weights_.copy_into_large_pages(pool); }
  int64_t weight_bytes_per_token() const override;
  int64_t weight_bytes() const override { return weights_.bound_bytes(); }

 private:
  struct Layer {
    Layer(const ModelConfig& config, const BlockSpec& block, const RopeTable& rope, int64_t layer,
          Weights& weights, std::vector<CacheStream>& streams);
    const float* input_layernorm;  // [D]
    std::unique_ptr<Attention> attention;
    const float* post_attention_layernorm;  // [D]
    std::unique_ptr<Ffn> ffn;
  };
  void check(std::span<const int32_t> tokens, std::span<const Segment> segments) const;
  std::span<StepSegment> open_segments(const Context& context, std::span<const int32_t> tokens,
                                       std::span<const Segment> segments) const;
  void run(const Context& context, std::span<const int32_t> tokens, std::span<StepSegment> segments,
           std::span<const int32_t> logit_rows, float* logits) const;
  // Up to the final norm; then(hidden states, how their rows are multiplied).
  enum class Pass { kInference, kTraining, kRecomputed };
  template <class Then>
  void run_hidden(const Context& context, std::span<const int32_t> tokens, std::span<StepSegment> segments,
                  std::span<const int32_t> logit_rows, Pass kind, Then&& then) const;
  // x [T, D] += attention and feed-forward of a layer; h and y [T, D] are scratch.
  void run_layer(const Step& step, const Layer& layer, TensorView x, TensorView h, TensorView y) const;
  int64_t measure(const Context& context, std::span<const int64_t> segment_tokens, int64_t context_tokens,
                  DType cache_type) const;

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
