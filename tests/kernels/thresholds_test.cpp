// Where an op's code changes with a size, on both sides of each place, against a double-precision reference
// written here. The places, one for each constant:
//   attention       8 rows a tile, blocks of 64 keys, split from more than 2 * 1024 keys in at most 16 tiles,
//   into
//                   at most 16 parts
//   rope            64 pairs of angles at a time
//   index_scores    kFewTokens = 6 heads
//   permute_tokens  kFewTokens = 6 tokens of a sequence with one expert
//   rms_norm        8 sums
//   parallel loops  8 rows (rope), 16 (norms, embed, kv_append, kv_read, gather_rows, repeat_rows,
//   route_experts,
//                   combine_experts), 64 (permute_tokens), 4096 keys (index_scores), 16384 values
//                   (residual_add, silu_mul), 256 KiB (kv_copy_page): the tests here have more, for several
//                   threads
// Those of products are in matmul_test.cpp.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/numbers.h"
#include "kernels/attention.h"
#include "kernels/combine_experts.h"
#include "kernels/embed.h"
#include "kernels/gather_rows.h"
#include "kernels/index_scores.h"
#include "kernels/kv_append.h"
#include "kernels/norm.h"
#include "kernels/permute_tokens.h"
#include "kernels/residual_add.h"
#include "kernels/rope.h"
#include "kernels/route_experts.h"
#include "kernels/silu_mul.h"
#include "kernels/top_k.h"
#include "tensors.h"

using namespace ds;
using namespace ds::kernels;
using namespace ds::test;

TEST_CASE("rope of up to three chunks of pairs, over more tokens than a thread takes at once") {
  Bench bench(Isa::kScalar, 3);
  for (const int64_t n_pairs : {1, 63, 64, 65, 129}) {
    for (const RopePairs pairs : {RopePairs::kHalfSplit, RopePairs::kAdjacent}) {
      constexpr int64_t T = 19, H = 3, kKept = 2;
      CounterRng rng(21, n_pairs);
      RopeTable table{{}, 1.25f};
      for (int64_t j = 0; j < n_pairs; ++j)
        table.theta.push_back(static_cast<float>(0.001 + rng.next_double()));
      const int64_t width = 2 * n_pairs + kKept;
      Floats x = random_tensor(rng, T, H * width, 1, 1);
      const Floats from = x;
      std::vector<int32_t> positions(T);
      for (int64_t t = 0; t < T; ++t) positions[t] = static_cast<int32_t>(t * 37 % 100);
      rope(bench.context, table, pairs, positions, x.view(), H, width);
      double worst = 0;
      for (int64_t t = 0; t < T; ++t)
        for (int64_t h = 0; h < H; ++h)
          for (int64_t c = 0; c < width; ++c) {
            const auto was = [&](int64_t i) { return double(from.values[t * from.ld + h * width + i]); };
            double want = was(c);
            if (c < 2 * n_pairs) {
              const bool adjacent = pairs == RopePairs::kAdjacent;
              const int64_t j = adjacent ? c / 2 : c % n_pairs;
              const bool second = adjacent ? c % 2 : c >= n_pairs;
              const int64_t other = adjacent ? c ^ 1 : (second ? c - n_pairs : c + n_pairs);
              const double angle = double(positions[t]) * table.theta[j];
              want = 1.25 * (was(c) * std::cos(angle) + (second ? 1 : -1) * was(other) * std::sin(angle));
            }
            worst = std::max(worst, std::fabs(x.at(t, h * width + c) - want));
          }
      INFO(n_pairs, " pairs");
      CHECK(worst < 2e-5);
    }
  }
}

TEST_CASE("norms of values as small as eps, over more rows than a thread takes at once") {
  Bench bench(Isa::kScalar, 3);
  CounterRng rng(22);
  constexpr int64_t T = 37;
  for (const int64_t D : {1, 7, 8, 9, 129}) {
    for (const double scale : {1e-5, 1e-3, 1e-2, 1.0, 100.0}) {
      for (const float eps : {1e-6f, 1e-2f}) {
        Floats x = random_tensor(rng, T, D, scale, 2), w = random_tensor(rng, 1, D),
               b = random_tensor(rng, 1, D);
        Floats y(T, D, NAN, 1), z(T, D, NAN, 3);
        rms_norm(bench.context, x.view(), w.row(0), eps, y.view());
        layer_norm(bench.context, x.view(), w.row(0), b.row(0), eps, z.view());
        double worst = 0;
        for (int64_t t = 0; t < T; ++t) {
          double squares = 0, mean = 0, variance = 0;
          for (int64_t i = 0; i < D; ++i)
            squares += double(x.at(t, i)) * x.at(t, i), mean += x.at(t, i) / double(D);
          for (int64_t i = 0; i < D; ++i) variance += (x.at(t, i) - mean) * (x.at(t, i) - mean);
          for (int64_t i = 0; i < D; ++i) {
            const double want = x.at(t, i) / std::sqrt(squares / double(D) + eps) * w.at(0, i);
            const double centred =
                (x.at(t, i) - mean) / std::sqrt(variance / double(D) + eps) * w.at(0, i) + b.at(0, i);
            worst = std::max(
                {worst, std::fabs(y.at(t, i) - want), D > 1 ? std::fabs(z.at(t, i) - centred) : 0.0});
            if (!(std::fabs(y.at(t, i)) < 1e3)) worst = 1e3;
          }
        }
        INFO("D ", D, " scale ", scale, " eps ", eps);
        CHECK(worst < 1e-5 * std::max(1.0, scale / 10));
      }
    }
  }
}

namespace {

// Experts and weights of one token as route_experts.h defines them.
void check_route(const RouterOptions& o, const float* logits, const float* bias, const int32_t* experts,
                 const float* weights) {
  std::vector<double> score(o.E), choice(o.E);
  double sum = 0;
  const double top = *std::max_element(logits, logits + o.E);
  for (int64_t e = 0; e < o.E; ++e) sum += std::exp(logits[e] - top);
  for (int64_t e = 0; e < o.E; ++e) {
    score[e] = o.sigmoid ? 1 / (1 + std::exp(-double(logits[e]))) : std::exp(logits[e] - top) / sum;
    choice[e] = score[e] + (bias ? bias[e] : 0);
  }
  const int64_t size = o.E / o.n_group;
  if (o.method != RouterOptions::Method::kGreedy) {
    std::vector<std::pair<double, int64_t>> groups;  // descending score, then ascending id
    for (int64_t g = 0; g < o.n_group; ++g) {
      std::vector<double> own(choice.begin() + g * size, choice.begin() + (g + 1) * size);
      std::sort(own.rbegin(), own.rend());
      const bool two = o.method == RouterOptions::Method::kNoAuxTc && size > 1;
      groups.emplace_back(-(two ? own[0] + own[1] : own[0]), g);
    }
    std::sort(groups.begin(), groups.end());
    for (int64_t g = o.topk_group; g < o.n_group; ++g)
      for (int64_t i = 0; i < size; ++i) choice[groups[g].second * size + i] = -INFINITY;
  }
  std::vector<int32_t> order(o.E);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return choice[a] > choice[b]; });
  std::sort(order.begin(), order.begin() + o.K);
  double total = 0;
  for (int64_t k = 0; k < o.K; ++k) total += score[order[k]];
  for (int64_t k = 0; k < o.K; ++k) {
    CHECK(experts[k] == order[k]);
    CHECK(weights[k] ==
          doctest::Approx(score[order[k]] / (o.norm_topk_prob ? total : 1) * o.routed_scaling_factor)
              .epsilon(1e-5));
  }
}

}  // namespace

TEST_CASE("route_experts: ties between experts and between groups go to the lower id, groups of one or two") {
  using Method = RouterOptions::Method;
  struct Case {
    int64_t E, n_group, topk_group, K;
  };
  for (const Case& c :
       {Case{12, 4, 2, 3}, {12, 4, 1, 2}, {12, 4, 3, 6}, {8, 8, 3, 2}, {8, 4, 2, 4}, {8, 1, 1, 3}}) {
    for (const Method method : {Method::kGroupLimited, Method::kNoAuxTc, Method::kGreedy}) {
      Bench bench(Isa::kScalar, 3);
      CounterRng rng(23);
      constexpr int64_t T = 70;
      RouterOptions o;
      o.E = c.E, o.K = c.K, o.method = method, o.norm_topk_prob = c.K % 2, o.routed_scaling_factor = 1.5f;
      o.sigmoid = method == Method::kNoAuxTc;
      o.n_group = c.n_group, o.topk_group = c.topk_group;
      // Few different logits: most groups are equal to another. The first token's are all the same.
      Floats logits(T, c.E), bias(1, c.E), weights(T, c.K);
      for (float& b : bias.values) b = static_cast<float>(rng.next_u32() % 2) / 4 - 0.75f;
      for (int64_t t = 0; t < T; ++t)
        for (int64_t e = 0; e < c.E; ++e) logits.at(t, e) = t ? static_cast<float>(rng.next_u32() % 2) : 1;
      Ints experts(T, c.K);
      const float* b = method == Method::kNoAuxTc ? bias.row(0) : nullptr;
      route_experts(bench.context, o, logits.view(), b, experts.view(), weights.view());
      INFO("E ", c.E, " groups ", c.n_group, " method ", static_cast<int>(method));
      for (int64_t t = 0; t < T; ++t) check_route(o, logits.row(t), b, experts.row(t), weights.row(t));
    }
  }
}

TEST_CASE("ops over more rows than a thread takes at once") {
  for (const Isa isa : available_isas()) {
    Bench bench(isa, 3);
    CounterRng rng(24);
    constexpr int64_t T = 150, D = 300, K = 3;
    Floats x = random_tensor(rng, T, D, 1, 3), y = random_tensor(rng, T, D, 1, 2), sum = x,
           gated(T, D, NAN, 1);
    residual_add(bench.context, sum.view(), y.view());
    silu_mul(bench.context, x.view(), y.view(), gated.view());
    double worst = 0;
    for (int64_t t = 0; t < T; ++t)
      for (int64_t i = 0; i < D; ++i) {
        const double g = x.at(t, i), want = g / (1 + std::exp(-g)) * y.at(t, i);
        worst = std::max(
            {worst, std::fabs(gated.at(t, i) - want), std::fabs(sum.at(t, i) - (g + double(y.at(t, i))))});
      }
    CHECK(worst < 1e-6);

    WeightView table;
    table.data = x.values.data(), table.dtype = DType::kF32, table.rows = T, table.cols = D + 3;
    std::vector<int32_t> ids(T);
    for (int64_t t = 0; t < T; ++t) ids[t] = static_cast<int32_t>((t * 53 + 7) % T);
    Floats rows(T, D + 3), gathered(T, D, NAN, 4), repeated(2 * T, D);
    embed(bench.context, table, ids, rows.view());
    gather_rows(bench.context, x.view(), ids, gathered.view());
    repeat_rows(bench.context, x.view(), 2, repeated.view());
    bool same = true;
    for (int64_t t = 0; t < T; ++t) {
      same = same && std::equal(rows.row(t), rows.row(t) + D, x.row(ids[t]));
      same = same && std::equal(gathered.row(t), gathered.row(t) + D, x.row(ids[t]));
      for (const int64_t r : {2 * t, 2 * t + 1})
        same = same && std::equal(repeated.row(r), repeated.row(r) + D, x.row(t));
    }
    CHECK(same);

    // Permuted and brought back with weights: sum_k w_k x.
    constexpr int64_t E = 6;
    const std::vector<int64_t> segments = {1, 6, 7, 100, 36};
    Ints experts(T, K), slots(T, K), starts(1, 2 * E + 1);
    Floats sorted(T * K, D), weights = random_tensor(rng, T, K), out(T, D);
    for (int64_t t = 0; t < T; ++t)
      for (int64_t k = 0; k < K; ++k)
        experts.at(t, k) = static_cast<int32_t>((t < 14 ? k : (t * 5 + k * 2) % E));
    permute_tokens(bench.context, x.view(), experts.view(), segments, slots.view(), starts.view(),
                   sorted.view());
    combine_experts(bench.context, sorted.view(), slots.view(), weights.view(), false, out.view());
    worst = 0;
    for (int64_t t = 0; t < T; ++t)
      for (int64_t i = 0; i < D; ++i) {
        double want = 0;
        for (int64_t k = 0; k < K; ++k) want += double(weights.at(t, k)) * x.at(t, i);
        worst = std::max(worst, std::fabs(out.at(t, i) - want));
      }
    CHECK(worst < 1e-5);
    // Six tokens of a sequence with one expert are few, seven are many.
    for (int64_t t = 0, first = 0; const int64_t n : segments) {
      for (; t < first + n; ++t)
        for (int64_t k = 0; k < K; ++k) {
          const int32_t e = experts.at(t, k);
          const int64_t own = std::count(experts.row(first), experts.row(first) + n * K, e);
          const int64_t part = 2 * e + (own > 6);
          CHECK((slots.at(t, k) >= starts.at(0, part) && slots.at(t, k) < starts.at(0, part + 1)));
        }
      first += n;
    }

    // Pages of 16 rows, appended in one step and read in another.
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      std::vector<std::vector<uint8_t>> memory(11, std::vector<uint8_t>(16 * D * 4));
      std::vector<void*> pages;
      for (auto& page : memory) pages.push_back(page.data());
      const KvRows cache{pages.data(), 11, 16, D, dtype, false};
      const KvAppendJob jobs[] = {{60, 90, 5, cache}, {0, 60, 95, cache}};
      kv_append(bench.context, x.view(), jobs);
      Floats read(T, D, NAN, 1);
      kv_read(bench.context, cache, 5, read.view());
      same = true;
      for (int64_t t = 0; t < T; ++t)
        for (int64_t i = 0; i < D; ++i) {
          const float want = x.at((t + 60) % T, i);
          same = same && read.at(t, i) == (dtype == DType::kF32 ? want : bf16_to_f32(f32_to_bf16(want)));
        }
      CHECK(same);
    }
  }
}

TEST_CASE(
    "index_scores over more keys than a thread takes at once, six heads and seven; a NaN is never chosen") {
  for (const Isa isa : available_isas()) {
    Bench bench(isa, 3);
    CounterRng rng(25);
    constexpr int64_t Di = 12, S = 9001, kPageRows = 64, kPages = (S + kPageRows - 1) / kPageRows;
    std::vector<std::vector<float>> memory(kPages, std::vector<float>(kPageRows * Di));
    std::vector<void*> pages;
    for (auto& page : memory) pages.push_back(page.data());
    const KvRows keys{pages.data(), kPages, kPageRows, Di, DType::kF32, false};
    Floats k = random_tensor(rng, S, Di);
    k.at(4097, 3) = NAN;
    const KvAppendJob job[] = {{0, S, 0, keys}};
    kv_append(bench.context, k.view(), job);
    for (const int64_t H : {6, 7}) {
      Floats q = random_tensor(rng, 1, H * Di), w = random_tensor(rng, 1, H), scores(1, S, NAN);
      index_scores(bench.context, q.view(), w.view(), 0.3f, keys, scores.view());
      double worst = 0;
      for (int64_t s = 0; s < S; ++s) {
        double want = 0;
        for (int64_t h = 0; h < H; ++h) {
          double dot = 0;
          for (int64_t i = 0; i < Di; ++i) dot += double(q.at(0, h * Di + i)) * k.at(s, i);
          want += w.at(0, h) * 0.3 * std::max(dot, 0.0);
        }
        if (s != 4097) worst = std::max(worst, std::fabs(scores.at(0, s) - want));
      }
      CHECK(worst < 1e-5);
      Ints best(1, S);
      top_k(bench.context, scores.view(), best.view());
      CHECK(std::count(best.row(0), best.row(0) + S, 4097) <= 1);
    }
  }
}

namespace {

// Attention of T tokens at `position`, of keys in one page, with `selected` keys a token or, if 0, all before
// it.
double attention_error(Isa isa, int64_t T, int64_t H, int64_t KV, int64_t Dk, int64_t Dv, int64_t position,
                       int64_t window, int64_t n_selected, bool large) {
  Bench bench(isa, 3);
  CounterRng rng(26, static_cast<uint64_t>(position));
  const int64_t S = position + T;
  Floats q = random_tensor(rng, T, H * Dk, large ? 30 : 2), k = random_tensor(rng, S, KV * Dk, 2),
         v = random_tensor(rng, S, KV * Dv), out(T, H * Dv, NAN, 3), lse(T, H, NAN, 1);
  void* const k_page[] = {k.values.data()};
  void* const v_page[] = {v.values.data()};
  Ints selected(T, n_selected);
  for (int64_t t = 0; t < T; ++t)
    for (int64_t i = 0; i < n_selected; ++i)
      selected.at(t, i) = static_cast<int32_t>(i * (position + t + 1) / n_selected);
  AttentionJob job;
  job.q = q.view(), job.out = out.view(), job.lse = lse.view();
  job.H = H, job.KV = KV, job.Dk = Dk, job.Dv = Dv;
  job.k_head_stride = Dk, job.v_head_stride = Dv;
  job.scale = 0.3f, job.window = window;
  if (n_selected) job.selected = selected.view();
  const AttentionSequence sequence[] = {{0,
                                         T,
                                         position,
                                         {k_page, 1, S, KV * Dk, DType::kF32, false},
                                         {v_page, 1, S, KV * Dv, DType::kF32, false},
                                         n_selected > 0}};
  attention(bench.context, job, sequence);
  double worst = 0;
  for (int64_t t = 0; t < T; ++t) {
    std::vector<int64_t> keys;
    for (int64_t i = 0; i < n_selected; ++i) keys.push_back(selected.at(t, i));
    if (!n_selected)
      for (int64_t s = window ? std::max<int64_t>(0, position + t + 1 - window) : 0; s <= position + t; ++s)
        keys.push_back(s);
    for (int64_t h = 0; h < H; ++h) {
      const int64_t g = h / (H / KV);
      std::vector<double> score, want(Dv, 0.0);
      for (const int64_t s : keys) {
        double dot = 0;
        for (int64_t i = 0; i < Dk; ++i) dot += double(q.at(t, h * Dk + i)) * k.at(s, g * Dk + i);
        score.push_back(dot * 0.3f);
      }
      const double top = *std::max_element(score.begin(), score.end());
      double sum = 0;
      for (double& p : score) sum += p = std::exp(p - top);
      for (size_t n = 0; n < keys.size(); ++n)
        for (int64_t i = 0; i < Dv; ++i) want[i] += score[n] / sum * v.at(keys[n], g * Dv + i);
      for (int64_t i = 0; i < Dv; ++i) {
        const double error = std::fabs(out.at(t, h * Dv + i) - want[i]);
        if (!(error <= worst)) worst = error;
      }
      const double error = std::fabs(lse.at(t, h) - (top + std::log(sum))) / (1 + std::fabs(top));
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("attention around blocks of keys, tiles of rows, parts of keys, and windows in them") {
  for (const Isa isa : available_isas()) {
    INFO(isa_name(isa));
    const auto check = [&](int64_t T, int64_t H, int64_t KV, int64_t position, int64_t window = 0,
                           int64_t n_selected = 0, int64_t Dk = 12, int64_t Dv = 9) {
      INFO("T ", T, " H ", H, " KV ", KV, " at ", position, " window ", window, " selected ", n_selected);
      CHECK(attention_error(isa, T, H, KV, Dk, Dv, position, window, n_selected, false) < 3e-5);
      CHECK(attention_error(isa, T, H, KV, Dk, Dv, position, window, n_selected, true) <
            3e-4);  // one key has it all
    };
    for (const int64_t position : {62, 63, 64, 127, 128}) check(1, 3, 1, position);
    for (const int64_t H : {4, 5, 7, 8, 9, 17}) check(3, H, 1, 70);
    for (const int64_t position : {2047, 2048, 2049}) check(1, 2, 1, position);
    check(1, 16, 16, 2100), check(1, 17, 17, 2100);  // as many tiles as are split, and one more
    check(1, 1, 1, 16383), check(1, 1, 1, 16384), check(2, 1, 1, 17500);
    check(1, 2, 1, 3000, 2048), check(1, 2, 1, 300, 237), check(1, 2, 1, 300, 238),
        check(1, 2, 1, 3000, 2113), check(3, 2, 1, 2500, 2300);
    for (const int64_t window : {1, 63, 64, 65}) check(70, 2, 2, 5, window);
    check(1, 4, 1, 3000, 0, 2048), check(2, 9, 1, 3000, 0, 2200), check(17, 1, 1, 3000, 0, 2100);
    for (const int64_t Dv : {1, 8, 16, 31, 33, 64}) check(2, 2, 1, 40, 0, 0, Dv + 3, Dv);
  }
}
