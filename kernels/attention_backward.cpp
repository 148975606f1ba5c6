#include <algorithm>

#include "kernels/attention.h"
#include "kernels/attention_backward_kernels.h"
#include "kernels/op.h"
#include "kernels/tape.h"

namespace ds::kernels {

DS_KERNEL_LEVELS(AttentionBackwardKernel, kAttentionBackward, kAttentionBackwardLevels);

const AttentionBackwardKernel& attention_backward_kernel(Isa isa) {
  return pick(kAttentionBackwardLevels, isa);
}

void attention_backward(const Context& context, const AttentionJob& job,
                        std::span<const AttentionBackwardSequence> sequences, TensorView dout,
                        TensorView dq) {
  const Op op(context, job.q, job.out, job.lse, dout, dq);
  const int64_t T = job.q.rows, group = job.H / job.KV;
  DS_CHECK(is_f32(job.q, T, job.H * job.Dk) && is_f32(dq, T, job.H * job.Dk));
  DS_CHECK(is_f32(job.out, T, job.H * job.Dv) && is_f32(dout, T, job.H * job.Dv));
  DS_CHECK(is_f32(job.lse, T, job.H));
  if (!op.dry()) {
    const AttentionBackwardKernel& kernel = attention_backward_kernel(op.isa());
    // A unit is a kv head of a sequence: its keys gather from all rows, in their order.
    const auto n_units = static_cast<int64_t>(sequences.size()) * job.KV;
    op.parallel_for(n_units, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t u = begin; u < end; ++u) {
        const AttentionBackwardSequence& s = sequences[u / job.KV];
        const int64_t g = u % job.KV, t = s.of.first_token;
        DS_CHECK(!s.of.sparse && s.of.k.dtype == DType::kF32 && s.of.v.dtype == DType::kF32);
        AttentionBackwardTile tile;
        tile.q = f32(job.q, t) + g * group * job.Dk, tile.ldq = job.q.ld;
        tile.out = f32(job.out, t) + g * group * job.Dv, tile.ldo = job.out.ld;
        tile.lse = f32(job.lse, t) + g * group, tile.ld_lse = job.lse.ld;
        tile.dout = f32(dout, t) + g * group * job.Dv, tile.ld_dout = dout.ld;
        tile.dq = f32(dq, t) + g * group * job.Dk, tile.ld_dq = dq.ld;
        tile.k = s.of.k, tile.v = s.of.v, tile.dk = s.dk, tile.dv = s.dv;
        tile.k_offset = g * job.k_head_stride, tile.v_offset = job.v_offset + g * job.v_head_stride;
        tile.Dk = job.Dk, tile.Dv = job.Dv, tile.group = group;
        tile.n_tokens = s.of.n_tokens, tile.position = s.of.position, tile.window = job.window;
        tile.scale = job.scale;
        kernel.head(tile);
      }
    });
  }
  for (const AttentionBackwardSequence& s : sequences)
    clear(context, dout.rows_from(s.of.first_token, s.of.n_tokens));
}

}  // namespace ds::kernels
