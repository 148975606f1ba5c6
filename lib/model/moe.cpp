#include "model/moe.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/matmul.h"
#include "kernels/silu_mul.h"

namespace ds::model {
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

}  // namespace

void route(const RouterOptions& o, const float* logits, const float* bias, float* scratch, int32_t* experts,
           float* expert_weights) {
  float* score = scratch;         // [E]
  float* choice = scratch + o.E;  // [E]
  if (o.sigmoid) {
    for (int64_t e = 0; e < o.E; ++e) score[e] = 1.0f / (1.0f + std::exp(-logits[e]));
  } else {
    const float top = *std::max_element(logits, logits + o.E);
    float sum = 0;
    for (int64_t e = 0; e < o.E; ++e) sum += score[e] = std::exp(logits[e] - top);
    for (int64_t e = 0; e < o.E; ++e) score[e] /= sum;
  }
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

MixtureOfExperts::MixtureOfExperts(const ModelConfig& c, const std::string& prefix, Weights& weights)
    : D_(c.hidden_size),
      F_(c.moe_intermediate_size),
      F_shared_(c.n_shared_experts * c.moe_intermediate_size) {
  router_.E = c.n_routed_experts;
  router_.K = c.num_experts_per_tok;
  router_.n_group = c.n_group;
  router_.topk_group = c.topk_group;
  router_.sigmoid = c.scoring_func == "sigmoid";
  router_.method = c.topk_method == "noaux_tc"               ? RouterOptions::Method::kNoAuxTc
                   : c.topk_method == "group_limited_greedy" ? RouterOptions::Method::kGroupLimited
                                                             : RouterOptions::Method::kGreedy;
  router_.norm_topk_prob = c.norm_topk_prob;
  router_.routed_scaling_factor = static_cast<float>(c.routed_scaling_factor);
  gate_ = weights.matrix(prefix + "gate", router_.E, D_);
  if (router_.method == RouterOptions::Method::kNoAuxTc)
    bias_ = weights.vector(prefix + "gate.e_score_correction_bias", router_.E);
  for (int64_t e = 0; e < router_.E; ++e)
    experts_.push_back(bind_expert(prefix + "experts." + std::to_string(e) + ".", F_, weights));
  if (F_shared_) {
    shared_ = bind_expert(prefix + "shared_experts.", F_shared_, weights);
  } else if (weights.has(prefix + "shared_experts.gate_proj.weight")) {
    throw Error(ErrorKind::kBadModel,
                "n_shared_experts is missing or 0, but " + prefix + "shared_experts is there", c.path,
                "config.json and weights do not belong together");
  }
}

MixtureOfExperts::Expert MixtureOfExperts::bind_expert(const std::string& prefix, int64_t F,
                                                       Weights& weights) const {
  return {weights.matrix(prefix + "gate_proj", F, D_), weights.matrix(prefix + "up_proj", F, D_),
          weights.matrix(prefix + "down_proj", D_, F)};
}

void MixtureOfExperts::forward(const Step& step, const float* x, float* y) const {
  const int64_t T = step.T(), E = router_.E, K = router_.K, n_slots = T * K;
  Workspace& ws = step.workspace;
  const int64_t mark = ws.mark();
  float* logits = ws.take(T * E);                         // [T, E]
  const auto chosen = ws.take_objects<int32_t>(n_slots);  // [T, K] expert ids
  float* weight = ws.take(n_slots);                       // [T, K]
  const auto slot_of =
      ws.take_objects<int32_t>(n_slots);               // [T, K] row of the token in the expert-sorted buffers
  const auto begin = ws.take_objects<int32_t>(E + 1);  // [E + 1] first row of each expert
  const auto jobs = ws.take_objects<MatmulJob>(2 * std::min(E, n_slots) + 2);
  float* route_scratch = ws.take(2 * E + router_.n_group);
  float* sorted = ws.take(n_slots * D_);        // [T * K, D] inputs by expert, then their outputs
  float* gate = ws.take(n_slots * F_);          // [T * K, F]
  float* up = ws.take(n_slots * F_);            // [T * K, F]
  float* shared_gate = ws.take(T * F_shared_);  // [T, F_shared]
  float* shared_up = ws.take(T * F_shared_);

  // The router works in float32 whatever the activations are rounded to elsewhere.
  const Exec exact{step.exec.pool, step.exec.isa, Activations::kF32};
  MatmulJob router_job[] = {{gate_, x, D_, T, logits, E}};
  matmul(exact, router_job, ws.rest());
  for (int64_t t = 0; t < T; ++t)
    route(router_, logits + t * E, bias_, route_scratch, &chosen[t * K], weight + t * K);

  // Counting sort of (token, choice) by expert: tokens of one expert are one matrix product.
  for (const int32_t e : chosen) ++begin[e + 1];
  for (int64_t e = 0; e < E; ++e) begin[e + 1] += begin[e];
  {
    int32_t* next = reinterpret_cast<int32_t*>(route_scratch);  // [E]
    std::memcpy(next, begin.data(), E * sizeof(int32_t));
    for (int64_t i = 0; i < n_slots; ++i) slot_of[i] = next[chosen[i]]++;
  }
  step.exec.pool.parallel_for(n_slots, 64, [&](int64_t from, int64_t to, int) {
    for (int64_t i = from; i < to; ++i)
      std::memcpy(sorted + slot_of[i] * D_, x + i / K * D_, D_ * sizeof(float));
  });

  // gate and up of every chosen expert and of the shared one; few-token experts side by side share a parallel
  // loop.
  const auto for_each_chosen = [&](auto&& visit) {
    for (int64_t e = 0; e < E; ++e)
      if (begin[e + 1] > begin[e]) visit(experts_[e], begin[e], begin[e + 1] - begin[e]);
  };
  int64_t n_jobs = 0;
  for_each_chosen([&](const Expert& expert, int64_t row, int64_t n) {
    jobs[n_jobs++] = {expert.gate_proj, sorted + row * D_, D_, n, gate + row * F_, F_};
    jobs[n_jobs++] = {expert.up_proj, sorted + row * D_, D_, n, up + row * F_, F_};
  });
  if (F_shared_) {
    jobs[n_jobs++] = {shared_.gate_proj, x, D_, T, shared_gate, F_shared_};
    jobs[n_jobs++] = {shared_.up_proj, x, D_, T, shared_up, F_shared_};
  }
  matmul(step.exec, jobs.first(n_jobs), ws.rest());
  silu_mul(step.exec, gate, F_, up, F_, n_slots, F_, gate, F_);
  if (F_shared_)
    silu_mul(step.exec, shared_gate, F_shared_, shared_up, F_shared_, T, F_shared_, shared_gate, F_shared_);

  n_jobs = 0;
  for_each_chosen([&](const Expert& expert, int64_t row, int64_t n) {
    jobs[n_jobs++] = {expert.down_proj, gate + row * F_, F_, n, sorted + row * D_, D_};
  });
  if (F_shared_) jobs[n_jobs++] = {shared_.down_proj, shared_gate, F_shared_, T, y, D_};
  matmul(step.exec, jobs.first(n_jobs), ws.rest());

  // y[t] = shared[t] + sum_k weight[t, k] * expert_k[t], experts in ascending order.
  step.exec.pool.parallel_for(T, 16, [&](int64_t from, int64_t to, int) {
    for (int64_t t = from; t < to; ++t) {
      float* out = y + t * D_;
      if (!F_shared_) std::memset(out, 0, D_ * sizeof(float));
      for (int64_t k = 0; k < K; ++k) {
        const float* expert_out = sorted + slot_of[t * K + k] * D_;
        const float w = weight[t * K + k];
        for (int64_t i = 0; i < D_; ++i) out[i] += w * expert_out[i];
      }
    }
  });
  ws.reset_to(mark);
}

int64_t MixtureOfExperts::workspace_floats(int64_t T, int n_threads) const {
  const int64_t E = router_.E, n_slots = T * router_.K;
  const auto r = Workspace::rounded;
  return r(T * E) + 3 * r(n_slots) + r(E + 1) +
         r(Workspace::floats_for<MatmulJob>(2 * std::min(E, n_slots) + 2)) + r(2 * E + router_.n_group) +
         r(n_slots * D_) + 2 * r(n_slots * F_) + 2 * r(T * F_shared_) +
         matmul_scratch_floats(n_threads, T, std::max({D_, F_, F_shared_}));
}

int64_t MixtureOfExperts::idle_bytes_per_token() const {
  int64_t bytes = 0;
  for (const Expert& expert : experts_)
    bytes += 2 * expert.gate_proj.rows * expert.gate_proj.row_bytes() +
             expert.down_proj.rows * expert.down_proj.row_bytes();
  return bytes / router_.E * (router_.E - router_.K);
}

}  // namespace ds::model
