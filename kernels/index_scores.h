// The lightning indexer's score of every earlier token (V3.2):
//   scores[0, s] = sum_h weights[0, h] * factor * max(q[0, h] . key[s], 0),   s < n_keys
// q: [1, H * Di] f32, weights: [1, H] f32, keys: rows of width Di, scores: [1, n_keys] f32. NaN scores become
// -infinity: damaged weights must not break the order that top_k makes of them.
#pragma once
#include "kernels/context.h"
#include "kernels/kv_rows.h"

namespace ds::kernels {

void index_scores(const Context& context, TensorView q, TensorView weights, float factor, const KvRows& keys,
                  TensorView scores);

}  // namespace ds::kernels
