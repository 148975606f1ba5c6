#include "model/indexer.h"

#include <algorithm>
#include <cmath>

#include "kernels/matmul.h"
#include "kernels/norm.h"

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

void Indexer::append_keys(const Step& step, KvSequence& cache, int64_t position, int64_t n,
                          const float* x) const {
  auto* keys = static_cast<float*>(cache.rows(stream_).row(position));  // [n, Di]
  MatmulJob job[] = {{wk_, x, D_, n, keys, Di_}};
  matmul(step.exec, job, step.workspace.rest());
  layer_norm(keys, Di_, k_norm_weight_, k_norm_bias_, 1e-6f, n, Di_, keys, Di_);
  rope(rope_, RopePairs::kHalfSplit, position, n, 1, keys, Di_, Di_);
}

void Indexer::select(const Step& step, const KvSequence& cache, int64_t position, int64_t n, const float* x,
                     const float* q_latent, int32_t* selected, int32_t* n_selected) const {
  Workspace& ws = step.workspace;
  const int64_t mark = ws.mark(), S = position + n;
  float* q = ws.take(n * H_ * Di_);      // [n, H, Di]
  float* w = ws.take(n * H_);            // [n, H]
  float* head_scores = ws.take(H_ * S);  // [H, S]
  float* scores = ws.take(S);            // [S]
  const Exec exact{step.exec.pool, step.exec.isa, Activations::kF32};
  MatmulJob jobs[] = {{wq_b_, q_latent, Rq_, n, q, H_ * Di_}, {weights_proj_, x, D_, n, w, H_}};
  matmul(exact, jobs, ws.rest());
  rope(rope_, RopePairs::kHalfSplit, position, n, H_, q, H_ * Di_, Di_);
  const float factor = 1.0f / std::sqrt(static_cast<float>(H_)) / std::sqrt(static_cast<float>(Di_));

  WeightView keys;  // the cached keys as a matrix
  keys.data = cache.rows(stream_).row(0);
  keys.dtype = DType::kF32;
  keys.cols = Di_;
  for (int64_t t = 0; t < n; ++t) {
    const int64_t n_visible = position + t + 1, n_keep = std::min(n_visible, topk_);
    int32_t* keep = selected + t * topk_;
    n_selected[t] = static_cast<int32_t>(n_keep);
    if (n_visible <= topk_) {
      for (int64_t s = 0; s < n_visible; ++s) keep[s] = static_cast<int32_t>(s);
      continue;
    }
    keys.rows = n_visible;
    MatmulJob job[] = {{keys, q + t * H_ * Di_, Di_, H_, head_scores, S}};
    matmul(exact, job, ws.rest());
    std::fill(scores, scores + n_visible, 0.0f);
    for (int64_t h = 0; h < H_; ++h) {
      const float head_weight = w[t * H_ + h] * factor;
      for (int64_t s = 0; s < n_visible; ++s)
        scores[s] += head_weight * std::max(head_scores[h * S + s], 0.0f);
    }
    for (int64_t s = 0; s < n_visible; ++s)
      if (std::isnan(scores[s])) scores[s] = -INFINITY;  // damaged weights must not break the ordering below
    // The best by score, ties to the earlier token, then in order of position.
    const auto order = ws.take_objects<int32_t>(n_visible);
    for (int64_t s = 0; s < n_visible; ++s) order[s] = static_cast<int32_t>(s);
    std::nth_element(order.begin(), order.begin() + n_keep, order.end(), [&](int32_t a, int32_t b) {
      return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
    });
    std::copy(order.begin(), order.begin() + n_keep, keep);
    std::sort(keep, keep + n_keep);
    ws.reset_to(ws.mark() - Workspace::rounded(n_visible));
  }
  ws.reset_to(mark);
}

int64_t Indexer::workspace_floats(int64_t max_tokens, int64_t max_context, int n_threads) const {
  const auto r = Workspace::rounded;
  return r(max_tokens * H_ * Di_) + r(max_tokens * H_) + r(H_ * max_context) + 2 * r(max_context) +
         matmul_scratch_floats(n_threads, std::max(max_tokens, H_), std::max({D_, Rq_, Di_}));
}

}  // namespace ds::model
