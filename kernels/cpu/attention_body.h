// attention.h over a Vec of any width; included once by each attention_<isa>.cpp after its vec_*.h.
#pragma once
#include <cmath>
#include <cstring>

#include "kernels/attention_kernels.h"

namespace ds::kernels {
namespace {

constexpr int64_t kKeyBlock = kAttentionKeyBlock;
constexpr int kRows = kAttentionRows;

// Elements of cached rows.
struct F32Row {
  static constexpr int64_t kBytes = 4;
  static Vec load(const char* p) { return Vec::load_f32(p); }
};
struct BF16Row {
  static constexpr int64_t kBytes = 2;
  static Vec load(const char* p) { return Vec::load_bf16(p); }
};

inline Vec load_some(const float* p, int64_t n) {
  float padded[Vec::kLanes] = {};
  std::memcpy(padded, p, n * 4);
  return Vec::load(padded);
}
template <class Row>
inline Vec load_some(const char* p, int64_t n) {
  char padded[Vec::kLanes * Row::kBytes] = {};
  std::memcpy(padded, p, n * Row::kBytes);
  return Row::load(padded);
}

// Finds rows of a page table; asks for a page only where the last one ends.
struct RowFinder {
  const KvRows& rows;
  int64_t offset_bytes, row_bytes;  // into a row; from row to row
  const char* base = nullptr;
  int64_t begin = 0, end = 0;  // rows that lie at base

  const char* find(int64_t r) {
    if (r < begin || r >= end) {
      const int64_t page = r / rows.page_rows;
      begin = page * rows.page_rows, end = begin + rows.page_rows;
      base = static_cast<const char*>(rows.pages[page % rows.n_pages]) + offset_bytes;
    }
    return base + (r - begin) * row_bytes;
  }
};

// scores[r][s] for NR query rows and one key.
template <class Row, int NR>
inline void score_key(const float* const (&q)[kRows], const char* key, int64_t Dk, float* scores) {
  Vec acc[NR];
  for (int r = 0; r < NR; ++r) acc[r] = Vec::zero();
  int64_t i = 0;
  for (; i + Vec::kLanes <= Dk; i += Vec::kLanes) {
    const Vec kv = Row::load(key + i * Row::kBytes);
    for (int r = 0; r < NR; ++r) acc[r] = fma(Vec::load(q[r] + i), kv, acc[r]);
  }
  if (i < Dk) {
    const Vec kv = load_some<Row>(key + i * Row::kBytes, Dk - i);
    for (int r = 0; r < NR; ++r) acc[r] = fma(load_some(q[r] + i, Dk - i), kv, acc[r]);
  }
  for (int r = 0; r < NR; ++r) scores[r * kKeyBlock] = acc[r].sum();
}

// sums[r] = sums[r] * rescale[r] + sum_s p[r][s] v[s], NV vectors of Dv at a time.
template <class Row, int NV>
inline void add_values(const char* const* values, int64_t n_keys, int64_t column, int64_t Dv, const float* p,
                       const float* rescale, int n_rows, float* sums) {
  for (int r = 0; r < n_rows; ++r) {
    float* out = sums + r * Dv + column;
    Vec acc[NV];
    const Vec factor = Vec::set1(rescale[r]);
    for (int v = 0; v < NV; ++v) acc[v] = Vec::load(out + v * Vec::kLanes) * factor;
    for (int64_t s = 0; s < n_keys; ++s) {
      const Vec weight = Vec::set1(p[r * kKeyBlock + s]);
      for (int v = 0; v < NV; ++v)
        acc[v] = fma(weight, Row::load(values[s] + (column + v * Vec::kLanes) * Row::kBytes), acc[v]);
    }
    for (int v = 0; v < NV; ++v) acc[v].store(out + v * Vec::kLanes);
  }
}

template <class Row>
inline void attention_tile(const AttentionTile& tile) {
  const int64_t group = tile.group, Dk = tile.Dk, Dv = tile.Dv, n_rows = tile.n_rows;
  const float* q[kRows];
  int64_t visible_begin[kRows], visible_end[kRows];
  float* sums = tile.sums;  // [n_rows, Dv]
  float row_max[kRows], row_sum[kRows];
  for (int64_t r = 0; r < n_rows; ++r) {
    const int64_t t = (tile.row_begin + r) / group, h = (tile.row_begin + r) % group;
    q[r] = tile.q + t * tile.ldq + h * Dk;
    visible_end[r] = tile.position + t + 1;
    visible_begin[r] = tile.window > 0 && visible_end[r] > tile.window ? visible_end[r] - tile.window : 0;
    if (tile.selected && visible_end[r] > tile.n_selected) visible_end[r] = tile.n_selected;
    row_max[r] = -3e38f;
    row_sum[r] = 0;
  }
  for (int64_t r = n_rows; r < kRows; ++r) q[r] = q[0];
  std::memset(sums, 0, n_rows * Dv * sizeof(float));

  RowFinder find_key{tile.k, tile.k_offset * Row::kBytes, tile.k.width * Row::kBytes};
  RowFinder find_value{tile.v, tile.v_offset * Row::kBytes, tile.v.width * Row::kBytes};
  alignas(64) float scores[kRows * kKeyBlock];
  const char* keys[kKeyBlock];
  const char* values[kKeyBlock];
  for (int64_t s0 = tile.key_begin; s0 < tile.key_end; s0 += kKeyBlock) {
    const int64_t n_keys = tile.key_end - s0 < kKeyBlock ? tile.key_end - s0 : kKeyBlock;
    for (int64_t s = 0; s < n_keys; ++s) {
      const int64_t key = tile.selected ? tile.selected[s0 + s] : s0 + s;
      keys[s] = find_key.find(key);
      values[s] = find_value.find(key);
    }
    for (int64_t s = 0; s < n_keys; ++s) {
      if (n_rows == 1) {
        score_key<Row, 1>(q, keys[s], Dk, scores + s);
      } else if (n_rows <= 4) {
        score_key<Row, 4>(q, keys[s], Dk, scores + s);
      } else {
        score_key<Row, kRows>(q, keys[s], Dk, scores + s);
      }
    }
    float rescale[kRows];
    for (int64_t r = 0; r < n_rows; ++r) {
      float* p = scores + r * kKeyBlock;
      // Keys [begin, end) of the block are visible; none where end <= begin.
      const int64_t begin = visible_begin[r] > s0 ? visible_begin[r] - s0 : 0;
      const int64_t end = visible_end[r] - s0 < n_keys ? visible_end[r] - s0 : n_keys;
      rescale[r] = 1;
      if (end <= begin) {
        std::memset(p, 0, kKeyBlock * sizeof(float));
        continue;
      }
      float top = row_max[r];
      for (int64_t s = begin; s < end; ++s) {
        p[s] *= tile.scale;
        if (p[s] > top) top = p[s];
      }
      for (int64_t s = 0; s < begin; ++s) p[s] = -3.4e38f;  // exp gives 0
      for (int64_t s = end; s < kKeyBlock; ++s) p[s] = -3.4e38f;
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
      add_values<Row, 4>(values, n_keys, c, Dv, scores, rescale, static_cast<int>(n_rows), sums);
    for (; c + Vec::kLanes <= Dv; c += Vec::kLanes)
      add_values<Row, 1>(values, n_keys, c, Dv, scores, rescale, static_cast<int>(n_rows), sums);
    for (; c < Dv; ++c) {
      for (int64_t r = 0; r < n_rows; ++r) {
        float sum = sums[r * Dv + c] * rescale[r];
        for (int64_t s = 0; s < n_keys; ++s) {
          float value[Vec::kLanes];
          load_some<Row>(values[s] + c * Row::kBytes, 1).store(value);
          sum += scores[r * kKeyBlock + s] * value[0];
        }
        sums[r * Dv + c] = sum;
      }
    }
  }
  for (int64_t r = 0; r < n_rows; ++r) {
    if (tile.part_max) {
      tile.part_max[r] = row_max[r];
      tile.part_sum[r] = row_sum[r];
      continue;
    }
    const int64_t t = (tile.row_begin + r) / group, h = (tile.row_begin + r) % group;
    float* out = tile.out + t * tile.ldo + h * Dv;
    const float inverse = row_sum[r] > 0 ? 1.0f / row_sum[r] : 0.0f;
    for (int64_t i = 0; i < Dv; ++i) out[i] = sums[r * Dv + i] * inverse;
    if (tile.lse) tile.lse[t * tile.ld_lse + h] = row_max[r] + logf(row_sum[r]);
  }
}

inline void attention_rows(const AttentionTile& tile) {
  tile.k.dtype == DType::kF32 ? attention_tile<F32Row>(tile) : attention_tile<BF16Row>(tile);
}

}  // namespace
}  // namespace ds::kernels
