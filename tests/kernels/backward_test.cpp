// Each op's backward against its formula in double, at every level where it has levels.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/numbers.h"
#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/combine_experts.h"
#include "kernels/cross_entropy.h"
#include "kernels/embed.h"
#include "kernels/gather_rows.h"
#include "kernels/matmul.h"
#include "kernels/norm.h"
#include "kernels/permute_tokens.h"
#include "kernels/route_experts.h"
#include "kernels/silu_mul.h"
#include "tensors.h"

using namespace ds;
using namespace ds::kernels;
using namespace ds::test;

namespace {

bool near(double got, double want, double scale = 1) {
  return std::fabs(got - want) <= 2e-5 * (scale + std::fabs(want));
}
bool is_zero(Floats& t) {
  for (int64_t r = 0; r < t.rows; ++r)
    for (int64_t c = 0; c < t.cols; ++c)
      if (t.at(r, c) != 0) return false;
  return true;
}

}  // namespace

TEST_CASE("rms_norm_backward, in place and not") {
  Bench bench(best_isa());
  CounterRng rng(1);
  for (const int64_t T : {0, 1, 5}) {
    for (const int64_t D : {1, 19, 256}) {
      Floats x = random_tensor(rng, T, D), w = random_tensor(rng, 1, D), dy = random_tensor(rng, T, D, 1, 3),
             dx = random_tensor(rng, T, D), dx0 = dx, dy0 = dy;
      std::vector<float> dw(D, 0.5f);
      const float eps = 1e-3f;
      rms_norm_backward(bench.context, x.view(), w.row(0), eps, dy.view(), dx.view(), dw.data());
      CHECK(is_zero(dy));
      Floats in_place = dy0;
      rms_norm_backward(bench.context, x.view(), w.row(0), eps, in_place.view(), in_place.view(), nullptr);
      std::vector<double> want_dw(D, 0.5);
      for (int64_t t = 0; t < T; ++t) {
        double squares = 0, inner = 0;
        for (int64_t i = 0; i < D; ++i) {
          squares += double(x.at(t, i)) * x.at(t, i);
          inner += double(dy0.at(t, i)) * w.at(0, i) * x.at(t, i);
        }
        const double r = 1 / std::sqrt(squares / double(D) + eps);
        for (int64_t i = 0; i < D; ++i) {
          want_dw[i] += dy0.at(t, i) * x.at(t, i) * r;
          const double d = r * dy0.at(t, i) * w.at(0, i) - r * r * r / double(D) * x.at(t, i) * inner;
          CHECK(near(dx.at(t, i), dx0.at(t, i) + d, std::fabs(r)));
          CHECK(near(in_place.at(t, i), d, std::fabs(r)));
        }
      }
      for (int64_t i = 0; i < D; ++i) CHECK(near(dw[i], want_dw[i]));
    }
  }
}

TEST_CASE("silu_mul_backward, into the gate's place and not, at every level") {
  for (const Isa isa : available_isas()) {
    Bench bench(isa);
    CounterRng rng(2);
    for (const int64_t F : {1, 7, 64, 100}) {
      Floats gate = random_tensor(rng, 3, F, 8), up = random_tensor(rng, 3, F, 2),
             dy = random_tensor(rng, 3, F, 2, 1), dgate = random_tensor(rng, 3, F),
             dup = random_tensor(rng, 3, F);
      Floats dy0 = dy, dgate0 = dgate, dup0 = dup, in_place = dy, dup1 = dup;
      silu_mul_backward(bench.context, gate.view(), up.view(), dy.view(), dgate.view(), dup.view());
      silu_mul_backward(bench.context, gate.view(), up.view(), in_place.view(), in_place.view(), dup1.view());
      CHECK(is_zero(dy));
      for (int64_t t = 0; t < 3; ++t) {
        for (int64_t i = 0; i < F; ++i) {
          const double g = gate.at(t, i), s = 1 / (1 + std::exp(-g)), d = dy0.at(t, i);
          const double want = d * up.at(t, i) * s * (1 + g * (1 - s));
          CHECK(near(dgate.at(t, i), dgate0.at(t, i) + want));
          CHECK(near(in_place.at(t, i), want));
          CHECK(near(dup.at(t, i), dup0.at(t, i) + d * g * s));
          CHECK(dup.at(t, i) == dup1.at(t, i));
        }
      }
    }
  }
}

TEST_CASE("matmul_backward: weights as stored, biases, adapters, at every level") {
  for (const Isa isa : available_isas()) {
    Bench bench(isa);
    CounterRng rng(3);
    for (const auto& shape :
         {std::array<int64_t, 3>{0, 3, 2}, {1, 1, 1}, {7, 33, 19}, {70, 300, 270}, {500, 64, 40}}) {
      const int64_t T = shape[0], in = shape[1], out = shape[2];
      for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF8E4M3}) {
        INFO(isa_name(isa), " ", dtype_name(dtype), " T ", T, " in ", in, " out ", out);
        const int64_t block = 16, n_blocks = (in + block - 1) / block;
        std::vector<float> values(out * in), scales((out + block - 1) / block * n_blocks);
        std::vector<uint16_t> halves(out * in);
        std::vector<uint8_t> bytes(out * in);
        for (float& s : scales) s = static_cast<float>(0.5 + rng.next_double());
        WeightView w;
        w.dtype = dtype, w.rows = out, w.cols = in;
        for (int64_t i = 0; i < out * in; ++i) {
          values[i] = static_cast<float>(rng.next_double() - 0.5);
          halves[i] = f32_to_bf16(values[i]), bytes[i] = f32_to_e4m3(values[i]);
          if (dtype == DType::kBF16) values[i] = bf16_to_f32(halves[i]);
          if (dtype == DType::kF8E4M3)
            values[i] = e4m3_to_f32(bytes[i]) * scales[i / in / block * n_blocks + i % in / block];
        }
        w.data = dtype == DType::kF32    ? static_cast<const void*>(values.data())
                 : dtype == DType::kBF16 ? static_cast<const void*>(halves.data())
                                         : bytes.data();
        if (dtype == DType::kF8E4M3) w.scales = scales.data(), w.block_rows = w.block_cols = block;
        const int64_t r = 3;
        Floats a = random_tensor(rng, r, in), b = random_tensor(rng, out, r),
               x = random_tensor(rng, T, in, 1, 5), dy = random_tensor(rng, T, out, 1, 2),
               dx = random_tensor(rng, T, in), y(T, out);
        const LowRank low{a.row(0), b.row(0), r, 0.7f};
        w.low_rank = &low;
        Floats dy0 = dy, dx0 = dx;
        std::vector<float> dw(out * in), dbias(out), da(r * in), db(out * r);
        const MatmulBackwardJob job{w,         x.view(),     dy.view(), dx.view(),
                                    dw.data(), dbias.data(), da.data(), db.data()};
        matmul_backward(bench.context, {&job, 1});
        CHECK(is_zero(dy));
        const MatmulJob forward{w, x.view(), y.view()};
        matmul(bench.context, {&forward, 1});
        const double scale = low.scale;
        std::vector<double> u(T * r), du(T * r);
        for (int64_t t = 0; t < T; ++t)
          for (int64_t j = 0; j < r; ++j) {
            for (int64_t i = 0; i < in; ++i) u[t * r + j] += scale * a.at(j, i) * x.at(t, i);
            for (int64_t o = 0; o < out; ++o) du[t * r + j] += scale * b.at(o, j) * dy0.at(t, o);
          }
        int64_t n_wrong = 0;
        const auto expect = [&](double got, double want) { n_wrong += !near(got, want, 10); };
        for (int64_t t = 0; t < T; ++t) {
          for (int64_t i = 0; i < in; ++i) {
            double sum = dx0.at(t, i);
            for (int64_t o = 0; o < out; ++o) sum += double(dy0.at(t, o)) * values[o * in + i];
            for (int64_t j = 0; j < r; ++j) sum += du[t * r + j] * a.at(j, i);
            expect(dx.at(t, i), sum);
          }
          for (int64_t o = 0; o < out; ++o) {
            double sum = 0;
            for (int64_t i = 0; i < in; ++i) sum += double(x.at(t, i)) * values[o * in + i];
            for (int64_t j = 0; j < r; ++j) sum += u[t * r + j] * b.at(o, j);
            expect(y.at(t, o), sum);
          }
        }
        for (int64_t o = 0; o < out; ++o) {
          double bias = 0;
          for (int64_t t = 0; t < T; ++t) bias += dy0.at(t, o);
          expect(dbias[o], bias);
          for (int64_t i = 0; i < in; ++i) {
            double sum = 0;
            for (int64_t t = 0; t < T; ++t) sum += double(dy0.at(t, o)) * x.at(t, i);
            expect(dw[o * in + i], sum);
          }
          for (int64_t j = 0; j < r; ++j) {
            double sum = 0;
            for (int64_t t = 0; t < T; ++t) sum += double(dy0.at(t, o)) * u[t * r + j];
            expect(db[o * r + j], sum);
          }
        }
        for (int64_t j = 0; j < r; ++j)
          for (int64_t i = 0; i < in; ++i) {
            double sum = 0;
            for (int64_t t = 0; t < T; ++t) sum += du[t * r + j] * x.at(t, i);
            expect(da[j * in + i], sum);
          }
        CHECK(n_wrong == 0);
      }
    }
  }
}

TEST_CASE("attention_backward: groups, windows, sequences that do not see each other, at every level") {
  for (const Isa isa : available_isas()) {
    for (const int64_t window : {0, 5}) {
      for (const auto& widths : {std::pair<int64_t, int64_t>{16, 16}, {24, 11}}) {
        const int64_t Dk = widths.first, Dv = widths.second;
        INFO(isa_name(isa), " window ", window, " Dk ", Dk);
        Bench bench(isa);
        CounterRng rng(4);
        const int64_t lengths[] = {1, 90}, T = 91, H = 4, KV = 2;
        Floats q = random_tensor(rng, T, H * Dk), k = random_tensor(rng, T, KV * Dk),
               v = random_tensor(rng, T, KV * Dv), out(T, H * Dv), lse(T, H),
               dout = random_tensor(rng, T, H * Dv), dq(T, H * Dk), dk(T, KV * Dk), dv(T, KV * Dv),
               dout0 = dout;
        AttentionJob job;
        job.q = q.view(), job.out = out.view(), job.lse = lse.view();
        job.H = H, job.KV = KV, job.Dk = Dk, job.Dv = Dv, job.k_head_stride = Dk, job.v_head_stride = Dv;
        job.scale = 0.3f, job.window = window;
        std::vector<AttentionSequence> sequences;
        std::vector<AttentionBackwardSequence> back;
        std::vector<void*> pages;
        pages.reserve(8);
        int64_t first = 0;
        const auto rows = [&](Floats& t) {
          pages.push_back(t.row(first));
          return KvRows{&pages.back(), 1, T - first, t.cols, DType::kF32, false};
        };
        for (const int64_t n : lengths) {
          sequences.push_back({first, n, 0, rows(k), rows(v)});
          back.push_back({sequences.back(), rows(dk), rows(dv)});
          first += n;
        }
        attention(bench.context, job, sequences);
        attention_backward(bench.context, job, back, dout.view(), dq.view());
        CHECK(is_zero(dout));
        std::vector<double> want_q(T * H * Dk), want_k(T * KV * Dk), want_v(T * KV * Dv);
        for (const AttentionSequence& s : sequences) {
          for (int64_t t = s.first_token; t < s.first_token + s.n_tokens; ++t) {
            const int64_t begin = window ? std::max(s.first_token, t - window + 1) : s.first_token;
            for (int64_t h = 0; h < H; ++h) {
              const int64_t g = h / (H / KV);
              std::vector<double> p, dp;
              double sum = 0, inner = 0;
              for (int64_t j = begin; j <= t; ++j) {
                double dot = 0, d = 0;
                for (int64_t i = 0; i < Dk; ++i) dot += double(q.at(t, h * Dk + i)) * k.at(j, g * Dk + i);
                for (int64_t i = 0; i < Dv; ++i) d += double(dout0.at(t, h * Dv + i)) * v.at(j, g * Dv + i);
                sum += p.emplace_back(std::exp(double(job.scale) * dot)), dp.push_back(d);
              }
              for (size_t j = 0; j < p.size(); ++j) inner += (p[j] /= sum) * dp[j];
              for (size_t j = 0; j < p.size(); ++j) {
                const double ds = job.scale * p[j] * (dp[j] - inner);
                const int64_t key = begin + static_cast<int64_t>(j);
                for (int64_t i = 0; i < Dk; ++i) {
                  want_q[t * H * Dk + h * Dk + i] += ds * k.at(key, g * Dk + i);
                  want_k[key * KV * Dk + g * Dk + i] += ds * q.at(t, h * Dk + i);
                }
                for (int64_t i = 0; i < Dv; ++i)
                  want_v[key * KV * Dv + g * Dv + i] += p[j] * dout0.at(t, h * Dv + i);
              }
            }
          }
        }
        int64_t n_wrong = 0;
        for (size_t i = 0; i < want_q.size(); ++i) n_wrong += !near(dq.values[i], want_q[i]);
        for (size_t i = 0; i < want_k.size(); ++i) n_wrong += !near(dk.values[i], want_k[i]);
        for (size_t i = 0; i < want_v.size(); ++i) n_wrong += !near(dv.values[i], want_v[i]);
        CHECK(n_wrong == 0);
      }
    }
  }
}

TEST_CASE("route_experts_backward against differences of the weights") {
  Bench bench(best_isa());
  CounterRng rng(5);
  for (const bool sigmoid : {false, true}) {
    for (const bool normalised : {false, true}) {
      RouterOptions o;
      o.E = 8, o.K = 3, o.sigmoid = sigmoid, o.norm_topk_prob = normalised, o.routed_scaling_factor = 2.5f;
      Floats logits = random_tensor(rng, 4, o.E, 2), dweights = random_tensor(rng, 4, o.K), weights(4, o.K),
             dlogits(4, o.E), dweights0 = dweights;
      Ints experts(4, o.K);
      route_experts(bench.context, o, logits.view(), nullptr, experts.view(), weights.view());
      route_experts_backward(bench.context, o, logits.view(), experts.view(), dweights.view(),
                             dlogits.view());
      CHECK(is_zero(dweights));
      // sum_k dweights[k] * weights[k] of logits z, the choice being what it was
      const auto value = [&](int64_t t, const std::vector<double>& z) {
        std::vector<double> s(o.E);
        double all = 0, chosen = 0, sum = 0;
        for (int64_t e = 0; e < o.E; ++e) all += s[e] = sigmoid ? 1 / (1 + std::exp(-z[e])) : std::exp(z[e]);
        if (!sigmoid)
          for (double& x : s) x /= all;
        for (int64_t k = 0; k < o.K; ++k) chosen += s[experts.at(t, k)];
        for (int64_t k = 0; k < o.K; ++k)
          sum += dweights0.at(t, k) * 2.5 * s[experts.at(t, k)] / (normalised ? chosen : 1);
        return sum;
      };
      for (int64_t t = 0; t < 4; ++t) {
        for (int64_t e = 0; e < o.E; ++e) {
          std::vector<double> z(logits.row(t), logits.row(t) + o.E), up = z, down = z;
          up[e] += 1e-5, down[e] -= 1e-5;
          CHECK(near(dlogits.at(t, e), (value(t, up) - value(t, down)) / 2e-5));
        }
      }
    }
  }
}

TEST_CASE("rows that went somewhere bring their gradients back") {
  Bench bench(best_isa());
  CounterRng rng(6);
  const int64_t D = 70, T = 5, K = 2;
  {
    Floats dy = random_tensor(rng, 3, D), dy0 = dy;
    std::vector<float> dw(4 * D);
    const int32_t tokens[] = {2, 0, 2};
    embed_backward(bench.context, tokens, dy.view(), dw.data());
    CHECK(is_zero(dy));
    for (int64_t c = 0; c < D; ++c) {
      CHECK(dw[2 * D + c] == dy0.at(0, c) + dy0.at(2, c));
      CHECK(dw[c] == dy0.at(1, c));
      CHECK(dw[D + c] == 0);
    }
  }
  {
    Floats dy = random_tensor(rng, 3, D), dy0 = dy, dx(2, D), repeated = random_tensor(rng, 6, D),
           rep0 = repeated, dx2(2, D);
    const int32_t rows[] = {1, 1, 0};
    gather_rows_backward(bench.context, rows, dy.view(), dx.view());
    repeat_rows_backward(bench.context, 3, repeated.view(), dx2.view());
    CHECK((is_zero(dy) && is_zero(repeated)));
    for (int64_t c = 0; c < D; ++c) {
      CHECK(dx.at(1, c) == dy0.at(0, c) + dy0.at(1, c));
      CHECK(dx.at(0, c) == dy0.at(2, c));
      CHECK(dx2.at(1, c) == rep0.at(3, c) + rep0.at(4, c) + rep0.at(5, c));
    }
  }
  for (const bool add : {false, true}) {
    Floats sorted = random_tensor(rng, T * K, D), weights = random_tensor(rng, T, K),
           dy = random_tensor(rng, T, D), dy0 = dy, dsorted(T * K, D), dweights(T, K), dx(T, D);
    Ints slots(T, K);
    for (int64_t i = 0; i < T * K; ++i) slots.values[i] = static_cast<int32_t>((i * 3) % (T * K));
    combine_experts_backward(bench.context, sorted.view(), slots.view(), weights.view(), add, dy.view(),
                             dsorted.view(), dweights.view());
    CHECK((add ? dy.values == dy0.values : is_zero(dy)));
    const Floats before = dsorted;
    permute_tokens_backward(bench.context, slots.view(), dsorted.view(), dx.view());
    CHECK(is_zero(dsorted));
    for (int64_t t = 0; t < T; ++t) {
      for (int64_t k = 0; k < K; ++k) {
        double dot = 0;
        for (int64_t c = 0; c < D; ++c) dot += double(dy0.at(t, c)) * sorted.at(slots.at(t, k), c);
        CHECK(near(dweights.at(t, k), dot));
      }
      for (int64_t c = 0; c < D; ++c)
        CHECK(near(dx.at(t, c), double(dy0.at(t, c)) * (double(weights.at(t, 0)) + weights.at(t, 1))));
    }
  }
}

TEST_CASE("cross_entropy: losses and their gradient") {
  Bench bench(best_isa());
  CounterRng rng(7);
  for (const int64_t V : {1, 17, 1000}) {
    Floats z = random_tensor(rng, 3, V, 30), d(3, V);
    const int32_t targets[] = {0, static_cast<int32_t>(V - 1), static_cast<int32_t>(V / 2)};
    double losses[3];
    cross_entropy(bench.context, z.view(), targets, 0.25, d.view(), losses);
    for (int64_t i = 0; i < 3; ++i) {
      double sum = 0;
      for (int64_t v = 0; v < V; ++v) sum += std::exp(double(z.at(i, v)));
      CHECK(near(losses[i], std::log(sum) - z.at(i, targets[i])));
      for (int64_t v = 0; v < V; ++v)
        CHECK(near(d.at(i, v), 0.25 * (std::exp(double(z.at(i, v))) / sum - (v == targets[i])), 0.1));
    }
  }
}

TEST_CASE("adamw: five updates as the formula says; sums of squares for any number of threads") {
  Bench bench(best_isa());
  CounterRng rng(8);
  const int64_t n = 40000;
  Floats theta = random_tensor(rng, 1, n), m(1, n), v(1, n);
  std::vector<double> x(theta.values.begin(), theta.values.end()), dm(n), dv(n);
  AdamWStep s;
  s.lr = 0.01, s.weight_decay = 0.1, s.gradient_factor = 0.5;
  for (s.t = 1; s.t <= 5; ++s.t) {
    Floats g = random_tensor(rng, 1, n);
    adamw(bench.context, s, g.row(0), n, theta.row(0), m.row(0), v.row(0));
    for (int64_t i = 0; i < n; ++i) {
      const double gi = 0.5 * g.values[i];
      dm[i] = 0.9 * dm[i] + 0.1 * gi, dv[i] = 0.999 * dv[i] + 0.001 * gi * gi;
      x[i] = x[i] * (1 - 0.001) -
             0.01 / (1 - std::pow(0.9, s.t)) * dm[i] / (std::sqrt(dv[i] / (1 - std::pow(0.999, s.t))) + 1e-8);
    }
  }
  int64_t n_wrong = 0;
  for (int64_t i = 0; i < n; ++i) n_wrong += !near(theta.values[i], x[i]);
  CHECK(n_wrong == 0);
  Bench one(best_isa(), 1);
  CHECK(sum_of_squares(bench.context, theta.row(0), n) == sum_of_squares(one.context, theta.row(0), n));
}
