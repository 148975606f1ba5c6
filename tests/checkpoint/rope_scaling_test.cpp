// RoPE frequencies where the reference logits do not tell one reading from another.
#include "checkpoint/rope_scaling.h"

#include <doctest/doctest.h>

#include <cmath>

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
