#include "kernels/adamw.h"

#include <cmath>
#include <vector>

#include "kernels/op.h"

namespace ds::kernels {
namespace {

constexpr int64_t kGrain = 16384;

}  // namespace

void adamw(const Context& context, const AdamWStep& s, const float* gradient, int64_t n, float* theta,
           float* m, float* v) {
  const Op op(context);
  if (op.dry()) return;
  const auto keep = static_cast<float>(1 - s.lr * s.weight_decay);
  const auto factor = static_cast<float>(s.gradient_factor);
  const auto b1 = static_cast<float>(s.beta1), b2 = static_cast<float>(s.beta2);
  const auto c1 = static_cast<float>(1 - s.beta1), c2 = static_cast<float>(1 - s.beta2);
  const auto t = static_cast<double>(s.t);
  const auto rate = static_cast<float>(s.lr / (1 - std::pow(s.beta1, t)));
  const auto root = static_cast<float>(1 / std::sqrt(1 - std::pow(s.beta2, t)));
  const auto eps = static_cast<float>(s.eps);
  op.parallel_for(n, kGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float g = gradient[i] * factor;
      m[i] = b1 * m[i] + c1 * g;
      v[i] = b2 * v[i] + c2 * g * g;
      theta[i] = theta[i] * keep - rate * m[i] / (std::sqrt(v[i]) * root + eps);
    }
  });
}

double sum_of_squares(const Context& context, const float* x, int64_t n) {
  const Op op(context);
  if (op.dry()) return 0;
  std::vector<double> parts((n + kGrain - 1) / kGrain);
  op.parallel_for(n, kGrain, [&](int64_t begin, int64_t end, int) {
    // A loop that runs on one thread alone comes in the same chunks.
    double sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += static_cast<double>(x[i]) * x[i];
    parts[begin / kGrain] = sum;
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

}  // namespace ds::kernels
