#include "train/distill.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace ds::train {
namespace {

using Row = std::vector<double>;

Row log_softmax(std::span<const float> logits, double temperature) {
  Row out(logits.begin(), logits.end());
  double most = -INFINITY, sum = 0;
  for (double& v : out) most = std::max(most, v /= temperature);
  for (const double v : out) sum += std::exp(v - most);
  const double norm = most + std::log(sum);
  for (double& v : out) v -= norm;
  return out;
}

// sum exp(a) (a - b); a token that has no probability adds nothing.
double kl(const Row& a, const Row& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    if (const double p = std::exp(a[i]); p > 0) sum += p * (a[i] - b[i]);
  return sum;
}

// Of a loss whose derivative by q_j is h_j: through the softmax, d / dz_j = q_j (h_j - sum q h) / T.
void add_through_softmax(const Row& log_q, const Row& h, double factor, std::span<float> gradient) {
  double mean = 0;
  for (size_t j = 0; j < h.size(); ++j) mean += std::exp(log_q[j]) * h[j];
  for (size_t j = 0; j < h.size(); ++j)
    gradient[j] += static_cast<float>(factor * std::exp(log_q[j]) * (h[j] - mean));
}

double forward(const Row& p, const Row& q, double factor, std::span<float> gradient) {
  for (size_t j = 0; j < gradient.size(); ++j)
    gradient[j] += static_cast<float>(factor * (std::exp(q[j]) - std::exp(p[j])));
  return kl(p, q);
}

double reverse(const Row& p, const Row& q, double factor, std::span<float> gradient) {
  if (!gradient.empty()) {
    Row h(q.size());
    for (size_t j = 0; j < h.size(); ++j) h[j] = q[j] - p[j];
    add_through_softmax(q, h, factor, gradient);
  }
  return kl(q, p);
}

double jensen_shannon(const Row& p, const Row& q, double beta, double factor, std::span<float> gradient) {
  Row m(p.size()), h(p.size());
  const double log_beta = std::log(beta), log_rest = std::log1p(-beta);
  for (size_t j = 0; j < m.size(); ++j) {
    const double a = p[j] + log_beta, b = q[j] + log_rest, most = std::max(a, b);
    m[j] = most + std::log1p(std::exp(std::min(a, b) - most));
    h[j] = (1 - beta) * (q[j] - m[j]);
  }
  if (!gradient.empty()) add_through_softmax(q, h, factor, gradient);
  return beta * kl(p, m) + (1 - beta) * kl(q, m);
}

// log(1 - sum exp(v)); what rounding leaves below 0 counts as the least there is.
double log_rest_of(const Row& v) {
  double sum = 0;
  for (const double x : v) sum += std::exp(x);
  return std::log(std::max(1 - sum, 1e-300));
}

}  // namespace

double distill_loss(std::span<const float> teacher, std::span<const float> student, const DistillOptions& o,
                    double scale, std::span<float> gradient) {
  DS_CHECK(teacher.size() == student.size() && o.temperature > 0);
  DS_CHECK(gradient.empty() || gradient.size() == student.size());
  const Row p = log_softmax(teacher, o.temperature), q = log_softmax(student, o.temperature);
  const double factor = scale / o.temperature;
  const bool mixed = o.divergence == Divergence::kJensenShannon;
  if (o.divergence == Divergence::kForwardKl || (mixed && o.beta <= 0))
    return forward(p, q, factor, gradient);
  if (!mixed || o.beta >= 1) return reverse(p, q, factor, gradient);
  return jensen_shannon(p, q, o.beta, factor, gradient);
}

double distill_top_loss(const TopLogprobs& teacher, std::span<const float> student, double temperature,
                        double scale, std::span<float> gradient) {
  DS_CHECK(teacher.ids.size() == teacher.logprobs.size() && temperature > 0);
  DS_CHECK(gradient.empty() || gradient.size() == student.size());
  const Row all = log_softmax(student, temperature);
  Row p(teacher.logprobs.begin(), teacher.logprobs.end()), q;
  for (const int32_t id : teacher.ids) {
    DS_CHECK(id >= 0 && static_cast<size_t>(id) < all.size());
    q.push_back(all[static_cast<size_t>(id)]);
  }
  const double factor = scale / temperature;
  if (teacher.tail) {
    const double p_tail = log_rest_of(p), q_tail = log_rest_of(q);
    // d / dz_j: q_j - p_j of a known token; of others the tail's part, q_j (1 - p_tail / q_tail).
    if (!gradient.empty()) {
      const double share = 1 - std::exp(p_tail - q_tail);
      for (size_t j = 0; j < all.size(); ++j) {
        const bool known =
            std::find(teacher.ids.begin(), teacher.ids.end(), static_cast<int32_t>(j)) != teacher.ids.end();
        if (!known) gradient[j] += static_cast<float>(factor * std::exp(all[j]) * share);
      }
    }
    for (size_t k = 0; k < p.size() && !gradient.empty(); ++k)
      gradient[static_cast<size_t>(teacher.ids[k])] +=
          static_cast<float>(factor * (std::exp(q[k]) - std::exp(p[k])));
    p.push_back(p_tail);
    q.push_back(q_tail);
    return kl(p, q);
  }
  const auto renormalise = [](Row& v) {
    double sum = 0;
    for (const double x : v) sum += std::exp(x);
    for (double& x : v) x -= std::log(sum);
  };
  renormalise(p);
  renormalise(q);
  for (size_t k = 0; k < p.size() && !gradient.empty(); ++k)
    gradient[static_cast<size_t>(teacher.ids[k])] +=
        static_cast<float>(factor * (std::exp(q[k]) - std::exp(p[k])));
  return kl(p, q);
}

}  // namespace ds::train
