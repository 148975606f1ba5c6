// attention_backward() of attention.h over a Vec of any width; included once by each
// attention_backward_<isa>.cpp after its vec_*.h.
#pragma once
#include "kernels/attention_backward_kernels.h"
#include "kernels/cpu/attention_body.h"

namespace ds::kernels {
namespace {

// to[i] += sum_j factors[j * stride] * from[j][i]
template <int NV>
inline void add_scaled_columns(const float* const* from, const float* factors, int64_t stride, int64_t n_from,
                               int64_t column, float* to) {
  Vec acc[NV];
  for (int v = 0; v < NV; ++v) acc[v] = Vec::load(to + column + v * Vec::kLanes);
  for (int64_t j = 0; j < n_from; ++j) {
    const Vec factor = Vec::set1(factors[j * stride]);
    for (int v = 0; v < NV; ++v) acc[v] = fma(factor, Vec::load(from[j] + column + v * Vec::kLanes), acc[v]);
  }
  for (int v = 0; v < NV; ++v) acc[v].store(to + column + v * Vec::kLanes);
}
inline void add_scaled(const float* const* from, const float* factors, int64_t stride, int64_t n_from,
                       int64_t n, float* to) {
  int64_t c = 0;
  for (; c + 4 * Vec::kLanes <= n; c += 4 * Vec::kLanes)
    add_scaled_columns<4>(from, factors, stride, n_from, c, to);
  for (; c + Vec::kLanes <= n; c += Vec::kLanes) add_scaled_columns<1>(from, factors, stride, n_from, c, to);
  for (; c < n; ++c)
    for (int64_t j = 0; j < n_from; ++j) to[c] += factors[j * stride] * from[j][c];
}

inline void attention_backward_head(const AttentionBackwardTile& tile) {
  const int64_t group = tile.group, Dk = tile.Dk, Dv = tile.Dv;
  RowFinder find_key{tile.k, tile.k_offset * 4, tile.k.width * 4};
  RowFinder find_value{tile.v, tile.v_offset * 4, tile.v.width * 4};
  RowFinder find_dkey{tile.dk, tile.k_offset * 4, tile.dk.width * 4};
  RowFinder find_dvalue{tile.dv, tile.v_offset * 4, tile.dv.width * 4};
  alignas(64) float p[kRows * kKeyBlock], dp[kRows * kKeyBlock];
  for (int64_t row = 0; row < tile.n_tokens * group; row += kRows) {
    const int64_t n_rows = tile.n_tokens * group - row < kRows ? tile.n_tokens * group - row : kRows;
    const float *q[kRows], *dout[kRows];
    float* dq[kRows];
    int64_t visible_begin[kRows], visible_end[kRows];
    float lse[kRows], inner[kRows];  // inner: dout . out = sum_s p dp
    for (int64_t r = 0; r < kRows; ++r) {
      const int64_t t = (row + (r < n_rows ? r : 0)) / group, h = (row + (r < n_rows ? r : 0)) % group;
      q[r] = tile.q + t * tile.ldq + h * Dk;
      dq[r] = tile.dq + t * tile.ld_dq + h * Dk;
      dout[r] = tile.dout + t * tile.ld_dout + h * Dv;
      const float* out = tile.out + t * tile.ldo + h * Dv;
      lse[r] = tile.lse[t * tile.ld_lse + h];
      inner[r] = 0;
      for (int64_t i = 0; i < Dv; ++i) inner[r] += dout[r][i] * out[i];
      visible_end[r] = tile.position + t + 1;
      visible_begin[r] = tile.window > 0 && visible_end[r] > tile.window ? visible_end[r] - tile.window : 0;
    }
    const int64_t first = visible_begin[0] / kKeyBlock * kKeyBlock, end = visible_end[n_rows - 1];
    for (int64_t s0 = first; s0 < end; s0 += kKeyBlock) {
      const int64_t n_keys = end - s0 < kKeyBlock ? end - s0 : kKeyBlock;
      const float *keys[kKeyBlock], *values[kKeyBlock];
      float *dkeys[kKeyBlock], *dvalues[kKeyBlock];
      for (int64_t s = 0; s < n_keys; ++s) {
        keys[s] = reinterpret_cast<const float*>(find_key.find(s0 + s));
        values[s] = reinterpret_cast<const float*>(find_value.find(s0 + s));
        dkeys[s] = reinterpret_cast<float*>(const_cast<char*>(find_dkey.find(s0 + s)));
        dvalues[s] = reinterpret_cast<float*>(const_cast<char*>(find_dvalue.find(s0 + s)));
      }
      for (int64_t s = 0; s < n_keys; ++s) {
        score_key<F32Row, kRows>(q, reinterpret_cast<const char*>(keys[s]), Dk, p + s);
        score_key<F32Row, kRows>(dout, reinterpret_cast<const char*>(values[s]), Dv, dp + s);
      }
      for (int64_t r = 0; r < n_rows; ++r) {
        float* pr = p + r * kKeyBlock;
        float* dr = dp + r * kKeyBlock;
        for (int64_t s = 0; s < kKeyBlock; ++s) {
          const bool visible = s < n_keys && s0 + s >= visible_begin[r] && s0 + s < visible_end[r];
          pr[s] = visible ? pr[s] * tile.scale - lse[r] : -3.4e38f;  // exp gives 0
          if (!visible) dr[s] = 0;
        }
        const Vec d = Vec::set1(inner[r]), scale = Vec::set1(tile.scale);
        for (int64_t s = 0; s < kKeyBlock; s += Vec::kLanes) {
          const Vec e = exp(Vec::load(pr + s));
          e.store(pr + s);
          (e * (Vec::load(dr + s) - d) * scale).store(dr + s);
        }
        add_scaled(keys, dr, 1, n_keys, Dk, dq[r]);
      }
      for (int64_t s = 0; s < n_keys; ++s) {
        add_scaled(q, dp + s, kKeyBlock, n_rows, Dk, dkeys[s]);
        add_scaled(dout, p + s, kKeyBlock, n_rows, Dv, dvalues[s]);
      }
    }
  }
}

}  // namespace
}  // namespace ds::kernels
