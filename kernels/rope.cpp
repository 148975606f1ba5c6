#include "kernels/rope.h"

#include <cmath>

namespace ds::kernels {

void rope(const RopeTable& table, RopePairs pairs, int64_t first_position, int64_t T, int64_t H, float* x,
          int64_t ldx, int64_t head_stride) {
  const auto n_pairs = static_cast<int64_t>(table.theta.size());
  const bool adjacent = pairs == RopePairs::kAdjacent;
  constexpr int64_t kChunk = 64;  // angles of up to 64 pairs on the stack
  float cos_chunk[kChunk], sin_chunk[kChunk];
  for (int64_t t = 0; t < T; ++t) {
    const auto position = static_cast<float>(first_position + t);
    for (int64_t j0 = 0; j0 < n_pairs; j0 += kChunk) {
      const int64_t n = n_pairs - j0 < kChunk ? n_pairs - j0 : kChunk;
      for (int64_t j = 0; j < n; ++j) {
        const double angle = position * table.theta[j0 + j];
        cos_chunk[j] = static_cast<float>(std::cos(angle)) * table.magnitude;
        sin_chunk[j] = static_cast<float>(std::sin(angle)) * table.magnitude;
      }
      for (int64_t h = 0; h < H; ++h) {
        float* head = x + t * ldx + h * head_stride;
        for (int64_t j = 0; j < n; ++j) {
          float& a = adjacent ? head[2 * (j0 + j)] : head[j0 + j];
          float& b = adjacent ? head[2 * (j0 + j) + 1] : head[j0 + j + n_pairs];
          const float u = a, v = b;
          a = u * cos_chunk[j] - v * sin_chunk[j];
          b = v * cos_chunk[j] + u * sin_chunk[j];
        }
      }
    }
  }
}

}  // namespace ds::kernels
