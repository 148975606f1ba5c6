#include "model/mla.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "checkpoint/rope_scaling.h"
#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/norm.h"

namespace ds::model {
namespace {

// Both inner norms use this whatever rms_norm_eps says (vendor code and transformers agree).
constexpr float kInnerEps = 1e-6f;
// Floats of expanded keys and values held at a time; heads are expanded in groups that fit, one at least.
constexpr int64_t kExpandedFloats = int64_t{4} << 20;
// Beyond this even one head is too much and the absorbed form is used for prefill too.
constexpr int64_t kMaxExpandedFloats = int64_t{8} << 20;

}  // namespace

LatentAttention::LatentAttention(const ModelConfig& c, const RopeTable& rope_table, bool sparse,
                                 const std::string& prefix, int64_t layer, Weights& weights,
                                 std::vector<CacheStream>& streams)
    : rope_(rope_table),
      D_(c.hidden_size),
      H_(c.num_attention_heads),
      Dn_(c.qk_nope_head_dim),
      Dr_(c.qk_rope_head_dim),
      Dv_(c.v_head_dim),
      Rq_(c.q_lora_rank),
      Rkv_(c.kv_lora_rank),
      pairs_(c.rope_interleave ? RopePairs::kAdjacent : RopePairs::kHalfSplit),
      scale_(static_cast<float>(mla_softmax_factor(c.rope_scaling) /
                                std::sqrt(static_cast<double>(Dn_ + Dr_)))) {
  const auto bias = c.attention_bias ? Weights::Bias::kRequired : Weights::Bias::kNone;
  if (Rq_) {
    q_a_proj_ = weights.matrix(prefix + "q_a_proj", Rq_, D_, bias);
    q_a_layernorm_ = weights.vector(prefix + "q_a_layernorm.weight", Rq_);
    q_b_proj_ = weights.matrix(prefix + "q_b_proj", H_ * (Dn_ + Dr_), Rq_);
  } else {
    q_proj_ = weights.matrix(prefix + "q_proj", H_ * (Dn_ + Dr_), D_);
  }
  kv_a_proj_with_mqa_ = weights.matrix(prefix + "kv_a_proj_with_mqa", Rkv_ + Dr_, D_, bias);
  kv_a_layernorm_ = weights.vector(prefix + "kv_a_layernorm.weight", Rkv_);
  kv_b_proj_ = weights.matrix(prefix + "kv_b_proj", H_ * (Dn_ + Dv_), Rkv_);
  o_proj_ = weights.matrix(prefix + "o_proj", D_, H_ * Dv_, bias);
  stream_ = static_cast<int64_t>(streams.size());
  streams.push_back({"latent", layer, Rkv_ + Dr_});
  if (sparse)
    indexer_ = std::make_unique<Indexer>(c, rope_table, prefix + "indexer.", layer, weights, streams);
}

void LatentAttention::forward(const Step& step, const float* x, float* y) const {
  const int64_t T = step.T(), q_width = H_ * (Dn_ + Dr_), row = Rkv_ + Dr_;
  Workspace& ws = step.workspace;
  const int64_t mark = ws.mark();
  float* q = ws.take(T * q_width);     // [T, H, Dn + Dr]
  float* kv_a = ws.take(T * row);      // [T, Rkv + Dr]
  float* o = ws.take(T * H_ * Dv_);    // [T, H, Dv]
  float* q_latent = ws.take(T * Rq_);  // [T, Rq]

  if (Rq_) {
    MatmulJob down[] = {{q_a_proj_, x, D_, T, q_latent, Rq_}, {kv_a_proj_with_mqa_, x, D_, T, kv_a, row}};
    matmul(step.exec, down, ws.rest());
    rms_norm(step.exec, q_latent, Rq_, q_a_layernorm_, kInnerEps, T, Rq_, q_latent, Rq_);
    MatmulJob up[] = {{q_b_proj_, q_latent, Rq_, T, q, q_width}};
    matmul(step.exec, up, ws.rest());
  } else {
    MatmulJob both[] = {{q_proj_, x, D_, T, q, q_width}, {kv_a_proj_with_mqa_, x, D_, T, kv_a, row}};
    matmul(step.exec, both, ws.rest());
  }
  rms_norm(step.exec, kv_a, row, kv_a_layernorm_, kInnerEps, T, Rkv_, kv_a,
           row);  // the rope key is not normalised

  int64_t t = 0;  // first token of the segment
  for (const Segment& segment : step.segments) {
    KvCache& cache = *segment.cache;
    const int64_t n = segment.n_tokens, position = cache.length(), S = position + n;
    rope(rope_, pairs_, position, n, H_, q + t * q_width + Dn_, q_width, Dn_ + Dr_);
    rope(rope_, pairs_, position, n, 1, kv_a + t * row + Rkv_, row, Dr_);
    std::memcpy(cache.rows(stream_) + position * row, kv_a + t * row, n * row * sizeof(float));

    Query query{q + t * q_width, cache.rows(stream_), position, n, o + t * H_ * Dv_};
    const int64_t segment_mark = ws.mark();
    if (indexer_) {
      indexer_->append_keys(step, cache, position, n, x + t * D_);
      if (S > indexer_->topk()) {  // up to then every position is selected
        const auto selected = ws.take_objects<int32_t>(n * indexer_->topk());
        const auto n_selected = ws.take_objects<int32_t>(n);
        indexer_->select(step, cache, position, n, x + t * D_, q_latent + t * Rq_, selected.data(),
                         n_selected.data());
        query.selected = selected.data();
        query.n_selected = n_selected.data();
      }
    }
    if (query.selected || absorbed_is_cheaper(n, S)) {
      attend_absorbed(step, query);
    } else {
      attend_expanded(step, query);
    }
    ws.reset_to(segment_mark);
    t += n;
  }

  MatmulJob out[] = {{o_proj_, o, H_ * Dv_, T, y, D_}};
  matmul(step.exec, out, ws.rest());
  ws.reset_to(mark);
}

// Multiplications per head: absorbed pays for every query and visits long rows; expanded pays once per key.
bool LatentAttention::absorbed_is_cheaper(int64_t n, int64_t S) const {
  if (S * (Dn_ + Dv_) > kMaxExpandedFloats) return true;
  const auto pairs = static_cast<double>(n) * static_cast<double>(S),
             per_row = static_cast<double>(Rkv_ * (Dn_ + Dv_));
  const double absorbed = pairs * static_cast<double>(2 * Rkv_ + Dr_) + static_cast<double>(n) * per_row;
  const double expanded = pairs * static_cast<double>(Dn_ + Dr_ + Dv_) + static_cast<double>(S) * per_row;
  return absorbed < expanded;
}

void LatentAttention::attend_absorbed(const Step& step, const Query& query) const {
  const int64_t n = query.n, q_width = H_ * (Dn_ + Dr_), row = Rkv_ + Dr_;
  Workspace& ws = step.workspace;
  float* q_row = ws.take(n * H_ * row);  // [n, H, Rkv + Dr]: W_k^T q_nope and q_rope
  float* u = ws.take(n * H_ * Rkv_);     // [n, H, Rkv]: attention over latents
  const auto jobs = ws.take_objects<MatmulJob>(H_);

  for (int64_t h = 0; h < H_; ++h) {
    const WeightView w_k = kv_b_proj_.rows_from(h * (Dn_ + Dv_), Dn_);  // [Dn, Rkv]
    jobs[h] = {w_k, query.q + h * (Dn_ + Dr_), q_width, n, q_row + h * row, H_ * row};
  }
  matmul_transposed(step.exec, jobs);
  for (int64_t i = 0; i < n * H_; ++i)
    std::memcpy(q_row + i * row + Rkv_, query.q + i * (Dn_ + Dr_) + Dn_, Dr_ * sizeof(float));

  AttentionJob job;
  job.q = q_row, job.ldq = H_ * row;
  job.k = query.latents, job.ldk = row;
  job.v = query.latents, job.ldv = row;
  job.out = u, job.ldo = H_ * Rkv_;
  job.T = n, job.H = H_, job.KV = 1, job.Dk = row, job.Dv = Rkv_;
  job.first_position = query.position;
  job.scale = scale_;
  job.selected = query.selected, job.n_selected = query.n_selected;
  if (indexer_) job.ld_selected = indexer_->topk();
  attention(step.exec, job, ws.rest());

  for (int64_t h = 0; h < H_; ++h) {
    const WeightView w_v = kv_b_proj_.rows_from(h * (Dn_ + Dv_) + Dn_, Dv_);  // [Dv, Rkv]
    jobs[h] = {w_v, u + h * Rkv_, H_ * Rkv_, n, query.out + h * Dv_, H_ * Dv_};
  }
  matmul(step.exec, jobs, ws.rest());
}

int64_t LatentAttention::heads_at_once(int64_t S) const {
  return std::clamp<int64_t>(kExpandedFloats / (S * (Dn_ + Dv_)), 1, H_);
}

void LatentAttention::attend_expanded(const Step& step, const Query& query) const {
  const int64_t S = query.position + query.n, q_width = H_ * (Dn_ + Dr_), row = Rkv_ + Dr_;
  const int64_t max_heads = heads_at_once(S);
  Workspace& ws = step.workspace;
  float* kv = ws.take(S * max_heads * (Dn_ + Dv_));    // [S, heads, Dn + Dv]: k_nope and v of kv_b_proj
  float* keys = ws.take(S * max_heads * (Dn_ + Dr_));  // [S, heads, Dn + Dr]
  for (int64_t h0 = 0; h0 < H_; h0 += max_heads) {
    const int64_t heads = std::min(max_heads, H_ - h0);
    const WeightView w = kv_b_proj_.rows_from(h0 * (Dn_ + Dv_), heads * (Dn_ + Dv_));
    const int64_t kv_width = heads * (Dn_ + Dv_), k_width = heads * (Dn_ + Dr_);
    // As many rows at a time as the batch has tokens at most: the scratch is planned for those.
    const int64_t block = std::max<int64_t>(query.n, 1);
    for (int64_t s = 0; s < S; s += block) {
      MatmulJob job[] = {
          {w, query.latents + s * row, row, std::min(block, S - s), kv + s * kv_width, kv_width}};
      matmul(step.exec, job, ws.rest());
    }
    step.exec.pool.parallel_for(S, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t s = begin; s < end; ++s) {
        for (int64_t h = 0; h < heads; ++h) {
          float* key = keys + s * k_width + h * (Dn_ + Dr_);
          std::memcpy(key, kv + s * kv_width + h * (Dn_ + Dv_), Dn_ * sizeof(float));
          std::memcpy(key + Dn_, query.latents + s * row + Rkv_, Dr_ * sizeof(float));
        }
      }
    });
    AttentionJob job;
    job.q = query.q + h0 * (Dn_ + Dr_), job.ldq = q_width;
    job.k = keys, job.ldk = k_width, job.k_head_stride = Dn_ + Dr_;
    job.v = kv + Dn_, job.ldv = kv_width, job.v_head_stride = Dn_ + Dv_;
    job.out = query.out + h0 * Dv_, job.ldo = H_ * Dv_;
    job.T = query.n, job.H = heads, job.KV = heads, job.Dk = Dn_ + Dr_, job.Dv = Dv_;
    job.first_position = query.position;
    job.scale = scale_;
    attention(step.exec, job, ws.rest());
  }
}

int64_t LatentAttention::workspace_floats(int64_t T, int64_t S, int n_threads) const {
  const auto r = Workspace::rounded;
  const int64_t row = Rkv_ + Dr_;
  const int64_t projections = r(T * H_ * (Dn_ + Dr_)) + r(T * row) + r(T * H_ * Dv_) + r(T * Rq_);
  const int64_t scratch = std::max(matmul_scratch_floats(n_threads, T, std::max({D_, Rq_, Rkv_, H_ * Dv_})),
                                   attention_scratch_floats(n_threads, std::max(Rkv_, Dv_)));
  const int64_t absorbed = r(T * H_ * row) + r(T * H_ * Rkv_) + r(Workspace::floats_for<MatmulJob>(H_));
  // Rows times heads of the largest expansion, at whichever length up to S it is.
  const int64_t S_expanded = std::min(S, kMaxExpandedFloats / (Dn_ + Dv_));
  const int64_t most = std::min(S_expanded * H_, std::max(S_expanded, kExpandedFloats / (Dn_ + Dv_)));
  const int64_t expanded = r(most * (Dn_ + Dv_)) + r(most * (Dn_ + Dr_));
  int64_t floats = projections + std::max(absorbed, expanded) + scratch;
  if (indexer_ && S > indexer_->topk()) {  // else nothing is ever selected
    const int64_t selection = r(T * indexer_->topk()) + r(T);
    floats =
        std::max(floats + selection, projections + selection + indexer_->workspace_floats(T, S, n_threads));
  }
  return floats;
}

}  // namespace ds::model
