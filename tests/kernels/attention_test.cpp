// attention at every level against a double-precision reference written here: several sequences in one call,
// caches of one page, of many, and rings, in float32 and bfloat16.
#include "kernels/attention.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "core/numbers.h"
#include "kernels/attention_kernels.h"
#include "kernels/kv_append.h"
#include "tensors.h"

using namespace ds;
using namespace ds::kernels;
using namespace ds::test;

namespace {

struct Shape {
  int64_t T, H, KV, Dk, Dv, position;
  bool sparse = false;
  int64_t window = 0;
  DType dtype = DType::kF32;
  int64_t page_rows = 0;  // 0: one page
};

// A stream with all rows in a plain matrix, and in pages. A ring keeps the last `kept` rows.
struct Stream {
  Floats rows;
  std::vector<std::vector<uint8_t>> memory;
  std::vector<void*> pages;
  KvRows view;
  Stream(Bench& bench, CounterRng& rng, int64_t S, int64_t width, double scale, const Shape& s, int64_t kept)
      : rows(random_tensor(rng, S, width, scale)) {
    const int64_t page_rows = s.page_rows ? s.page_rows : S;
    const int64_t n_pages = ((kept ? std::min(kept, S) : S) + 2 * page_rows - 2) / page_rows;
    for (int64_t p = 0; p < n_pages; ++p) memory.emplace_back(page_rows * width * dtype_bytes(s.dtype), 0xFF);
    for (auto& page : memory) pages.push_back(page.data());
    view = {pages.data(), n_pages, page_rows, width, s.dtype, kept > 0};
    for (int64_t r = 0; r < S; r += 16) {  // a step never brings more than a ring holds
      const KvAppendJob job[] = {{r, std::min<int64_t>(16, S - r), r, view}};
      kv_append(bench.context, rows.view(), job);
    }
    if (s.dtype == DType::kBF16)
      for (float& v : rows.values) v = bf16_to_f32(f32_to_bf16(v));
  }
};

struct Case {
  Shape s;
  Floats q, out, lse;
  Ints selected;
  Stream k, v;
  Case(Bench& bench, CounterRng& rng, const Shape& shape)
      : s(shape),
        q(random_tensor(rng, s.T, s.H * s.Dk, 3)),
        out(s.T, s.H * s.Dv, NAN),
        lse(s.T, s.H, NAN),
        selected(s.T, 80),
        k(bench, rng, s.position + s.T, s.KV * s.Dk, 3, s, s.window ? s.window + s.T : 0),
        v(bench, rng, s.position + s.T, s.KV * s.Dv, 1, s, s.window ? s.window + s.T : 0) {
    for (int64_t t = 0; t < s.T; ++t) {
      int64_t n = 0;
      // Each key or every second one, as many as there is room for.
      for (int64_t key = (s.position + t + 1 > 160) ? t % 2 : 0;
           key <= s.position + t && n<80; key += s.position + t + 1> 160 ? 2 : 1)
        selected.at(t, n++) = static_cast<int32_t>(key);
    }
  }
  AttentionJob job() {
    AttentionJob j;
    j.q = q.view(), j.out = out.view(), j.lse = lse.view();
    j.H = s.H, j.KV = s.KV, j.Dk = s.Dk, j.Dv = s.Dv;
    j.k_head_stride = s.Dk, j.v_head_stride = s.Dv;
    j.scale = 0.2f, j.window = s.window;
    if (s.sparse) j.selected = selected.view();
    return j;
  }
  AttentionSequence sequence() const { return {0, s.T, s.position, k.view, v.view, s.sparse}; }

  double worst_error() {
    double worst = 0;
    const auto note = [&](double got, double want) {
      if (!(std::fabs(got - want) <= worst)) worst = std::fabs(got - want);
    };
    for (int64_t t = 0; t < s.T; ++t) {
      std::vector<int64_t> keys;
      const int64_t p = s.position + t;
      for (int64_t i = 0; s.sparse && i < std::min<int64_t>(80, p + 1); ++i)
        keys.push_back(selected.at(t, i));
      for (int64_t key = s.window ? std::max<int64_t>(0, p - s.window + 1) : 0; !s.sparse && key <= p; ++key)
        keys.push_back(key);
      for (int64_t h = 0; h < s.H; ++h) {
        const int64_t g = h / (s.H / s.KV);
        std::vector<double> score, want(s.Dv, 0.0);
        double top = -INFINITY, sum = 0;
        for (const int64_t key : keys) {
          double dot = 0;
          for (int64_t i = 0; i < s.Dk; ++i)
            dot += double(q.at(t, h * s.Dk + i)) * k.rows.at(key, g * s.Dk + i);
          score.push_back(dot * 0.2f);
          top = std::max(top, score.back());
        }
        for (double& v_ : score) sum += v_ = std::exp(v_ - top);
        for (size_t n = 0; n < keys.size(); ++n)
          for (int64_t i = 0; i < s.Dv; ++i) want[i] += score[n] / sum * v.rows.at(keys[n], g * s.Dv + i);
        for (int64_t i = 0; i < s.Dv; ++i) note(out.at(t, h * s.Dv + i), want[i]);
        note(lse.at(t, h) / 10, (top + std::log(sum)) / 10);
      }
    }
    return worst;
  }
};

constexpr Shape kShapes[] = {
    {1, 1, 1, 1, 1, 0},
    {1, 4, 2, 16, 16, 70},
    {9, 9, 3, 64, 64, 0},
    {5, 6, 1, 80, 64, 130},
    {70, 2, 2, 48, 32, 3},
    {3, 8, 8, 33, 17, 200},
    {7, 5, 1, 40, 32, 90, true},
    {2, 16, 1, 576, 512, 65},
    {130, 1, 1, 8, 8, 0},
    {1, 2, 1, 16, 16, 3000},                                 // split over keys
    {3, 4, 2, 24, 9, 5000, false, 0, DType::kBF16, 100},     // split, pages
    {5, 4, 2, 24, 24, 40, false, 24, DType::kF32, 16},       // a window in a ring
    {90, 4, 2, 16, 16, 0, false, 24, DType::kF32, 7},        // window reached within the step
    {1, 4, 1, 16, 16, 2500, false, 2300, DType::kBF16, 64},  // window, split
    {4, 6, 2, 20, 12, 300, true, 0, DType::kBF16, 33},
    {9, 8, 2, 128, 128, 200, false, 0, DType::kBF16, 64},
    {2, 16, 1, 576, 512, 130, false, 0, DType::kBF16, 64},  // absorbed latents
    {3, 3, 1, 33, 17, 40, false, 24, DType::kBF16, 16}};

}  // namespace

TEST_CASE("attention: grouped, latent, sparse, windowed and split, at every level") {
  for (const Isa isa : available_isas()) {
    CHECK(std::string(attention_kernel(isa).name) == (isa == Isa::kAmx ? "avx512" : isa_name(isa)));
    Bench bench(isa);
    CounterRng rng(7);
    for (const Shape& s : kShapes) {
      Case c(bench, rng, s);
      const AttentionSequence sequence[] = {c.sequence()};
      attention(bench.context, c.job(), sequence);
      INFO(isa_name(isa), " T ", s.T, " H ", s.H, " KV ", s.KV, " Dk ", s.Dk, " at ", s.position);
      CHECK(c.worst_error() < 2e-5);
    }
  }
}

TEST_CASE("attention: bits of a sequence depend neither on companions nor on threads") {
  for (const Isa isa : available_isas()) {
    Bench bench(isa), many(isa, 5);
    CounterRng rng(8);
    Case a(bench, rng, {1, 4, 2, 16, 16, 3000}), b(bench, rng, {40, 4, 2, 16, 16, 7}),
        c(bench, rng, {2, 4, 2, 16, 16, 130});
    // The same queries one after the other in one step.
    Floats q(43, 64), out(43, 64);
    int64_t t = 0;
    std::vector<AttentionSequence> sequences;
    for (Case* one : {&b, &a, &c}) {
      const AttentionSequence alone[] = {one->sequence()};
      attention(bench.context, one->job(), alone);
      std::memcpy(q.row(t), one->q.row(0), one->s.T * 64 * sizeof(float));
      sequences.push_back(one->sequence());
      sequences.back().first_token = t;
      t += one->s.T;
    }
    AttentionJob job = a.job();
    job.q = q.view(), job.out = out.view(), job.lse = {};
    attention(many.context, job, sequences);
    t = 0;
    for (Case* one : {&b, &a, &c}) {
      CHECK(std::memcmp(out.row(t), one->out.row(0), one->s.T * 64 * sizeof(float)) == 0);
      t += one->s.T;
    }
  }
}
