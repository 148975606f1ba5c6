#include "model/gqa.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/norm.h"

namespace ds::model {

GroupedQueryAttention::GroupedQueryAttention(const ModelConfig& c, const RopeTable& rope_table,
                                             const Options& options, const std::string& prefix, int64_t layer,
                                             Weights& weights, std::vector<CacheStream>& streams)
    : rope_(rope_table),
      D_(c.hidden_size),
      H_(c.num_attention_heads),
      KV_(c.num_key_value_heads),
      hd_(c.head_dim),
      eps_(static_cast<float>(c.rms_norm_eps)) {
  const auto required = [](bool is) { return is ? Weights::Bias::kRequired : Weights::Bias::kNone; };
  const auto bias = required(options.qkv_bias || c.attention_bias);
  q_proj_ = weights.matrix(prefix + "q_proj", H_ * hd_, D_, bias);
  k_proj_ = weights.matrix(prefix + "k_proj", KV_ * hd_, D_, bias);
  v_proj_ = weights.matrix(prefix + "v_proj", KV_ * hd_, D_, bias);
  o_proj_ = weights.matrix(prefix + "o_proj", D_, H_ * hd_, required(c.attention_bias && !options.qkv_bias));
  if (options.qk_norm) {
    q_norm_ = weights.vector(prefix + "q_norm.weight", hd_);
    k_norm_ = weights.vector(prefix + "k_norm.weight", hd_);
  }
  k_stream_ = static_cast<int64_t>(streams.size());
  streams.push_back({"k", layer, KV_ * hd_});
  v_stream_ = static_cast<int64_t>(streams.size());
  streams.push_back({"v", layer, KV_ * hd_});
}

void GroupedQueryAttention::forward(const Step& step, const float* x, float* y) const {
  const int64_t T = step.T(), q_width = H_ * hd_, kv_width = KV_ * hd_;
  Workspace& ws = step.workspace;
  const int64_t mark = ws.mark();
  float* q = ws.take(T * q_width);   // [T, H, hd]
  float* k = ws.take(T * kv_width);  // [T, KV, hd]
  float* v = ws.take(T * kv_width);  // [T, KV, hd]
  float* o = ws.take(T * q_width);   // [T, H, hd]

  MatmulJob qkv[] = {
      {q_proj_, x, D_, T, q, q_width}, {k_proj_, x, D_, T, k, kv_width}, {v_proj_, x, D_, T, v, kv_width}};
  matmul(step.exec, qkv, ws.rest());
  if (q_norm_) {
    rms_norm(step.exec, q, hd_, q_norm_, eps_, T * H_, hd_, q, hd_);
    rms_norm(step.exec, k, hd_, k_norm_, eps_, T * KV_, hd_, k, hd_);
  }

  int64_t t = 0;  // first token of the segment
  for (const Segment& segment : step.segments) {
    const int64_t n = segment.n_tokens, position = segment.cache->length();
    rope(rope_, RopePairs::kHalfSplit, position, n, H_, q + t * q_width, q_width, hd_);
    rope(rope_, RopePairs::kHalfSplit, position, n, KV_, k + t * kv_width, kv_width, hd_);
    auto* k_rows = static_cast<float*>(segment.cache->rows(k_stream_).row(0));  // [S, KV, hd]
    auto* v_rows = static_cast<float*>(segment.cache->rows(v_stream_).row(0));
    std::memcpy(k_rows + position * kv_width, k + t * kv_width, n * kv_width * sizeof(float));
    std::memcpy(v_rows + position * kv_width, v + t * kv_width, n * kv_width * sizeof(float));
    AttentionJob job;
    job.q = q + t * q_width, job.ldq = q_width;
    job.k = k_rows, job.ldk = kv_width, job.k_head_stride = hd_;
    job.v = v_rows, job.ldv = kv_width, job.v_head_stride = hd_;
    job.out = o + t * q_width, job.ldo = q_width;
    job.T = n, job.H = H_, job.KV = KV_, job.Dk = hd_, job.Dv = hd_;
    job.first_position = position;
    job.scale = 1.0f / std::sqrt(static_cast<float>(hd_));
    attention(step.exec, job, ws.rest());
    t += n;
  }

  MatmulJob out[] = {{o_proj_, o, q_width, T, y, D_}};
  matmul(step.exec, out, ws.rest());
  ws.reset_to(mark);
}

int64_t GroupedQueryAttention::workspace_floats(int64_t max_tokens, int64_t, int n_threads) const {
  const int64_t q = Workspace::rounded(max_tokens * H_ * hd_),
                kv = Workspace::rounded(max_tokens * KV_ * hd_);
  return 2 * q + 2 * kv +
         std::max(matmul_scratch_floats(n_threads, max_tokens, std::max(D_, H_ * hd_)),
                  attention_scratch_floats(n_threads, hd_));
}

}  // namespace ds::model
