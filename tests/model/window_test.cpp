// A layer that sees the last tokens only keeps their rows alone: every bit is as with all rows kept.
#include "checkpoint/model_maker.h"
#include "core/rng.h"
#include "goldens.h"
#include "io/files.h"

using namespace ds;
using namespace ds::test;

namespace {

constexpr int64_t kWindow = 24, kStep = 64, kCtx = 640, kPage = 16;
// The window and a step, and one row more for streams that pool tokens.
constexpr int64_t kRingPages = (kWindow + kStep + 1 + kPage - 1) / kPage;

// qwen3 whose layers 0 and 2 have a window.
void make_mixed(const TempFolder& folder) {
  for (const char* name : {"model.safetensors", "generation_config.json"})
    fs::create_symlink(kArch / "qwen3" / name, folder / name);
  std::string config = read_file((kArch / "qwen3/config.json").string());
  const std::string none = "\"sliding_window\": null";
  REQUIRE(config.find(none) != std::string::npos);
  config.replace(config.find(none), none.size(),
                 R"("sliding_window": 24, "layer_types": ["sliding_attention", "full_attention",
                    "sliding_attention"])");
  folder.write("config.json", config);
}

std::vector<int32_t> random_tokens(int64_t n, uint64_t stream) {
  CounterRng rng(31, stream);
  std::vector<int32_t> tokens(n);
  for (int32_t& t : tokens) t = static_cast<int32_t>(rng.next_u32() % 320);
  return tokens;
}

// A model with pools for two sequences: its own, and one that keeps all rows.
struct Windowed : Runner {
  std::vector<CacheStream> streams, whole;
  KvPool ring_pool, whole_pool;
  int64_t n_whole_groups;  // of the first pool, that keep all rows
  Windowed(const fs::path& folder, Isa isa)
      : Runner(folder, isa, 2, {.max_tokens = kStep, .ctx = kCtx}),
        streams(model->cache_streams()),
        whole(without_windows(streams)),
        ring_pool(streams, {2, kCtx, kStep, kPage, DType::kF32}),
        whole_pool(whole, {2, kCtx, kStep, kPage, DType::kF32}) {
    int64_t n_windows = 0;
    for (const CacheStream& s : streams) {
      CHECK((s.window == 0 || s.window == kWindow));
      n_windows += s.window > 0;
    }
    REQUIRE(n_windows > 0);
    n_whole_groups = n_windows < static_cast<int64_t>(streams.size());
  }
  static std::vector<CacheStream> without_windows(std::vector<CacheStream> streams) {
    for (CacheStream& s : streams) s.window = 0;
    return streams;
  }
};

template <class Check>
void for_each_model(Check&& check) {
  TempFolder mixed;
  make_mixed(mixed);
  for (const fs::path& folder : {kArch / "mistral", fs::path(mixed.path())}) {
    for (const Isa isa : available_isas()) {
      INFO(folder.filename().string(), " ", isa_name(isa));
      Windowed model(folder, isa);
      check(model);
    }
  }
}

}  // namespace

TEST_CASE("a sequence many times longer than the window") {
  const auto tokens = random_tokens(kCtx, 0);
  for_each_model([&](Windowed& model) {
    std::vector<float> first;
    for (const int64_t chunk : {kStep, int64_t{5}}) {
      INFO("chunk ", chunk);
      KvSequence ring(model.ring_pool), whole(model.whole_pool);
      const auto got = model.logits(ring, tokens, chunk), want = model.logits(whole, tokens, chunk);
      CHECK(std::memcmp(got.data(), want.data(), got.size() * sizeof(float)) == 0);
      CHECK(model.whole_pool.n_used_pages() == kCtx / kPage);
      CHECK(model.ring_pool.n_used_pages() == kRingPages + model.n_whole_groups * kCtx / kPage);
      if (first.empty()) first = got;
      CHECK(worst(got, first) < kF32Bound);
    }
  });
}

TEST_CASE("a prefix is shared as far back as the ring still holds what its end saw") {
  const auto tokens = random_tokens(300, 1), other = random_tokens(200, 2);
  for_each_model([&](Windowed& model) {
    // The ring holds the last kRingPages * kPage of 300 rows.
    constexpr int64_t kShortest = 300 - kRingPages * kPage + kWindow;
    for (const int64_t n_shared : {int64_t{300}, int64_t{288}, int64_t{251}, kShortest}) {
      INFO("shared ", n_shared);
      std::vector<float> bits[2];
      for (KvPool* pool : {&model.ring_pool, &model.whole_pool}) {
        KvSequence a(*pool), b(*pool);
        std::vector<float>& all = bits[pool == &model.whole_pool];
        const auto read = [&](KvSequence& sequence, int64_t first, int64_t n, int64_t chunk) {
          const auto more = model.logits(sequence, std::span(other).subspan(first, n), chunk);
          all.insert(all.end(), more.begin(), more.end());
        };
        model.logits(a, tokens, kStep);
        b.share(a, n_shared);
        // Each writes where the other still reads; the sharer is cut back, too.
        read(b, 0, 7, 7), read(a, 10, 40, kStep), read(b, 7, 20, 1), read(a, 50, 100, 5);
        b.truncate(b.cut_length(n_shared));
        CHECK(b.length() == n_shared);
        read(b, 100, 90, kStep);
      }
      CHECK(bits[0] == bits[1]);
    }
    KvSequence a(model.ring_pool);
    model.logits(a, tokens, kStep);
    CHECK(a.cut_length(kShortest) == kShortest);
    CHECK(a.cut_length(kShortest - 1) == 0);
  });
}
