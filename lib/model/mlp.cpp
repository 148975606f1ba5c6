#include "model/mlp.h"

#include <algorithm>

#include "kernels/matmul.h"
#include "kernels/silu_mul.h"

namespace ds::model {

Mlp::Mlp(const ModelConfig& c, const std::string& prefix, Weights& weights)
    : D_(c.hidden_size), F_(c.intermediate_size) {
  const auto bias = c.mlp_bias ? Weights::Bias::kRequired : Weights::Bias::kNone;
  gate_proj_ = weights.matrix(prefix + "gate_proj", F_, D_, bias);
  up_proj_ = weights.matrix(prefix + "up_proj", F_, D_, bias);
  down_proj_ = weights.matrix(prefix + "down_proj", D_, F_, bias);
}

void Mlp::forward(const Step& step, const float* x, float* y) const {
  const int64_t T = step.T();
  Workspace& ws = step.workspace;
  const int64_t mark = ws.mark();
  float* gate = ws.take(T * F_);  // [T, F]
  float* up = ws.take(T * F_);    // [T, F]
  MatmulJob in[] = {{gate_proj_, x, D_, T, gate, F_}, {up_proj_, x, D_, T, up, F_}};
  matmul(step.exec, in, ws.rest());
  silu_mul(step.exec, gate, F_, up, F_, T, F_, gate, F_);
  MatmulJob out[] = {{down_proj_, gate, F_, T, y, D_}};
  matmul(step.exec, out, ws.rest());
  ws.reset_to(mark);
}

int64_t Mlp::workspace_floats(int64_t max_tokens, int n_threads) const {
  return 2 * Workspace::rounded(max_tokens * F_) +
         matmul_scratch_floats(n_threads, max_tokens, std::max(D_, F_));
}

}  // namespace ds::model
