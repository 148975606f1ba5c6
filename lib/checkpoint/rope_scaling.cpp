#include "checkpoint/rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ds::checkpoint {
namespace {

// YaRN's magnitude for a context extended `factor` times (Peng et al. 2023, section 3.4).
double yarn_magnitude(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

// The dimension whose wave turns `rotations` times within the original context.
double yarn_dimension(double rotations, double D, double base, double original) {
  return D * std::log(original / (rotations * 2 * std::numbers::pi)) / (2 * std::log(base));
}

void apply_yarn(const RopeScaling& rs, double base, int64_t D, RopeTable& table) {
  const double original = rs.original_max_position_embeddings, d = static_cast<double>(D);
  double low = yarn_dimension(rs.beta_fast, d, base, original),
         high = yarn_dimension(rs.beta_slow, d, base, original);
  if (rs.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0);
  high = std::min(high, d - 1);
  if (high == low) high += 0.001;
  const auto factor = static_cast<float>(rs.factor);
  for (int64_t j = 0; j < D / 2; ++j) {
    // 0: extrapolate (keep), 1: interpolate (divide).
    const auto ramp = static_cast<float>(std::clamp((static_cast<double>(j) - low) / (high - low), 0.0, 1.0));
    table.theta[j] = table.theta[j] / factor * ramp + table.theta[j] * (1 - ramp);
  }
  double magnitude = yarn_magnitude(rs.factor, 1);
  if (rs.attn_factor > 0) {
    magnitude *= rs.attn_factor;  // R1-0528-Qwen3-8B: the product is 1
  } else if (rs.attention_factor > 0) {
    magnitude = rs.attention_factor;
  } else if (rs.mscale > 0 && rs.mscale_all_dim > 0) {
    magnitude = yarn_magnitude(rs.factor, rs.mscale) / yarn_magnitude(rs.factor, rs.mscale_all_dim);
  }
  table.magnitude = static_cast<float>(magnitude);
}

void apply_llama3(const RopeScaling& rs, RopeTable& table) {
  const auto factor = static_cast<float>(rs.factor);
  const double original = rs.original_max_position_embeddings;
  for (float& theta : table.theta) {
    const double wavelength = 2 * std::numbers::pi / theta;
    if (wavelength < original / rs.high_freq_factor) continue;
    if (wavelength > original / rs.low_freq_factor) {
      theta /= factor;
      continue;
    }
    const auto smooth = static_cast<float>((original / wavelength - rs.low_freq_factor) /
                                           (rs.high_freq_factor - rs.low_freq_factor));
    theta = (1 - smooth) * theta / factor + smooth * theta;
  }
}

}  // namespace

RopeTable make_rope_table(const ModelConfig& config, int64_t D) {
  RopeTable table;
  for (int64_t j = 0; j < D / 2; ++j)
    table.theta.push_back(static_cast<float>(
        1.0 / std::pow(config.rope_theta, 2.0 * static_cast<double>(j) / static_cast<double>(D))));
  const RopeScaling& rs = config.rope_scaling;
  switch (rs.type) {
    case RopeScaling::Type::kNone:
      break;
    case RopeScaling::Type::kLinear:
      for (float& theta : table.theta) theta /= static_cast<float>(rs.factor);
      break;
    case RopeScaling::Type::kLlama3:
      apply_llama3(rs, table);
      break;
    case RopeScaling::Type::kYarn:
      apply_yarn(rs, config.rope_theta, D, table);
      break;
    case RopeScaling::Type::kDivisors:
      for (size_t j = 0; j < table.theta.size(); ++j) table.theta[j] /= rs.divisors[j];
      table.magnitude = static_cast<float>(rs.attention_factor);
      break;
  }
  return table;
}

double mla_softmax_factor(const RopeScaling& rs) {
  if (rs.type != RopeScaling::Type::kYarn || rs.mscale_all_dim == 0) return 1;
  const double m = yarn_magnitude(rs.factor, rs.mscale_all_dim);
  return m * m;
}

}  // namespace ds::checkpoint
