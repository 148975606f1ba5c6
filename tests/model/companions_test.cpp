// What a sequence is told does not depend on who else is in the step, to the bit: decode steps, short and
// long prompts side by side in any order, for grouped, latent and sparse attention, with experts and without.
#include "core/rng.h"
#include "goldens.h"

using namespace ds;
using namespace ds::test;

namespace {

// A sequence whose first `held` tokens are cached, and its next n.
struct Part {
  int64_t begin, held, n;
  std::vector<float> alone;  // logits [n, V]
  std::unique_ptr<KvPool> pool;
  std::unique_ptr<KvSequence> cache;
};

}  // namespace

TEST_CASE("companions do not change a sequence's bits") {
  std::vector<std::pair<Isa, DType>> kinds;
  for (const Isa isa : available_isas())
    for (const DType cache_type : {DType::kF32, DType::kBF16})
      if (cache_type == DType::kF32 || isa == Isa::kScalar || isa == best_isa())
        kinds.push_back({isa, cache_type});
  CounterRng rng(5);  // each model and kind has its own order
  for (const fs::path& folder : cases()) {
    const SafetensorsFile golden((folder / "golden.safetensors").string());
    const auto all = ids(golden, "input_ids.2");
    for (const auto& kind : kinds) {
      const Isa isa = kind.first;  // clang 14 captures no structured bindings
      const DType cache_type = kind.second;
      Runner run(folder, isa, 2, {.cache_type = cache_type});
      std::vector<Part> parts;
      const auto n_all = static_cast<int64_t>(all.size());
      for (const auto& [begin, held, n] : {std::array<int64_t, 3>{0, 9, 1},
                                           {3, 30, 1},
                                           {0, 0, n_all},
                                           {1, 0, 7},
                                           {2, 12, 3},
                                           {5, 10, 20},
                                           {0, 24, 6},
                                           {4, 1, 1}})
        parts.push_back({begin, held, n, {}, nullptr, nullptr});
      const auto tokens_of = [&](const Part& p) { return std::span(all).subspan(p.begin + p.held, p.n); };
      const auto hold = [&](Part& p) {
        p.cache.reset();
        p.pool =
            std::make_unique<KvPool>(run.model->cache_streams(), KvPoolSize{1, 128, 128, 16, cache_type});
        p.cache = std::make_unique<KvSequence>(*p.pool);
        if (!p.held) return;
        const Segment segment{p.cache.get(), p.held};
        run.model->forward(run.context, std::span(all).subspan(p.begin, p.held), {&segment, 1}, {}, nullptr);
      };
      const auto every_row = [](int64_t n) {
        std::vector<int32_t> rows(n);
        for (int64_t i = 0; i < n; ++i) rows[i] = static_cast<int32_t>(i);
        return rows;
      };
      for (Part& p : parts) {
        hold(p);
        p.alone.resize(p.n * run.V);
        const Segment segment{p.cache.get(), p.n};
        run.model->forward(run.context, tokens_of(p), {&segment, 1}, every_row(p.n), p.alone.data());
      }
      Runner together(folder, isa, 3, {.max_tokens = 192, .max_sequences = 8, .cache_type = cache_type});
      {
        for (size_t i = parts.size(); i > 1; --i) std::swap(parts[i - 1], parts[rng.next_u32() % i]);
        std::vector<int32_t> tokens;
        std::vector<Segment> segments;
        for (Part& p : parts) {
          hold(p);
          segments.push_back({p.cache.get(), p.n});
          tokens.insert(tokens.end(), tokens_of(p).begin(), tokens_of(p).end());
        }
        std::vector<float> logits(tokens.size() * run.V);
        together.model->forward(together.context, tokens, segments,
                                every_row(static_cast<int64_t>(tokens.size())), logits.data());
        size_t at = 0;
        for (const Part& p : parts) {
          INFO(folder.filename().string(), " ", isa_name(isa), " rows ", dtype_name(cache_type), ": ", p.n,
               " tokens after ", p.held);
          CHECK(std::memcmp(logits.data() + at, p.alone.data(), p.alone.size() * sizeof(float)) == 0);
          at += p.alone.size();
        }
      }
    }
  }
}
