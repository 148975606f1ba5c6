#include "model/mla.h"

#include <algorithm>

#include "kernels/gather_rows.h"
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

LatentAttention::LatentAttention(const ModelConfig& c, const BlockSpec& block, const RopeTable& rope_table,
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
      scale_(static_cast<float>(block.scale)) {
  const auto bias = block.qkv_bias ? Weights::Bias::kRequired : Weights::Bias::kNone;
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
  if (block.attention == BlockSpec::Attention::kSparseLatent)
    indexer_ = std::make_unique<Indexer>(c, rope_table, prefix + "indexer.", layer, weights, streams);
}

void LatentAttention::forward(const Step& step, TensorView x, TensorView y) const {
  const Context& context = step.context;
  const ScratchScope scope(context.arena);
  const int64_t T = step.T();
  const TensorView q = context.arena.take(T, H_ * (Dn_ + Dr_)), kv_a = context.arena.take(T, Rkv_ + Dr_),
                   o = context.arena.take(T, H_ * Dv_), q_latent = context.arena.take(T, Rq_);
  if (Rq_) {
    const MatmulJob down[] = {{q_a_proj_, x, q_latent}, {kv_a_proj_with_mqa_, x, kv_a}};
    matmul(context, down, step.runs);
    rms_norm(context, q_latent, q_a_layernorm_, kInnerEps, q_latent);
    const MatmulJob up[] = {{q_b_proj_, q_latent, q}};
    matmul(context, up, step.runs);
  } else {
    const MatmulJob both[] = {{q_proj_, x, q}, {kv_a_proj_with_mqa_, x, kv_a}};
    matmul(context, both, step.runs);
  }
  const TensorView latent = kv_a.cols_from(0, Rkv_), rope_key = kv_a.cols_from(Rkv_, Dr_);
  rms_norm(context, latent, kv_a_layernorm_, kInnerEps, latent);  // the rope key is not normalised
  rope(context, rope_, pairs_, step.positions, q.cols_from(Dn_, q.cols - Dn_), H_, Dn_ + Dr_);
  rope(context, rope_, pairs_, step.positions, rope_key, 1, Dr_);
  step.append(stream_, kv_a);
  if (indexer_) indexer_->append_keys(step, x);

  // Each sequence in the form that is cheaper for it; all absorbed ones in one call.
  const bool measuring = context.arena.measuring();
  const auto n_segments = static_cast<int64_t>(step.segments.size());
  const auto sequences = context.arena.list<AttentionSequence>(n_segments);
  const auto runs = context.arena.list<TokenRun>(n_segments);
  const TensorView selected = indexer_ ? context.arena.take(T, indexer_->topk(), DType::kI32) : TensorView();
  int64_t n_absorbed = 0;
  for (int64_t i = 0; i < n_segments; ++i) {
    const StepSegment& s = step.segments[i];
    const int64_t S = s.position + s.n_tokens;
    const bool sparse = indexer_ && S > indexer_->topk();  // up to then every position is selected
    if (sparse) indexer_->select(step, s, x, q_latent, selected);
    // Only the expanded form has a backward.
    const bool absorbed = sparse || (!step.training && absorbed_is_cheaper(s.n_tokens, S));
    runs[i] = {s.n_tokens, absorbed ? few_or_many(s.n_tokens) : TokenRun::Kind::kSkip};
    if (absorbed || (measuring && !step.training)) {
      sequences[n_absorbed++] = {s.first_token,      s.n_tokens,         s.position,
                                 s.streams[stream_], s.streams[stream_], sparse};
    }
    // A shorter context than the one that is measured may take the other form.
    if (!absorbed || measuring) attend_expanded(step, s, q, o);
  }
  if (n_absorbed)
    attend_absorbed(step, sequences.first(n_absorbed), measuring ? step.runs : runs, q, selected, o);

  const MatmulJob out[] = {{o_proj_, o, y}};
  matmul(context, out, step.runs);
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

void LatentAttention::attend_absorbed(const Step& step, std::span<const AttentionSequence> sequences,
                                      std::span<const TokenRun> runs, TensorView q, TensorView selected,
                                      TensorView out) const {
  const Context& context = step.context;
  const ScratchScope scope(context.arena);
  const int64_t T = step.T(), row = Rkv_ + Dr_;
  const TensorView q_row = context.arena.take(T, H_ * row);  // [T, H, Rkv + Dr]: W_k^T q_nope and q_rope
  const TensorView u = context.arena.take(T, H_ * Rkv_);     // [T, H, Rkv]: attention over latents

  HeadsMatmulJob w_k{kv_b_proj_, H_, Dn_ + Dv_, 0, Dn_, q, Dn_ + Dr_, q_row, row};
  matmul_heads_transposed(context, w_k, runs);
  repeat_rows(context, q.split(Dn_ + Dr_).cols_from(Dn_, Dr_), 1, q_row.split(row).cols_from(Rkv_, Dr_));

  AttentionJob job;
  job.q = q_row, job.out = u;
  job.H = H_, job.KV = 1, job.Dk = row, job.Dv = Rkv_;
  job.scale = scale_;
  job.selected = selected;
  attention(context, job, sequences);

  HeadsMatmulJob w_v{kv_b_proj_, H_, Dn_ + Dv_, Dn_, Dv_, u, Rkv_, out, Dv_};
  matmul_heads(context, w_v, runs);
}

void LatentAttention::attend_expanded(const Step& step, const StepSegment& segment, TensorView q,
                                      TensorView out) const {
  const Context& context = step.context;
  const ScratchScope scope(context.arena);
  const int64_t n = segment.n_tokens, kv_row = Dn_ + Dv_, k_row = Dn_ + Dr_;
  // Beyond the largest expansion the absorbed form is taken.
  int64_t S = segment.position + n;
  if (!step.training) S = std::min(S, std::max<int64_t>(kMaxExpandedFloats / kv_row, 1));
  const int64_t budget = kExpandedFloats / kv_row;  // rows times heads
  const int64_t max_heads = std::clamp<int64_t>(budget / S, 1, H_);
  // As much as the longest context up to S needs: heads times rows do not grow with S alone.
  const int64_t most = std::min(S * H_, std::max(S, budget));
  const TensorView kv_room = context.arena.take(1, most * kv_row),
                   k_room = context.arena.take(1, most * k_row);
  // As many rows at a time as the segment has tokens.
  const int64_t block = std::max<int64_t>(n, 1);
  const TensorView latents = context.arena.take(block, Rkv_ + Dr_);
  for (int64_t h0 = 0; h0 < H_; h0 += max_heads) {
    const int64_t heads = std::min(max_heads, H_ - h0);
    const WeightView w = kv_b_proj_.rows_from(h0 * kv_row, heads * kv_row);
    const TensorView kv =
        kv_room.cols_from(0, S * heads * kv_row).split(heads * kv_row);  // [S, heads, Dn + Dv]
    const TensorView keys =
        k_room.cols_from(0, S * heads * k_row).split(heads * k_row);  // [S, heads, Dn + Dr]
    for (int64_t s = 0; s < S; s += block) {
      const TensorView some = latents.rows_from(0, std::min(block, S - s));
      kv_read(context, segment.streams[stream_], s, some);
      const MatmulJob job[] = {{w, some.cols_from(0, Rkv_), kv.rows_from(s, some.rows)}};
      matmul(context, job);
      repeat_rows(context, some.cols_from(Rkv_, Dr_), heads,
                  keys.rows_from(s, some.rows).split(k_row).cols_from(Dn_, Dr_));
    }
    repeat_rows(context, kv.split(kv_row).cols_from(0, Dn_), 1, keys.split(k_row).cols_from(0, Dn_));

    void* const pages[] = {keys.data, kv.data};
    const AttentionSequence sequence[] = {{segment.first_token,
                                           n,
                                           segment.position,
                                           {&pages[0], 1, S, keys.cols, DType::kF32, false},
                                           {&pages[1], 1, S, kv.cols, DType::kF32, false}}};
    AttentionJob job;
    job.q = q.cols_from(h0 * k_row, heads * k_row), job.out = out.cols_from(h0 * Dv_, heads * Dv_);
    job.H = heads, job.KV = heads, job.Dk = k_row, job.Dv = Dv_;
    job.k_head_stride = k_row;
    job.v_offset = Dn_, job.v_head_stride = kv_row;
    job.scale = scale_;
    attention(context, job, sequence);
  }
}

}  // namespace ds::model
