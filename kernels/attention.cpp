#include "kernels/attention.h"

#include <algorithm>

#include "core/error.h"

namespace ds::kernels {

extern const AttentionKernel kAttention_scalar;
#if DS_X86
extern const AttentionKernel kAttention_avx2, kAttention_avx512;
#endif

const AttentionKernel& attention_kernel(Isa isa) {
#if DS_X86
  if (isa >= Isa::kAvx512) return kAttention_avx512;
  if (isa == Isa::kAvx2) return kAttention_avx2;
#endif
  (void)isa;
  return kAttention_scalar;
}

void attention(const Exec& exec, const AttentionJob& job, std::span<float> scratch) {
  if (job.T == 0) return;
  DS_CHECK(job.KV > 0 && job.H % job.KV == 0);
  DS_CHECK(static_cast<int64_t>(scratch.size()) >= attention_scratch_floats(exec.pool.n_threads(), job.Dv));
  const AttentionKernel& kernel = attention_kernel(exec.isa);
  const int64_t group = job.H / job.KV;
  // Rows are worked on in tiles; with a selection a tile stays within one token, whose keys it shares.
  const int64_t span = job.selected ? group : job.T * group;
  const int64_t tiles_per_span = (span + kAttentionRows - 1) / kAttentionRows;
  const int64_t tiles_per_head = tiles_per_span * (job.selected ? job.T : 1);
  exec.pool.parallel_for(job.KV * tiles_per_head, 1, [&](int64_t begin, int64_t end, int thread_idx) {
    float* thread_scratch = scratch.data() + thread_idx * kAttentionRows * job.Dv;
    for (int64_t u = begin; u < end; ++u) {
      // Late rows see the most keys: hand them out first, so that threads end together.
      const int64_t tile = tiles_per_head - 1 - u % tiles_per_head;
      const int64_t first = tile / tiles_per_span * span, offset = tile % tiles_per_span * kAttentionRows;
      kernel.rows(job, u / tiles_per_head, first + offset, std::min<int64_t>(kAttentionRows, span - offset),
                  thread_scratch);
    }
  });
}

int64_t attention_scratch_floats(int n_threads, int64_t Dv) { return n_threads * kAttentionRows * Dv; }

}  // namespace ds::kernels
