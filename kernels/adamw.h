// AdamW (Loshchilov and Hutter 2019) as PyTorch computes it: decay first, with the current rate; eps after
// the bias-corrected root.
//   theta *= 1 - lr * weight_decay
//   m = beta1 m + (1 - beta1) g    v = beta2 v + (1 - beta2) g^2                 g = gradient_factor *
//   gradient theta -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps)
#pragma once
#include "kernels/context.h"

namespace ds::kernels {

struct AdamWStep {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double gradient_factor = 1;  // of clipping
  int64_t t = 1;               // updates, this one included
};

// All [n] f32; arithmetic is float32.
void adamw(const Context& context, const AdamWStep& step, const float* gradient, int64_t n, float* theta,
           float* m, float* v);

// sum_i x[i]^2 in double, in an order that does not depend on threads. x: [n] f32
double sum_of_squares(const Context& context, const float* x, int64_t n);

}  // namespace ds::kernels
