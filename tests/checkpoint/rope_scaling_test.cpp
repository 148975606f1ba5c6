// RoPE frequencies where the reference logits do not tell one reading from another.
#include "checkpoint/rope_scaling.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

using namespace ds;
using namespace ds::checkpoint;

TEST_CASE("YaRN without rounding: the ramp's ends lie between dimensions") {
  ModelConfig c;
  c.rope_scaling.type = RopeScaling::Type::kYarn;
  c.rope_scaling.factor = 4;
  c.rope_scaling.original_max_position_embeddings = 1024;
  c.rope_scaling.beta_fast = 16;
  c.rope_scaling.beta_slow = 2;
  const RopeTable whole = make_rope_table(c, 16);
  c.rope_scaling.truncate = false;
  const RopeTable exact = make_rope_table(c, 16);
  // The third pair: dimension 2 of a ramp from 16*ln(1024/(32*pi))/(2*ln 1e4) = 2.0160 or 2 to
  // 16*ln(1024/(4*pi))/(2*ln 1e4) = 3.8220 or 4.
  CHECK(whole.theta[3] == doctest::Approx(std::pow(1e4, -0.375) * (0.5 + 0.5 / 4)));
  const double ramp = (3 - 2.0160) / (3.8220 - 2.0160);
  CHECK(exact.theta[3] == doctest::Approx(std::pow(1e4, -0.375) * (1 - ramp + ramp / 4)).epsilon(1e-3));
}

namespace {

// RoPE's angles by the published formulas: Peng et al. 2023, section 3, for YaRN; Meta's scaling of Llama 3.
std::vector<double> yarn_theta(const RopeScaling& rs, double base, int64_t D) {
  const auto dimension = [&](double turns) {
    return static_cast<double>(D) *
           std::log(rs.original_max_position_embeddings / (turns * 2 * std::acos(-1.0))) /
           (2 * std::log(base));
  };
  double low = dimension(rs.beta_fast), high = dimension(rs.beta_slow);
  if (rs.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, static_cast<double>(D - 1));
  std::vector<double> out;
  for (int64_t j = 0; j < D / 2; ++j) {
    const double ramp = std::min(1.0, std::max(0.0, (static_cast<double>(j) - low) / (high - low)));
    out.push_back(std::pow(base, -2.0 * static_cast<double>(j) / static_cast<double>(D)) *
                  (ramp / rs.factor + 1 - ramp));
  }
  return out;
}
std::vector<double> llama3_theta(const RopeScaling& rs, double base, int64_t D) {
  std::vector<double> out;
  for (int64_t j = 0; j < D / 2; ++j) {
    const double theta = std::pow(base, -2.0 * static_cast<double>(j) / static_cast<double>(D));
    const double turns = rs.original_max_position_embeddings * theta / (2 * std::acos(-1.0));
    const double kept = (turns - rs.low_freq_factor) / (rs.high_freq_factor - rs.low_freq_factor);
    out.push_back(turns < rs.low_freq_factor    ? theta / rs.factor
                  : turns > rs.high_freq_factor ? theta
                                                : theta * ((1 - kept) / rs.factor + kept));
  }
  return out;
}
void check_theta(const ModelConfig& c, int64_t D, const std::vector<double>& want) {
  const RopeTable table = make_rope_table(c, D);
  REQUIRE(table.theta.size() == want.size());
  for (size_t j = 0; j < want.size(); ++j) {
    INFO("pair ", j);
    CHECK(table.theta[j] == doctest::Approx(want[j]).epsilon(1e-5));
  }
}

}  // namespace

TEST_CASE("frequencies of every type, with numbers that are nobody's defaults") {
  for (const double base : {500.0, 10000.0}) {
    for (const int64_t D : {2, 16, 64}) {
      ModelConfig c;
      c.rope_theta = base;
      RopeScaling& rs = c.rope_scaling;
      rs.factor = 3;
      rs.type = RopeScaling::Type::kLinear;
      std::vector<double> linear;
      for (int64_t j = 0; j < D / 2; ++j) linear.push_back(std::pow(base, -2.0 * double(j) / double(D)) / 3);
      check_theta(c, D, linear);
      rs.low_freq_factor = 2, rs.high_freq_factor = 9;
      for (const double original : {60.0, 1000.0, 8192.0}) {
        rs.original_max_position_embeddings = original;
        rs.type = RopeScaling::Type::kLlama3;
        check_theta(c, D, llama3_theta(rs, base, D));
        rs.type = RopeScaling::Type::kYarn;
        for (const bool truncate : {true, false}) {
          rs.truncate = truncate;
          // The ramp begins within the dimensions, before the first, and ends behind the last.
          for (const auto& [fast, slow] : {std::pair(20.0, 3.0), {500.0, 2.0}, {12.0, 0.001}}) {
            rs.beta_fast = fast, rs.beta_slow = slow;
            if (D > 2) check_theta(c, D, yarn_theta(rs, base, D));
          }
        }
      }
    }
  }
}

TEST_CASE("YaRN's magnitude: what each of four keys makes of it") {
  const auto magnitude = [](double factor, double mscale, double all_dim, double attention, double attn) {
    ModelConfig c;
    RopeScaling& rs = c.rope_scaling;
    rs.type = RopeScaling::Type::kYarn, rs.factor = factor, rs.original_max_position_embeddings = 1024;
    rs.mscale = mscale, rs.mscale_all_dim = all_dim, rs.attention_factor = attention, rs.attn_factor = attn;
    return double(make_rope_table(c, 16).magnitude);
  };
  const auto near = [](double x) { return doctest::Approx(x).epsilon(1e-6); };
  const double ln4 = std::log(4.0);
  CHECK(magnitude(4, 0, 0, 0, 0) == near(0.1 * ln4 + 1));
  CHECK(magnitude(0.5, 0, 0, 0, 0) == 1);  // a context made shorter
  CHECK(magnitude(4, 0, 0, 1.5, 0) == near(1.5));
  CHECK(magnitude(4, 0, 0, 0, 0.75) == near(0.75 * (0.1 * ln4 + 1)));
  CHECK(magnitude(4, 0.5, 0.75, 0, 0) == near((0.05 * ln4 + 1) / (0.075 * ln4 + 1)));
  CHECK(magnitude(4, 0.5, 0, 0, 0) == near(0.1 * ln4 + 1));
  CHECK(magnitude(4, 0, 0.75, 0, 0) == near(0.1 * ln4 + 1));
  // The softmax of latent attention is scaled by the square.
  RopeScaling rs;
  rs.factor = 4, rs.mscale_all_dim = 0.75;
  CHECK(mla_softmax_factor(rs) == 1);
  rs.type = RopeScaling::Type::kYarn;
  CHECK(mla_softmax_factor(rs) == near((0.075 * ln4 + 1) * (0.075 * ln4 + 1)));
  rs.mscale_all_dim = 0;
  CHECK(mla_softmax_factor(rs) == 1);
}
