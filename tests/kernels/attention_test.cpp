// attention, norms, rope and silu at every level against double-precision references written here.
#include "kernels/attention.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "core/rng.h"
#include "kernels/norm.h"
#include "kernels/rope.h"
#include "kernels/silu_mul.h"

using namespace ds;
using namespace ds::kernels;

namespace {

std::vector<float> random_floats(CounterRng& rng, int64_t n, double scale = 1) {
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>((rng.next_double() * 2 - 1) * scale);
  return x;
}

// The definition, one query and head at a time.
std::vector<double> reference(const AttentionJob& j, int64_t t, int64_t h) {
  const int64_t g = h / (j.H / j.KV);
  std::vector<int64_t> keys;
  if (j.selected) {
    for (int64_t i = 0; i < j.n_selected[t]; ++i) keys.push_back(j.selected[t * j.ld_selected + i]);
  } else {
    for (int64_t s = 0; s <= j.first_position + t; ++s) keys.push_back(s);
  }
  std::vector<double> p, out(j.Dv, 0.0);
  double top = -INFINITY, sum = 0;
  for (const int64_t s : keys) {
    double dot = 0;
    for (int64_t i = 0; i < j.Dk; ++i)
      dot += double(j.q[t * j.ldq + h * j.Dk + i]) * j.k[s * j.ldk + g * j.k_head_stride + i];
    p.push_back(dot * j.scale);
    top = std::max(top, p.back());
  }
  for (double& v : p) sum += v = std::exp(v - top);
  for (size_t n = 0; n < keys.size(); ++n)
    for (int64_t i = 0; i < j.Dv; ++i) out[i] += p[n] / sum * j.v[keys[n] * j.ldv + g * j.v_head_stride + i];
  return out;
}

double worst_error(const AttentionJob& j) {
  double worst = 0;
  for (int64_t t = 0; t < j.T; ++t) {
    for (int64_t h = 0; h < j.H; ++h) {
      const auto want = reference(j, t, h);
      for (int64_t i = 0; i < j.Dv; ++i) {
        const double error = std::fabs(j.out[t * j.ldo + h * j.Dv + i] - want[i]);
        if (!(error <= worst)) worst = error;
      }
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("attention: grouped, latent and sparse, at every level") {
  struct Shape {
    int64_t T, H, KV, Dk, Dv, position;
    bool sparse;
  };
  constexpr Shape kShapes[] = {
      {1, 1, 1, 1, 1, 0, false},     {1, 4, 2, 16, 16, 70, false},    {9, 9, 3, 64, 64, 0, false},
      {5, 6, 1, 80, 64, 130, false}, {70, 2, 2, 48, 32, 3, false},    {3, 8, 8, 33, 17, 200, false},
      {7, 5, 1, 40, 32, 90, true},   {2, 16, 1, 576, 512, 65, false}, {130, 1, 1, 8, 8, 0, false}};
  for (const Isa isa : available_isas()) {
    ThreadPool pool(2);
    const Exec exec{pool, isa};
    CHECK(std::string(attention_kernel(isa).name) == (isa == Isa::kAmx ? "avx512" : isa_name(isa)));
    CounterRng rng(7);
    for (const Shape& s : kShapes) {
      const int64_t S = s.position + s.T;
      const auto q = random_floats(rng, s.T * s.H * s.Dk, 3), k = random_floats(rng, S * s.KV * s.Dk, 3),
                 v = random_floats(rng, S * s.KV * s.Dv);
      std::vector<float> out(s.T * s.H * s.Dv, NAN), scratch(attention_scratch_floats(2, s.Dv));
      std::vector<int32_t> selected, n_selected;
      AttentionJob j;
      j.q = q.data(), j.ldq = s.H * s.Dk;
      j.k = k.data(), j.ldk = s.KV * s.Dk, j.k_head_stride = s.Dk;
      j.v = v.data(), j.ldv = s.KV * s.Dv, j.v_head_stride = s.Dv;
      j.out = out.data(), j.ldo = s.H * s.Dv;
      j.T = s.T, j.H = s.H, j.KV = s.KV, j.Dk = s.Dk, j.Dv = s.Dv;
      j.first_position = s.position;
      j.scale = 0.2f;
      if (s.sparse) {
        constexpr int64_t kTopk = 80;
        for (int64_t t = 0; t < s.T; ++t) {
          int32_t n = 0;
          for (int64_t key = 0; key <= s.position + t; ++key) {
            if (n < kTopk && rng.next_double() < 0.8) selected.push_back(static_cast<int32_t>(key)), ++n;
          }
          n_selected.push_back(n);
          selected.resize((t + 1) * kTopk);
        }
        j.selected = selected.data(), j.ld_selected = kTopk, j.n_selected = n_selected.data();
      }
      attention(exec, j, scratch);
      INFO(isa_name(isa), " T ", s.T, " H ", s.H, " KV ", s.KV, " Dk ", s.Dk);
      CHECK(worst_error(j) < 1e-5);
    }
  }
}

TEST_CASE("silu_mul over the whole range of arguments") {
  for (const Isa isa : available_isas()) {
    ThreadPool pool(2);
    const Exec exec{pool, isa};
    std::vector<float> gate, up, y;
    for (double x = -300; x <= 300; x += 0.37)
      gate.push_back(static_cast<float>(x)), up.push_back(static_cast<float>(1 + x / 700));
    gate.insert(gate.end(), {0.0f, -0.0f, 1e-30f, -1e4f, 1e4f});
    up.resize(gate.size(), 2);
    y.resize(gate.size());
    const auto n = static_cast<int64_t>(gate.size());
    silu_mul(exec, gate.data(), n, up.data(), n, 1, n, y.data(), n);
    double worst = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double want = gate[i] / (1 + std::exp(-double(gate[i]))) * up[i];
      worst = std::max(worst, std::fabs(y[i] - want) / (std::fabs(want) + 1e-6));
    }
    INFO(isa_name(isa));
    CHECK(worst < 2e-6);
  }
}

TEST_CASE("rms_norm, layer_norm") {
  ThreadPool pool(2);
  const Exec exec{pool};
  CounterRng rng(11);
  for (const int64_t D : {1, 7, 64, 577}) {
    const auto x = random_floats(rng, 3 * D), w = random_floats(rng, D), b = random_floats(rng, D);
    std::vector<float> y(3 * D), z(3 * D);
    rms_norm(exec, x.data(), D, w.data(), 1e-6f, 3, D, y.data(), D);
    layer_norm(x.data(), D, w.data(), b.data(), 1e-6f, 3, D, z.data(), D);
    for (int64_t t = 0; t < 3; ++t) {
      double squares = 0, mean = 0, variance = 0;
      for (int64_t i = 0; i < D; ++i) squares += double(x[t * D + i]) * x[t * D + i], mean += x[t * D + i];
      mean /= double(D);
      for (int64_t i = 0; i < D; ++i) variance += (x[t * D + i] - mean) * (x[t * D + i] - mean);
      for (int64_t i = 0; i < D; ++i) {
        CHECK(y[t * D + i] ==
              doctest::Approx(x[t * D + i] / std::sqrt(squares / double(D) + 1e-6) * w[i]).epsilon(1e-5));
        CHECK(std::fabs(z[t * D + i] -
                        ((x[t * D + i] - mean) / std::sqrt(variance / double(D) + 1e-6) * w[i] + b[i])) <
              1e-5);
      }
    }
  }
}

TEST_CASE("rope turns pairs by position * theta, keeps the rest, and cares for relative positions only") {
  const RopeTable table{{1.0f, 0.1f, 0.01f}, 1.0f};
  for (const RopePairs pairs : {RopePairs::kHalfSplit, RopePairs::kAdjacent}) {
    std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8};  // 6 rotated, 2 kept
    rope(table, pairs, 5, 1, 1, x.data(), 8, 8);
    const std::vector<float> from = {1, 2, 3, 4, 5, 6};
    for (int j = 0; j < 3; ++j) {
      const int a = pairs == RopePairs::kAdjacent ? 2 * j : j,
                b = pairs == RopePairs::kAdjacent ? 2 * j + 1 : j + 3;
      const double angle = 5.0 * table.theta[j];
      CHECK(x[a] == doctest::Approx(from[a] * std::cos(angle) - from[b] * std::sin(angle)).epsilon(1e-5));
      CHECK(x[b] == doctest::Approx(from[b] * std::cos(angle) + from[a] * std::sin(angle)).epsilon(1e-5));
    }
    CHECK(x[6] == 7);
    CHECK(x[7] == 8);
    // <rope(q, m), rope(k, n)> depends on m - n alone.
    const auto dot_at = [&](int64_t m, int64_t n) {
      std::vector<float> q = {1, -2, 0.5f, 3, 1, 2}, k = {2, 1, -1, 0.3f, 0.7f, 1};
      rope(table, pairs, m, 1, 1, q.data(), 6, 6);
      rope(table, pairs, n, 1, 1, k.data(), 6, 6);
      double dot = 0;
      for (int i = 0; i < 6; ++i) dot += double(q[i]) * k[i];
      return dot;
    };
    CHECK(dot_at(9, 4) == doctest::Approx(dot_at(105, 100)).epsilon(1e-4));
  }
}
