// The kernel behind attention.h, by level. Private to kernels/ and its tests.
#pragma once
#include <cstdint>

#include "core/cpu.h"
#include "kernels/kv_rows.h"

namespace ds::kernels {

// Query rows (token and head of one group) that are worked on together.
constexpr int kAttentionRows = 8;
constexpr int64_t kAttentionKeyBlock = 64;  // keys whose scores are held at a time

// Rows [row_begin, + n_rows) of one kv head of one sequence against keys [key_begin, key_end), row = token *
// group + head within the group. With a selection the keys are places in it, and all rows share a token.
struct AttentionTile {
  const float* q = nullptr;  // of the sequence's first token and the kv head's first head
  int64_t ldq = 0;
  float* out = nullptr;
  int64_t ldo = 0;
  float* lse = nullptr;  // may be null
  int64_t ld_lse = 0;
  KvRows k, v;
  int64_t k_offset = 0, v_offset = 0;  // elements into a row
  int64_t Dk = 0, Dv = 0, group = 1;
  int64_t position = 0, window = 0;
  float scale = 1;
  const int32_t* selected = nullptr;  // of the tile's token
  int64_t n_selected = 0;             // most there are
  int64_t row_begin = 0, n_rows = 0;
  int64_t key_begin = 0, key_end = 0;
  float* sums = nullptr;  // scratch [n_rows, Dv]; what is left there unless the tile is whole
  // One part of several: maximum and sum of each row's exponentials are left here for the merge, and `out` is
  // not written. Null: the tile is whole.
  float* part_max = nullptr;
  float* part_sum = nullptr;
};

struct AttentionKernel {
  const char* name;
  void (*rows)(const AttentionTile& tile);
};
const AttentionKernel& attention_kernel(Isa isa);

}  // namespace ds::kernels
