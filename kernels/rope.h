// Rotary position embedding, in place.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/context.h"

namespace ds::kernels {

enum class RopePairs {
  kHalfSplit,  // (x[j], x[j + D/2]): Llama, Qwen, DeepSeek v1, the V3.2 indexer
  kAdjacent,   // (x[2j], x[2j + 1]): MLA
};

// Angles of one family: theta[j] for j < D/2 and the factor on cos and sin.
struct RopeTable {
  std::vector<float> theta;  // [D/2]
  float magnitude = 1;
};

// Rotates H heads of every token t by positions[t] * theta[j]. x: [T, ...] f32, head h from column h *
// head_stride on; the first 2 * theta.size() floats of a head rotate. Angles are formed in float32, as every
// reference does; cos and sin are then computed in double.
void rope(const Context& context, const RopeTable& table, RopePairs pairs, std::span<const int32_t> positions,
          TensorView x, int64_t H, int64_t head_stride);
// dx is rotated back, in place: a rotation's transpose, times the table's magnitude.
void rope_backward(const Context& context, const RopeTable& table, RopePairs pairs,
                   std::span<const int32_t> positions, TensorView dx, int64_t H, int64_t head_stride);

}  // namespace ds::kernels
