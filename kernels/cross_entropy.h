// The loss of next-token prediction and its gradient, in one pass over the logits.
//   losses[i] = log(sum_v exp(logits[i, v])) - logits[i, targets[i]]
//   dlogits[i, v] += scale * (softmax(logits[i])[v] - (v == targets[i]))       unless dlogits is none
// logits: [n, V] f32; targets: [n], each a column. Exponentials are float32, their sums double.
#pragma once
#include <span>

#include "kernels/context.h"

namespace ds::kernels {

void cross_entropy(const Context& context, TensorView logits, std::span<const int32_t> targets, double scale,
                   TensorView dlogits, std::span<double> losses);

}  // namespace ds::kernels
