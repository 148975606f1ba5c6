// Each op against a double-precision reference written here, at every level where it has levels.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "core/numbers.h"
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

TEST_CASE("embed: rows by id, in any order and more than once") {
  for (const Isa isa : available_isas()) {
    Bench bench(isa);
    CounterRng rng(1);
    for (const int64_t D : {1, 19, 64}) {
      std::vector<uint16_t> table(7 * D);
      for (uint16_t& h : table) h = f32_to_bf16(static_cast<float>(rng.next_double() - 0.5));
      WeightView w;
      w.data = table.data(), w.dtype = DType::kBF16, w.rows = 7, w.cols = D;
      const int32_t ids[] = {6, 0, 3, 3};
      Floats y(4, D, NAN, 2);
      embed(bench.context, w, ids, y.view());
      embed(bench.context, w, {}, y.view().rows_from(0, 0));
      for (int64_t t = 0; t < 4; ++t)
        for (int64_t c = 0; c < D; ++c) CHECK(y.at(t, c) == bf16_to_f32(table[ids[t] * D + c]));
    }
  }
}

TEST_CASE("residual_add, gather_rows, repeat_rows") {
  Bench bench(best_isa());
  CounterRng rng(2);
  for (const int64_t T : {0, 1, 3, 70}) {
    Floats x = random_tensor(rng, T, 33, 1, 3), y = random_tensor(rng, T, 33, 1, 1), sum = x;
    residual_add(bench.context, sum.view(), y.view());
    for (int64_t t = 0; t < T; ++t)
      for (int64_t c = 0; c < 33; ++c) CHECK(sum.at(t, c) == x.at(t, c) + y.at(t, c));
    std::vector<int32_t> rows;
    for (int64_t t = T; t-- > 0;) rows.insert(rows.end(), {static_cast<int32_t>(t), 0});
    Floats gathered(2 * T, 33, NAN), repeated(3 * T, 33, NAN, 5);
    gather_rows(bench.context, x.view(), rows, gathered.view());
    repeat_rows(bench.context, x.view(), 3, repeated.view());
    for (int64_t i = 0; i < 2 * T; ++i) CHECK(std::memcmp(gathered.row(i), x.row(rows[i]), 33 * 4) == 0);
    for (int64_t i = 0; i < 3 * T; ++i) CHECK(std::memcmp(repeated.row(i), x.row(i / 3), 33 * 4) == 0);
  }
}

TEST_CASE("kv_append, kv_read: pages, rings, and bfloat16 rounded to nearest even") {
  Bench bench(best_isa());
  CounterRng rng(3);
  constexpr int64_t kWidth = 10, kPageRows = 4, kPages = 3;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const bool ring : {false, true}) {
      std::vector<std::vector<uint8_t>> memory(kPages, std::vector<uint8_t>(kPageRows * kWidth * 4));
      std::vector<void*> pages;
      for (auto& page : memory) pages.push_back(page.data());
      const KvRows rows{pages.data(), kPages, kPageRows, kWidth, dtype, ring};
      const int64_t S = ring ? 25 : 12;
      Floats x = random_tensor(rng, S, kWidth), got(5, kWidth);
      for (int64_t s = 0; s < S;) {
        const int64_t n = std::min<int64_t>(S - s, 5);
        const KvAppendJob job[] = {{s, n, s, rows}};
        kv_append(bench.context, x.view(), job);
        kv_read(bench.context, rows, s, got.view().rows_from(0, n));
        for (int64_t i = 0; i < n; ++i)
          for (int64_t c = 0; c < kWidth; ++c) {
            const float want = x.at(s + i, c);
            CHECK(got.at(i, c) == (dtype == DType::kF32 ? want : bf16_to_f32(f32_to_bf16(want))));
          }
        s += n;
      }
      // The latest rows are all there, the oldest of a ring are overwritten.
      const int64_t oldest = ring ? S - kPages * kPageRows + (kPageRows - S % kPageRows) % kPageRows : 0;
      kv_read(bench.context, rows, oldest, got.view().rows_from(0, 1));
      CHECK(got.at(0, 0) == doctest::Approx(x.at(oldest, 0)).epsilon(0.01));
    }
  }
}

TEST_CASE("kv_copy_page: every byte, and none beside them") {
  Bench bench(best_isa(), 3);
  CounterRng rng(4);
  for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{4097}, int64_t{1000001}}) {
    std::vector<uint8_t> from(n), to(n + 2, 0xAA);
    for (uint8_t& byte : from) byte = static_cast<uint8_t>(rng.next_u32());
    kv_copy_page(bench.context, from.data(), to.data() + 1, n);
    CHECK(std::equal(from.begin(), from.end(), to.begin() + 1));
    CHECK((to.front() == 0xAA && to.back() == 0xAA));
  }
}

TEST_CASE("silu_mul over the whole range of arguments") {
  for (const Isa isa : available_isas()) {
    Bench bench(isa);
    std::vector<float> gate, up;
    for (double x = -300; x <= 300; x += 0.37)
      gate.push_back(static_cast<float>(x)), up.push_back(static_cast<float>(1 + x / 700));
    gate.insert(gate.end(), {0.0f, -0.0f, 1e-30f, -1e4f, 1e4f});
    up.resize(gate.size(), 2);
    const auto n = static_cast<int64_t>(gate.size());
    Floats g(1, n), u(1, n), y(1, n);
    g.values = gate, u.values = up;
    silu_mul(bench.context, g.view(), u.view(), y.view());
    double worst = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double want = gate[i] / (1 + std::exp(-double(gate[i]))) * up[i];
      worst = std::max(worst, std::fabs(y.at(0, i) - want) / (std::fabs(want) + 1e-6));
    }
    INFO(isa_name(isa));
    CHECK(worst < 2e-6);
  }
}

TEST_CASE("rms_norm, layer_norm") {
  Bench bench(Isa::kScalar);
  CounterRng rng(11);
  for (const int64_t D : {1, 7, 64, 577}) {
    Floats x = random_tensor(rng, 3, D, 1, 4), w = random_tensor(rng, 1, D), b = random_tensor(rng, 1, D);
    Floats y(3, D), z(3, D);
    rms_norm(bench.context, x.view(), w.row(0), 1e-6f, y.view());
    layer_norm(bench.context, x.view(), w.row(0), b.row(0), 1e-6f, z.view());
    for (int64_t t = 0; t < 3; ++t) {
      double squares = 0, mean = 0, variance = 0;
      for (int64_t i = 0; i < D; ++i) squares += double(x.at(t, i)) * x.at(t, i), mean += x.at(t, i);
      mean /= double(D);
      for (int64_t i = 0; i < D; ++i) variance += (x.at(t, i) - mean) * (x.at(t, i) - mean);
      for (int64_t i = 0; i < D; ++i) {
        CHECK(y.at(t, i) ==
              doctest::Approx(x.at(t, i) / std::sqrt(squares / double(D) + 1e-6) * w.at(0, i)).epsilon(1e-5));
        const double want =
            (x.at(t, i) - mean) / std::sqrt(variance / double(D) + 1e-6) * w.at(0, i) + b.at(0, i);
        CHECK(std::fabs(z.at(t, i) - want) < 1e-5);
      }
    }
  }
}

TEST_CASE("rope turns pairs by position * theta, keeps the rest, and cares for relative positions only") {
  Bench bench(Isa::kScalar);
  const RopeTable table{{1.0f, 0.1f, 0.01f}, 1.0f};
  for (const RopePairs pairs : {RopePairs::kHalfSplit, RopePairs::kAdjacent}) {
    const int32_t positions[] = {5, 77};
    Floats x(2, 16);  // two tokens of two heads, of each 6 dimensions rotated, 2 kept
    std::iota(x.values.begin(), x.values.end(), 1.0f);
    const Floats from = x;
    rope(bench.context, table, pairs, positions, x.view(), 2, 8);
    for (int64_t i = 0; i < 4; ++i) {
      const float* got = x.values.data() + i * 8;
      const float* was = from.values.data() + i * 8;
      for (int j = 0; j < 3; ++j) {
        const int a = pairs == RopePairs::kAdjacent ? 2 * j : j,
                  b = pairs == RopePairs::kAdjacent ? 2 * j + 1 : j + 3;
        const double angle = double(positions[i / 2]) * table.theta[j];
        CHECK(got[a] == doctest::Approx(was[a] * std::cos(angle) - was[b] * std::sin(angle)).epsilon(1e-4));
        CHECK(got[b] == doctest::Approx(was[b] * std::cos(angle) + was[a] * std::sin(angle)).epsilon(1e-4));
      }
      CHECK(got[6] == was[6]);
      CHECK(got[7] == was[7]);
    }
    // <rope(q, m), rope(k, n)> depends on m - n alone.
    const auto dot_at = [&](int32_t m, int32_t n) {
      Floats q(1, 6), k(1, 6);
      q.values = {1, -2, 0.5f, 3, 1, 2}, k.values = {2, 1, -1, 0.3f, 0.7f, 1};
      rope(bench.context, table, pairs, {&m, 1}, q.view(), 1, 6);
      rope(bench.context, table, pairs, {&n, 1}, k.view(), 1, 6);
      double dot = 0;
      for (int i = 0; i < 6; ++i) dot += double(q.values[i]) * k.values[i];
      return dot;
    };
    CHECK(dot_at(9, 4) == doctest::Approx(dot_at(105, 100)).epsilon(1e-4));
  }
}

TEST_CASE("route_experts: softmax and sigmoid, with groups and without") {
  Bench bench(Isa::kScalar);
  CounterRng rng(13);
  constexpr int64_t T = 40, E = 12, K = 3;
  using Method = RouterOptions::Method;
  for (const Method method : {Method::kGreedy, Method::kGroupLimited, Method::kNoAuxTc}) {
    for (const bool norm : {false, true}) {
      RouterOptions o;
      o.E = E, o.K = K, o.method = method, o.norm_topk_prob = norm, o.routed_scaling_factor = 2.5f;
      o.sigmoid = method == Method::kNoAuxTc;
      if (method != Method::kGreedy) o.n_group = 4, o.topk_group = 2;
      Floats logits = random_tensor(rng, T, E, 2), bias = random_tensor(rng, 1, E, 0.2), weights(T, K);
      Ints experts(T, K);
      const float* b = method == Method::kNoAuxTc ? bias.row(0) : nullptr;
      route_experts(bench.context, o, logits.view(), b, experts.view(), weights.view());
      for (int64_t t = 0; t < T; ++t) {
        std::vector<double> score(E), choice(E);
        double sum = 0;
        for (int64_t e = 0; e < E; ++e) sum += std::exp(double(logits.at(t, e)));
        for (int64_t e = 0; e < E; ++e) {
          score[e] = o.sigmoid ? 1 / (1 + std::exp(-double(logits.at(t, e))))
                               : std::exp(double(logits.at(t, e))) / sum;
          choice[e] = score[e] + (b ? b[e] : 0);
        }
        if (o.n_group > 1) {
          std::vector<std::pair<double, int>> groups;
          for (int g = 0; g < 4; ++g) {
            std::vector<double> own(choice.begin() + g * 3, choice.begin() + g * 3 + 3);
            std::sort(own.rbegin(), own.rend());
            groups.push_back({-(method == Method::kNoAuxTc ? own[0] + own[1] : own[0]), g});
          }
          std::sort(groups.begin(), groups.end());
          for (int g = 2; g < 4; ++g)
            for (int i = 0; i < 3; ++i) choice[groups[g].second * 3 + i] = -INFINITY;
        }
        std::vector<int32_t> order(E);
        std::iota(order.begin(), order.end(), 0);
        std::sort(order.begin(), order.end(), [&](int a, int c) { return choice[a] > choice[c]; });
        std::sort(order.begin(), order.begin() + K);
        double total = 0;
        for (int64_t k = 0; k < K; ++k) total += score[order[k]];
        for (int64_t k = 0; k < K; ++k) {
          CHECK(experts.at(t, k) == order[k]);
          CHECK(weights.at(t, k) ==
                doctest::Approx(score[order[k]] / (norm ? total : 1) * 2.5).epsilon(1e-5));
        }
      }
    }
  }
}

TEST_CASE("permute_tokens sorts by expert, few-token sequences first; combine_experts brings outputs back") {
  Bench bench(Isa::kScalar);
  CounterRng rng(17);
  constexpr int64_t E = 5, K = 2, D = 3;
  for (const auto& segments :
       std::vector<std::vector<int64_t>>{{}, {1}, {40}, {3, 40, 1, 20}, {40, 1, 1, 1, 1, 1, 1, 1}}) {
    const int64_t T = std::accumulate(segments.begin(), segments.end(), int64_t{0});
    Floats x = random_tensor(rng, T, D), sorted(T * K, D), weights = random_tensor(rng, T, K), y(T, D, 1);
    Ints experts(T, K), slots(T, K), starts(1, 2 * E + 1);
    for (int64_t t = 0; t < T; ++t) {
      experts.at(t, 0) = static_cast<int32_t>(rng.next_u32() % (E - 1));
      experts.at(t, 1) = experts.at(t, 0) + 1;
    }
    permute_tokens(bench.context, x.view(), experts.view(), segments, slots.view(), starts.view(),
                   sorted.view());
    CHECK(starts.at(0, 0) == 0);
    CHECK(starts.at(0, 2 * E) == T * K);
    int64_t first = 0;
    std::vector<int> used(T * K);
    for (const int64_t n : segments) {
      for (int64_t t = first; t < first + n; ++t) {
        for (int64_t k = 0; k < K; ++k) {
          const int32_t e = experts.at(t, k), slot = slots.at(t, k);
          int64_t own = 0;  // what this sequence brings to the expert
          for (int64_t i = first * K; i < (first + n) * K; ++i) own += experts.values[i] == e;
          const int64_t part = 2 * e + (own > 6);
          CHECK(slot >= starts.at(0, part));
          CHECK(slot < starts.at(0, part + 1));
          CHECK(std::memcmp(sorted.row(slot), x.row(t), D * 4) == 0);
          ++used[slot];
        }
      }
      first += n;
    }
    for (const int n : used) CHECK(n == 1);
    for (const bool add : {false, true}) {
      Floats out = y;
      combine_experts(bench.context, sorted.view(), slots.view(), weights.view(), add, out.view());
      for (int64_t t = 0; t < T; ++t)
        for (int64_t c = 0; c < D; ++c)
          CHECK(out.at(t, c) == doctest::Approx(add + double(x.at(t, c)) * weights.at(t, 0) +
                                                double(x.at(t, c)) * weights.at(t, 1))
                                    .epsilon(1e-5));
    }
  }
}

TEST_CASE("index_scores over pages, NaN last; top_k with ties to the earlier column") {
  for (const Isa isa : available_isas()) {
    Bench bench(isa);
    CounterRng rng(19);
    constexpr int64_t Di = 20, S = 50, kPageRows = 16;
    for (const int64_t H : {1, 4, 9}) {  // heads are multiplied as few and as many tokens
      for (const DType dtype : {DType::kF32, DType::kBF16}) {
        std::vector<std::vector<uint8_t>> memory(4, std::vector<uint8_t>(kPageRows * Di * 4));
        std::vector<void*> pages;
        for (auto& page : memory) pages.push_back(page.data());
        const KvRows keys{pages.data(), 4, kPageRows, Di, dtype, false};
        Floats k = random_tensor(rng, S, Di), q = random_tensor(rng, 1, H * Di), w = random_tensor(rng, 1, H);
        k.at(7, 3) = NAN;
        const KvAppendJob job[] = {{0, S, 0, keys}};
        kv_append(bench.context, k.view(), job);
        Floats scores(1, S);
        index_scores(bench.context, q.view(), w.view(), 0.3f, keys, scores.view());
        for (int64_t s = 0; s < S; ++s) {
          double want = 0;
          for (int64_t h = 0; h < H; ++h) {
            double dot = 0;
            for (int64_t i = 0; i < Di; ++i) {
              const float key = dtype == DType::kF32 ? k.at(s, i) : bf16_to_f32(f32_to_bf16(k.at(s, i)));
              dot += double(q.at(0, h * Di + i)) * key;
            }
            want += w.at(0, h) * 0.3 * std::max(dot, 0.0);
          }
          INFO(isa_name(isa), " H ", H, " key ", s);
          if (s != 7) CHECK(std::fabs(scores.at(0, s) - want) < 1e-5);
        }
      }
    }
  }
  Bench bench(Isa::kScalar);
  Floats x(2, 6);
  x.values = {1, 5, 3, 5, -INFINITY, 5, 0, 0, 0, 0, 0, 0};
  Ints best(2, 4, -1), all(2, 9, -1);
  top_k(bench.context, x.view(), best.view());
  top_k(bench.context, x.view(), all.view());
  CHECK(best.values == std::vector<int32_t>{1, 2, 3, 5, 0, 1, 2, 3});
  CHECK(all.values == std::vector<int32_t>{0, 1, 2, 3, 4, 5, -1, -1, -1, 0, 1, 2, 3, 4, 5, -1, -1, -1});
}

TEST_CASE("an arena measures what a pass takes, and lists do not count") {
  Arena arena = Arena::measure(3);
  const Context context{nullptr, arena, {}};
  CHECK(context.n_threads() == 3);
  const Arena::Mark mark = arena.mark();
  const TensorView x = arena.take(5, 7);
  CHECK(arena.list<int64_t>(100000).size() == 100000);
  CHECK(arena.peak_floats() == 48);
  arena.reset_to(mark);
  const TensorView y = arena.take(1, 16);
  CHECK(y.data == x.data);
  CHECK(arena.peak_floats() == 48);
  // Ops touch nothing.
  residual_add(context, y, y);
  rms_norm(context, y, nullptr, 1e-6f, y);
}
