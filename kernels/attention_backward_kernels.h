// The kernel behind attention_backward() of attention.h, by level. Private to kernels/ and its tests.
#pragma once
#include <cstdint>

#include "core/cpu.h"
#include "kernels/kv_rows.h"

namespace ds::kernels {

// All rows of one kv head of one sequence.
struct AttentionBackwardTile {
  const float* q = nullptr;  // of the sequence's first token and the kv head's first head
  int64_t ldq = 0;
  const float* out = nullptr;
  int64_t ldo = 0;
  const float* lse = nullptr;
  int64_t ld_lse = 0;
  const float* dout = nullptr;
  int64_t ld_dout = 0;
  float* dq = nullptr;
  int64_t ld_dq = 0;
  KvRows k, v, dk, dv;                 // F32
  int64_t k_offset = 0, v_offset = 0;  // elements into a row
  int64_t Dk = 0, Dv = 0, group = 1;
  int64_t n_tokens = 0, position = 0, window = 0;
  float scale = 1;
};

struct AttentionBackwardKernel {
  const char* name;
  void (*head)(const AttentionBackwardTile& tile);
};
const AttentionBackwardKernel& attention_backward_kernel(Isa isa);

}  // namespace ds::kernels
