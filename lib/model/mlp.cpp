#include "model/mlp.h"

#include "kernels/silu_mul.h"

namespace ds::model {

Mlp::Mlp(const ModelConfig& c, const std::string& prefix, Weights& weights)
    : D_(c.hidden_size), F_(c.intermediate_size) {
  const auto bias = c.mlp_bias ? Weights::Bias::kRequired : Weights::Bias::kNone;
  gate_proj_ = weights.matrix(prefix + "gate_proj", F_, D_, bias);
  up_proj_ = weights.matrix(prefix + "up_proj", F_, D_, bias);
  down_proj_ = weights.matrix(prefix + "down_proj", D_, F_, bias);
}

void Mlp::forward(const Step& step, TensorView x, TensorView y) const {
  const Context& context = step.context;
  const ScratchScope scope(context.arena);
  const TensorView gate = context.arena.take(step.T(), F_), up = context.arena.take(step.T(), F_);
  const MatmulJob in[] = {{gate_proj_, x, gate}, {up_proj_, x, up}};
  matmul(context, in, step.runs);
  silu_mul(context, gate, up, gate);
  const MatmulJob out[] = {{down_proj_, gate, y}};
  matmul(context, out, step.runs);
}

}  // namespace ds::model
