#include "model/gqa.h"

#include "kernels/norm.h"

namespace ds::model {

GroupedQueryAttention::GroupedQueryAttention(const ModelConfig& c, const BlockSpec& block,
                                             const RopeTable& rope_table, const std::string& prefix,
                                             int64_t layer, Weights& weights,
                                             std::vector<CacheStream>& streams)
    : rope_(rope_table),
      D_(c.hidden_size),
      H_(c.num_attention_heads),
      KV_(c.num_key_value_heads),
      hd_(c.head_dim),
      window_(block.window),
      eps_(static_cast<float>(c.rms_norm_eps)),
      scale_(static_cast<float>(block.scale)) {
  const auto required = [](bool is) { return is ? Weights::Bias::kRequired : Weights::Bias::kNone; };
  q_proj_ = weights.matrix(prefix + "q_proj", H_ * hd_, D_, required(block.qkv_bias));
  k_proj_ = weights.matrix(prefix + "k_proj", KV_ * hd_, D_, required(block.qkv_bias));
  v_proj_ = weights.matrix(prefix + "v_proj", KV_ * hd_, D_, required(block.qkv_bias));
  o_proj_ = weights.matrix(prefix + "o_proj", D_, H_ * hd_, required(block.o_bias));
  if (block.qk_norm) {
    q_norm_ = weights.vector(prefix + "q_norm.weight", hd_);
    k_norm_ = weights.vector(prefix + "k_norm.weight", hd_);
  }
  k_stream_ = static_cast<int64_t>(streams.size());
  streams.push_back({"k", layer, KV_ * hd_, 1, window_});
  v_stream_ = static_cast<int64_t>(streams.size());
  streams.push_back({"v", layer, KV_ * hd_, 1, window_});
}

void GroupedQueryAttention::forward(const Step& step, TensorView x, TensorView y) const {
  const Context& context = step.context;
  const ScratchScope scope(context.arena);
  const int64_t T = step.T();
  const TensorView q = context.arena.take(T, H_ * hd_), k = context.arena.take(T, KV_ * hd_),
                   v = context.arena.take(T, KV_ * hd_), o = context.arena.take(T, H_ * hd_);
  const MatmulJob qkv[] = {{q_proj_, x, q}, {k_proj_, x, k}, {v_proj_, x, v}};
  matmul(context, qkv, step.runs);
  if (q_norm_) {
    rms_norm(context, q.split(hd_), q_norm_, eps_, q.split(hd_));
    rms_norm(context, k.split(hd_), k_norm_, eps_, k.split(hd_));
  }
  rope(context, rope_, RopePairs::kHalfSplit, step.positions, q, H_, hd_);
  rope(context, rope_, RopePairs::kHalfSplit, step.positions, k, KV_, hd_);
  step.append(k_stream_, k);
  step.append(v_stream_, v);

  const auto sequences = context.arena.list<AttentionSequence>(static_cast<int64_t>(step.segments.size()));
  for (size_t i = 0; i < sequences.size(); ++i) {
    const StepSegment& s = step.segments[i];
    sequences[i] = {s.first_token, s.n_tokens, s.position, s.streams[k_stream_], s.streams[v_stream_]};
  }
  AttentionJob job;
  job.q = q, job.out = o;
  job.H = H_, job.KV = KV_, job.Dk = hd_, job.Dv = hd_;
  job.k_head_stride = hd_, job.v_head_stride = hd_;
  job.scale = scale_, job.window = window_;
  attention(context, job, sequences);

  const MatmulJob out[] = {{o_proj_, o, y}};
  matmul(context, out, step.runs);
}

}  // namespace ds::model
