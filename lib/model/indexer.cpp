#include "model/indexer.h"

#include <cmath>

#include "kernels/index_scores.h"
#include "kernels/norm.h"
#include "kernels/top_k.h"

namespace ds::model {

Indexer::Indexer(const ModelConfig& c, const RopeTable& rope_table, const std::string& prefix, int64_t layer,
                 Weights& weights, std::vector<CacheStream>& streams)
    : rope_(rope_table),
      D_(c.hidden_size),
      Rq_(c.q_lora_rank),
      H_(c.index_n_heads),
      Di_(c.index_head_dim),
      topk_(c.index_topk) {
  if (!Rq_ || !H_ || !Di_ || !topk_ || Di_ < c.qk_rope_head_dim)
    throw Error(ErrorKind::kBadModel,
                "sparse attention needs q_lora_rank, index_n_heads, index_head_dim (at least "
                "qk_rope_head_dim) and index_topk",
                c.path);
  wq_b_ = weights.matrix(prefix + "wq_b", H_ * Di_, Rq_);
  wk_ = weights.matrix(prefix + "wk", Di_, D_);
  weights_proj_ = weights.matrix(prefix + "weights_proj", H_, D_);
  k_norm_weight_ = weights.vector(prefix + "k_norm.weight", Di_);
  k_norm_bias_ = weights.vector(prefix + "k_norm.bias", Di_);
  stream_ = static_cast<int64_t>(streams.size());
  streams.push_back({"index_k", layer, Di_});
}

void Indexer::append_keys(const Step& step, TensorView x) const {
  const Context& context = step.context;
  const ScratchScope scope(context.arena);
  const TensorView keys = context.arena.take(step.T(), Di_);
  const MatmulJob job[] = {{wk_, x, keys}};
  matmul(context, job, step.runs);
  layer_norm(context, keys, k_norm_weight_, k_norm_bias_, 1e-6f, keys);
  rope(context, rope_, RopePairs::kHalfSplit, step.positions, keys, 1, Di_);
  step.append(stream_, keys);
}

void Indexer::select(const Step& step, const StepSegment& segment, TensorView x, TensorView q_latent,
                     TensorView selected) const {
  const int64_t n = segment.n_tokens, first = segment.first_token;
  const Context exact = step.context.exact();
  const ScratchScope scope(exact.arena);
  const TensorView q = exact.arena.take(n, H_ * Di_), w = exact.arena.take(n, H_);
  const MatmulJob q_job[] = {{wq_b_, q_latent.rows_from(first, n), q}},
                  w_job[] = {{weights_proj_, x.rows_from(first, n), w}};
  matmul(exact, q_job);
  matmul(exact, w_job);
  rope(exact, rope_, RopePairs::kHalfSplit, step.positions.subspan(first, n), q, H_, Di_);
  const float factor = 1.0f / std::sqrt(static_cast<float>(H_)) / std::sqrt(static_cast<float>(Di_));
  for (int64_t t = exact.arena.measuring() ? n - 1 : 0; t < n; ++t) {  // the last sees most
    const ScratchScope token_scope(exact.arena);
    const TensorView scores = exact.arena.take(1, segment.position + t + 1);
    if (scores.cols > topk_)  // else all are selected
      index_scores(exact, q.rows_from(t, 1), w.rows_from(t, 1), factor, segment.streams[stream_], scores);
    top_k(exact, scores, selected.rows_from(first + t, 1));
  }
}

}  // namespace ds::model
