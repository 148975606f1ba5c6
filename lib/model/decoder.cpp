#include "model/decoder.h"

#include <algorithm>
#include <cstring>

#include "checkpoint/rope_scaling.h"
#include "kernels/matmul.h"
#include "kernels/norm.h"

namespace ds::model {
namespace {

void add(const Exec& exec, float* x, const float* y, int64_t n) {
  exec.pool.parallel_for(n, 1 << 14, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) x[i] += y[i];
  });
}

}  // namespace

Decoder::Decoder(const std::shared_ptr<const ModelFolder>& folder, int64_t rope_dims,
                 const BindLayer& bind_layer)
    : config_(folder->config()), weights_(folder), rope_(make_rope_table(config_, rope_dims)) {
  const int64_t D = config_.hidden_size, V = config_.vocab_size;
  embed_tokens_ = weights_.matrix("model.embed_tokens", V, D);
  const Binding binding{config_, rope_, weights_, streams_};
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    LayerParts parts = bind_layer(binding, i);
    layers_.push_back({weights_.vector(prefix + "input_layernorm.weight", D), std::move(parts.attention),
                       weights_.vector(prefix + "post_attention_layernorm.weight", D), std::move(parts.ffn)});
  }
  norm_ = weights_.vector("model.norm.weight", D);
  lm_head_ = config_.tie_word_embeddings ? embed_tokens_ : weights_.matrix("lm_head", V, D);
}

void Decoder::check(std::span<const int32_t> tokens, std::span<const Segment> segments) const {
  int64_t n = 0;
  for (const Segment& s : segments) {
    n += s.n_tokens;
    if (s.cache->length() + s.n_tokens > s.cache->capacity()) {
      throw Error(ErrorKind::kBadData,
                  std::to_string(s.cache->length() + s.n_tokens) + " tokens do not fit a context of " +
                      std::to_string(s.cache->capacity()),
                  "context", "raise --ctx or shorten the input");
    }
  }
  DS_CHECK(n == static_cast<int64_t>(tokens.size()));
  for (const int32_t id : tokens) {
    if (id < 0 || id >= config_.vocab_size)
      throw Error(ErrorKind::kBadData,
                  "token id " + std::to_string(id) + " is outside the vocabulary of " +
                      std::to_string(config_.vocab_size),
                  "input_ids");
  }
}

void Decoder::forward(const Exec& exec, Workspace& ws, std::span<const int32_t> tokens,
                      std::span<const Segment> segments, std::span<const int32_t> logit_rows,
                      float* logits) const {
  check(tokens, segments);
  const int64_t T = static_cast<int64_t>(tokens.size()), D = config_.hidden_size;
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  const int64_t mark = ws.mark();
  float* x = ws.take(T * D);  // [T, D] residual stream
  float* h = ws.take(T * D);  // [T, D] normalised
  float* y = ws.take(T * D);  // [T, D] what a sublayer adds
  const Step step{exec, ws, segments, tokens};

  for (int64_t t = 0; t < T; ++t) dequantize_row(exec, embed_tokens_, tokens[t], x + t * D);
  for (const Layer& layer : layers_) {
    rms_norm(exec, x, D, layer.input_layernorm, eps, T, D, h, D);
    layer.attention->forward(step, h, y);
    add(exec, x, y, T * D);
    rms_norm(exec, x, D, layer.post_attention_layernorm, eps, T, D, h, D);
    layer.ffn->forward(step, h, y);
    add(exec, x, y, T * D);
  }

  const auto n_rows = static_cast<int64_t>(logit_rows.size());
  for (int64_t i = 0; i < n_rows; ++i) {
    DS_CHECK(logit_rows[i] >= 0 && logit_rows[i] < T);
    std::memcpy(h + i * D, x + logit_rows[i] * D, D * sizeof(float));
  }
  rms_norm(exec, h, D, norm_, eps, n_rows, D, h, D);
  MatmulJob head[] = {{lm_head_, h, D, n_rows, logits, config_.vocab_size}};
  matmul(exec, head, ws.rest());
  ws.reset_to(mark);
  for (const Segment& s : segments) s.cache->advance(s.n_tokens);
}

int64_t Decoder::workspace_floats(int64_t max_tokens, int64_t max_context, int n_threads) const {
  int64_t most = matmul_scratch_floats(n_threads, max_tokens, config_.hidden_size);
  for (const Layer& layer : layers_) {
    most = std::max({most, layer.attention->workspace_floats(max_tokens, max_context, n_threads),
                     layer.ffn->workspace_floats(max_tokens, n_threads)});
  }
  return 3 * Workspace::rounded(max_tokens * config_.hidden_size) + most;
}

int64_t Decoder::weight_bytes_per_token() const {
  int64_t bytes = weights_.bound_bytes();
  for (const Layer& layer : layers_) bytes -= layer.ffn->idle_bytes_per_token();
  // Of the embedding one row is read; a tied one is read whole, as the head.
  if (!config_.tie_word_embeddings) bytes -= (embed_tokens_.rows - 1) * embed_tokens_.row_bytes();
  return bytes;
}

}  // namespace ds::model
