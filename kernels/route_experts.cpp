#include "kernels/route_experts.h"

#include <algorithm>
#include <cmath>

#include "kernels/op.h"
#include "kernels/tape.h"

namespace ds::kernels {
namespace {

// Keeps the best topk_group of the groups; choices in the others become -infinity.
// group_scores: [n_group] scratch.
void mask_groups(const RouterOptions& o, float* choice, float* group_scores) {
  const int64_t size = o.E / o.n_group;
  constexpr float kNever = -INFINITY;
  for (int64_t g = 0; g < o.n_group; ++g) {
    float best = kNever, second = kNever;
    for (int64_t e = g * size; e < (g + 1) * size; ++e) {
      if (choice[e] > best) {
        second = best;
        best = choice[e];
      } else if (choice[e] > second) {
        second = choice[e];
      }
    }
    group_scores[g] = o.method == RouterOptions::Method::kNoAuxTc && size > 1 ? best + second : best;
  }
  for (int64_t drop = 0; drop < o.n_group - o.topk_group; ++drop) {
    int64_t worst = -1;  // of equal ones the highest id goes
    for (int64_t g = 0; g < o.n_group; ++g)
      if (!std::isnan(group_scores[g]) && (worst < 0 || group_scores[g] <= group_scores[worst])) worst = g;
    if (worst < 0) return;
    group_scores[worst] = NAN;
    std::fill(choice + worst * size, choice + (worst + 1) * size, kNever);
  }
}

void score_experts(const RouterOptions& o, const float* logits, float* score) {
  if (o.sigmoid) {
    for (int64_t e = 0; e < o.E; ++e) score[e] = 1.0f / (1.0f + std::exp(-logits[e]));
  } else {
    const float top = *std::max_element(logits, logits + o.E);
    float sum = 0;
    for (int64_t e = 0; e < o.E; ++e) sum += score[e] = std::exp(logits[e] - top);
    for (int64_t e = 0; e < o.E; ++e) score[e] /= sum;
  }
}

// One token's gradient. With s the scores, S = sum of the chosen ones + 1e-20 and weight = factor s / S:
//   ds_e = factor / S (dweight_e - sum_chosen dweight s / S)    (not normalised: factor dweight_e)
// scratch: 2 * E floats.
void route_backward(const RouterOptions& o, const float* logits, const int32_t* experts, float* dweights,
                    float* scratch, float* dlogits) {
  float* score = scratch;         // [E]
  float* dscore = scratch + o.E;  // [E]
  score_experts(o, logits, score);
  std::fill(dscore, dscore + o.E, 0.0f);
  float sum = 1e-20f, mean = 0;
  for (int64_t k = 0; k < o.K; ++k) sum += score[experts[k]];
  for (int64_t k = 0; k < o.K; ++k) mean += dweights[k] * score[experts[k]] / sum;
  for (int64_t k = 0; k < o.K; ++k) {
    const float d = o.norm_topk_prob ? (dweights[k] - mean) / sum : dweights[k];
    dscore[experts[k]] += o.routed_scaling_factor * d;
    dweights[k] = 0;
  }
  float inner = 0;  // of a softmax
  if (!o.sigmoid)
    for (int64_t e = 0; e < o.E; ++e) inner += score[e] * dscore[e];
  for (int64_t e = 0; e < o.E; ++e)
    dlogits[e] += o.sigmoid ? dscore[e] * score[e] * (1 - score[e]) : score[e] * (dscore[e] - inner);
}

// One token's choice. scratch: 2 * E + n_group floats.
void route(const RouterOptions& o, const float* logits, const float* bias, float* scratch, int32_t* experts,
           float* expert_weights) {
  float* score = scratch;         // [E]
  float* choice = scratch + o.E;  // [E]
  score_experts(o, logits, score);
  for (int64_t e = 0; e < o.E; ++e) choice[e] = bias ? score[e] + bias[e] : score[e];
  if (o.method != RouterOptions::Method::kGreedy) mask_groups(o, choice, scratch + 2 * o.E);

  for (int64_t k = 0; k < o.K; ++k) {
    int64_t best = -1;
    for (int64_t e = 0; e < o.E; ++e) {
      if (std::isnan(choice[e])) continue;
      if (best < 0 || choice[e] > choice[best]) best = e;
    }
    if (best < 0) best = 0;  // only NaNs left: any choice is as wrong
    experts[k] = static_cast<int32_t>(best);
    choice[best] = NAN;
  }
  std::sort(experts, experts + o.K);
  float sum = 1e-20f;
  for (int64_t k = 0; k < o.K; ++k) sum += expert_weights[k] = score[experts[k]];
  for (int64_t k = 0; k < o.K; ++k) {
    if (o.norm_topk_prob) expert_weights[k] /= sum;
    expert_weights[k] *= o.routed_scaling_factor;
  }
}

}  // namespace

void route_experts(const Context& context, const RouterOptions& o, TensorView logits, const float* bias,
                   TensorView experts, TensorView weights) {
  const Op op(context, logits, experts, weights);
  const int64_t T = logits.rows, per_thread = 2 * o.E + o.n_group;
  DS_CHECK(is_f32(logits, T, o.E) && is_i32(experts, T, o.K) && is_f32(weights, T, o.K));
  float* scratch = op.scratch(per_thread * op.context().n_threads());
  if (!op.dry()) {
    op.parallel_for(T, 16, [&](int64_t begin, int64_t end, int thread_idx) {
      for (int64_t t = begin; t < end; ++t)
        route(o, f32(logits, t), bias, scratch + thread_idx * per_thread, i32(experts, t), f32(weights, t));
    });
  }
  if (Tape* tape = context.tape) {
    const TensorView kept_logits = tape->keep(context, logits), kept_experts = tape->keep(context, experts);
    tape->push([tape, o, kept_logits, kept_experts, logits, weights](const Context& c) {
      route_experts_backward(c, o, kept_logits, kept_experts, tape->gradient(c, weights),
                             tape->gradient(c, logits));
    });
  }
}

void route_experts_backward(const Context& context, const RouterOptions& o, TensorView logits,
                            TensorView experts, TensorView dweights, TensorView dlogits) {
  const Op op(context, logits, experts, dweights, dlogits);
  const int64_t T = logits.rows, per_thread = 2 * o.E;
  DS_CHECK(is_f32(logits, T, o.E) && is_i32(experts, T, o.K) && is_f32(dweights, T, o.K) &&
           is_f32(dlogits, T, o.E));
  float* scratch = op.scratch(per_thread * op.context().n_threads());
  if (op.dry()) return;
  op.parallel_for(T, 16, [&](int64_t begin, int64_t end, int thread_idx) {
    for (int64_t t = begin; t < end; ++t)
      route_backward(o, f32(logits, t), i32(experts, t), f32(dweights, t), scratch + thread_idx * per_thread,
                     f32(dlogits, t));
  });
}

}  // namespace ds::kernels
