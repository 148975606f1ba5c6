// SwiGLU: down(silu(gate x) * up x).
#pragma once
#include "model/layer.h"

namespace ds::model {

class Mlp : public Ffn {
 public:
  // prefix: "model.layers.N.mlp."
  Mlp(const ModelConfig& config, const std::string& prefix, Weights& weights);
  void forward(const Step& step, TensorView x, TensorView y) const override;

 private:
  int64_t D_, F_;
  WeightView gate_proj_, up_proj_;  // [F, D]
  WeightView down_proj_;            // [D, F]
};

}  // namespace ds::model
