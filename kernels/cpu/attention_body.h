// attention.h over a Vec of any width; included once by each attention_<isa>.cpp after its vec_*.h.
#pragma once
#include <cstring>

#include "kernels/attention.h"

namespace ds::kernels {
namespace {

constexpr int64_t kKeyBlock = 64;  // keys whose scores are held at a time
constexpr int kRows = kAttentionRows;

inline Vec load_some(const float* p, int64_t n) {
  float padded[Vec::kLanes] = {};
  std::memcpy(padded, p, n * 4);
  return Vec::load(padded);
}

// scores[r][s] for NR query rows and one key.
template <int NR>
inline void score_key(const float* const (&q)[kRows], const float* key, int64_t Dk, float* scores) {
  Vec acc[NR];
  for (int r = 0; r < NR; ++r) acc[r] = Vec::zero();
  int64_t i = 0;
  for (; i + Vec::kLanes <= Dk; i += Vec::kLanes) {
    const Vec kv = Vec::load(key + i);
    for (int r = 0; r < NR; ++r) acc[r] = fma(Vec::load(q[r] + i), kv, acc[r]);
  }
  if (i < Dk) {
    const Vec kv = load_some(key + i, Dk - i);
    for (int r = 0; r < NR; ++r) acc[r] = fma(load_some(q[r] + i, Dk - i), kv, acc[r]);
  }
  for (int r = 0; r < NR; ++r) scores[r * kKeyBlock] = acc[r].sum();
}

// sums[r] = sums[r] * rescale[r] + sum_s p[r][s] v[s], NV vectors of Dv at a time.
template <int NV>
inline void add_values(const float* const* values, int64_t n_keys, int64_t column, int64_t Dv, const float* p,
                       const float* rescale, int n_rows, float* sums) {
  for (int r = 0; r < n_rows; ++r) {
    float* out = sums + r * Dv + column;
    Vec acc[NV];
    const Vec factor = Vec::set1(rescale[r]);
    for (int v = 0; v < NV; ++v) acc[v] = Vec::load(out + v * Vec::kLanes) * factor;
    for (int64_t s = 0; s < n_keys; ++s) {
      const Vec weight = Vec::set1(p[r * kKeyBlock + s]);
      for (int v = 0; v < NV; ++v)
        acc[v] = fma(weight, Vec::load(values[s] + column + v * Vec::kLanes), acc[v]);
    }
    for (int v = 0; v < NV; ++v) acc[v].store(out + v * Vec::kLanes);
  }
}

inline void attention_rows(const AttentionJob& job, int64_t g, int64_t row_begin, int64_t n_rows,
                           float* scratch) {
  const int64_t group = job.H / job.KV, Dv = job.Dv;
  const float* q[kRows];
  int64_t n_visible[kRows];
  float* sums = scratch;  // [n_rows, Dv]
  float row_max[kRows], row_sum[kRows];
  int64_t most_keys = 0;
  const int32_t* selected = nullptr;
  for (int64_t r = 0; r < n_rows; ++r) {
    const int64_t t = (row_begin + r) / group, h = g * group + (row_begin + r) % group;
    q[r] = job.q + t * job.ldq + h * job.Dk;
    n_visible[r] = job.selected ? job.n_selected[t] : job.first_position + t + 1;
    if (n_visible[r] > most_keys) most_keys = n_visible[r];
    if (job.selected)
      selected = job.selected + t * job.ld_selected;  // all rows of a sparse call share a token
    row_max[r] = -3e38f;
    row_sum[r] = 0;
  }
  for (int64_t r = n_rows; r < kRows; ++r) q[r] = q[0];
  std::memset(sums, 0, n_rows * Dv * sizeof(float));

  alignas(64) float scores[kRows * kKeyBlock];
  const float* keys[kKeyBlock];
  const float* values[kKeyBlock];
  for (int64_t s0 = 0; s0 < most_keys; s0 += kKeyBlock) {
    const int64_t n_keys = most_keys - s0 < kKeyBlock ? most_keys - s0 : kKeyBlock;
    for (int64_t s = 0; s < n_keys; ++s) {
      const int64_t key = selected ? selected[s0 + s] : s0 + s;
      keys[s] = job.k + key * job.ldk + g * job.k_head_stride;
      values[s] = job.v + key * job.ldv + g * job.v_head_stride;
    }
    for (int64_t s = 0; s < n_keys; ++s) {
      if (n_rows == 1) {
        score_key<1>(q, keys[s], job.Dk, scores + s);
      } else if (n_rows <= 4) {
        score_key<4>(q, keys[s], job.Dk, scores + s);
      } else {
        score_key<kRows>(q, keys[s], job.Dk, scores + s);
      }
    }
    float rescale[kRows];
    for (int64_t r = 0; r < n_rows; ++r) {
      float* p = scores + r * kKeyBlock;
      const int64_t n = n_visible[r] - s0 < n_keys ? n_visible[r] - s0 : n_keys;  // may be <= 0: all masked
      float top = row_max[r];
      for (int64_t s = 0; s < n; ++s) {
        p[s] *= job.scale;
        if (p[s] > top) top = p[s];
      }
      for (int64_t s = n > 0 ? n : 0; s < kKeyBlock; ++s) p[s] = -3.4e38f;  // exp gives 0
      rescale[r] = 1;
      if (n <= 0) {
        std::memset(p, 0, kKeyBlock * sizeof(float));
        continue;
      }
      Vec total = Vec::zero();
      const Vec shift = Vec::set1(top);
      for (int64_t s = 0; s < kKeyBlock; s += Vec::kLanes) {
        const Vec e = exp(Vec::load(p + s) - shift);
        e.store(p + s);
        total = total + e;
      }
      float down[Vec::kLanes];
      exp(Vec::set1(row_max[r] - top)).store(down);
      rescale[r] = down[0];
      row_sum[r] = row_sum[r] * rescale[r] + total.sum();
      row_max[r] = top;
    }
    int64_t c = 0;
    for (; c + 4 * Vec::kLanes <= Dv; c += 4 * Vec::kLanes)
      add_values<4>(values, n_keys, c, Dv, scores, rescale, static_cast<int>(n_rows), sums);
    for (; c + Vec::kLanes <= Dv; c += Vec::kLanes)
      add_values<1>(values, n_keys, c, Dv, scores, rescale, static_cast<int>(n_rows), sums);
    for (; c < Dv; ++c) {
      for (int64_t r = 0; r < n_rows; ++r) {
        float sum = sums[r * Dv + c] * rescale[r];
        for (int64_t s = 0; s < n_keys; ++s) sum += scores[r * kKeyBlock + s] * values[s][c];
        sums[r * Dv + c] = sum;
      }
    }
  }
  for (int64_t r = 0; r < n_rows; ++r) {
    const int64_t t = (row_begin + r) / group, h = g * group + (row_begin + r) % group;
    float* out = job.out + t * job.ldo + h * Dv;
    const float inverse = row_sum[r] > 0 ? 1.0f / row_sum[r] : 0.0f;
    for (int64_t i = 0; i < Dv; ++i) out[i] = sums[r * Dv + i] * inverse;
  }
}

}  // namespace
}  // namespace ds::kernels
