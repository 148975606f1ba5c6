// Rotary position embedding, in place.
#pragma once
#include <cstdint>
#include <vector>

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

// Rotates H heads of D floats for the tokens at positions first_position + t by position * theta[j].
// x: row t starts at x + t * ldx, head h at + h * head_stride; the first 2 * theta.size() floats of a head
// rotate. Angles are formed in float32, as every reference does; cos and sin are then computed in double.
void rope(const RopeTable& table, RopePairs pairs, int64_t first_position, int64_t T, int64_t H, float* x,
          int64_t ldx, int64_t head_stride);

}  // namespace ds::kernels
