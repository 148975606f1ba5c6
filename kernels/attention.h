// Causal softmax attention of one sequence: every attention of the family after its projections.
//
//   out[t, h] = sum_s softmax_s(scale * q[t, h] . k[s, g]) v[s, g],   g = h / (H / KV),   s <= first_position
//   + t
//
// Grouped-query attention is this as it stands; un-absorbed MLA has KV = H; absorbed MLA has KV = 1, k the
// cached row [latent | rope key] and v its first part. Softmax is computed block by block with a running
// maximum (online softmax, Milakov and Gimelshein 2018) in float32; the order of keys does not depend on
// threads.
#pragma once
#include <cstdint>
#include <span>

#include "kernels/exec.h"

namespace ds::kernels {

struct AttentionJob {
  const float* q = nullptr;  // [T, H, Dk], token t at q + t * ldq, head h at + h * Dk
  int64_t ldq = 0;
  const float* k = nullptr;  // [S, KV, Dk], key s at k + s * ldk, kv head g at + g * k_head_stride
  int64_t ldk = 0, k_head_stride = 0;
  const float* v = nullptr;  // [S, KV, Dv]
  int64_t ldv = 0, v_head_stride = 0;
  float* out = nullptr;  // [T, H, Dv], token t at out + t * ldo, head h at + h * Dv
  int64_t ldo = 0;
  int64_t T = 0, H = 0, KV = 0, Dk = 0, Dv = 0;
  int64_t first_position = 0;  // keys 0 .. first_position + t are visible to token t
  float scale = 1;

  // Sparse attention: token t sees only keys selected[t * ld_selected + i], i < n_selected[t] (ascending,
  // visible).
  const int32_t* selected = nullptr;
  int64_t ld_selected = 0;
  const int32_t* n_selected = nullptr;
};

// scratch: at least attention_scratch_floats().
void attention(const Exec& exec, const AttentionJob& job, std::span<float> scratch);
int64_t attention_scratch_floats(int n_threads, int64_t Dv);

// Query rows (token and head of one group) that are worked on together.
constexpr int kAttentionRows = 8;

struct AttentionKernel {
  const char* name;
  // Rows [row_begin, row_begin + n_rows) of kv head g, row = t * (H / KV) + head within the group.
  void (*rows)(const AttentionJob& job, int64_t g, int64_t row_begin, int64_t n_rows, float* scratch);
};
const AttentionKernel& attention_kernel(Isa isa);

}  // namespace ds::kernels
