// Causal softmax attention of all sequences of a step in one call: every attention of the family after its
// projections.
//
//   out[t, h] = sum_s softmax_s(scale * q[t, h] . k[s, g]) v[s, g],   g = h / (H / KV)
//   over s <= p, and s > p - window where there is one, p being the position of token t in its sequence
//
// Grouped-query attention is this as it stands; un-absorbed MLA has KV = H; absorbed MLA has KV = 1, k the
// cached row [latent | rope key] and v its first part. Softmax is computed block by block with a running
// maximum (online softmax, Milakov and Gimelshein 2018) in float32. Few rows over many keys (decode in a long
// context) are split over keys and merged (Flash-Decoding); where the split lies follows from the sequence
// alone, so no result depends on threads or on the other sequences.
#pragma once
#include <span>

#include "kernels/context.h"
#include "kernels/kv_rows.h"

namespace ds::kernels {

// Tokens [first_token, + n_tokens) of the step stand at `position`... of their sequence, whose rows up to
// them are in k and v.
struct AttentionSequence {
  int64_t first_token = 0, n_tokens = 0;
  int64_t position = 0;
  KvRows k, v;
  bool sparse = false;  // its tokens see the keys that AttentionJob::selected names for them, no others
};

struct AttentionJob {
  TensorView q;    // [T, H * Dk] f32
  TensorView out;  // [T, H * Dv] f32; only the rows of the sequences are written
  int64_t H = 0, KV = 0, Dk = 0, Dv = 0;
  // Where in a row of k or v head g begins: offset + g * stride.
  int64_t k_head_stride = 0;
  int64_t v_offset = 0, v_head_stride = 0;
  float scale = 1;
  int64_t window = 0;   // keys a token sees, itself included; 0: all
  TensorView selected;  // [T, n] i32 ascending; at position p the first min(n, p + 1) count
  TensorView lse;       // [T, H] f32, optional: log(sum_s exp(scale * q . k)) for merging with other keys
};

void attention(const Context& context, const AttentionJob& job, std::span<const AttentionSequence> sequences);

// With P the softmax (recomputed from lse), dP = dout . v and dS = scale P (dP - sum_s P dP):
//   dq += dS k    dk += dS^T q    dv += P^T dout                                    (a group's heads summed)
// job is attention()'s with lse; rows are F32, none selected. Of dout the rows of the sequences are taken.
struct AttentionBackwardSequence {
  AttentionSequence of;
  KvRows dk, dv;  // as of.k and of.v
};
void attention_backward(const Context& context, const AttentionJob& job,
                        std::span<const AttentionBackwardSequence> sequences, TensorView dout, TensorView dq);

}  // namespace ds::kernels
