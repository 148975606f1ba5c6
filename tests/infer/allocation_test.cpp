// No allocation per token in steady state. This file replaces operator new of the whole test program to
// count.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "infer/engine.h"
#include "infer/sampler.h"

namespace {
std::atomic<int64_t> n_allocations{0};
}

void* operator new(size_t n) {
  ++n_allocations;
  if (void* p = std::malloc(n ? n : 1)) return p;
  throw std::bad_alloc();
}
// The other half of the pair, too: a library may allocate with one and free with the other.
void* operator new(size_t n, const std::nothrow_t&) noexcept {
  ++n_allocations;
  return std::malloc(n ? n : 1);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

TEST_CASE("decoding a token allocates nothing") {
  for (const char* folder :
       {"/data/dsv3-tiny", "/tests/golden/arch/qwen3", "/tests/golden/arch/deepseek_v32"}) {
    CAPTURE(folder);
    const auto engine = ds::infer::Engine::load(std::string(DS_SOURCE_DIR) + folder, {});
    for (const double temperature : {0.0, 1.0}) {
      ds::infer::Session session = engine->new_session();
      ds::infer::Sampler sampler(engine->model().config().vocab_size);
      ds::infer::SamplingParams params;
      params.temperature = temperature;
      params.top_p = 0.9;
      params.repeat_penalty = 1.1;
      const std::vector<int32_t> prompt = {0, 3, 100, 4};
      sampler.start(params, 0, prompt);
      auto logits = session.read(prompt);
      for (int i = 0; i < 3; ++i) {  // lazily made buffers
        const int32_t token = sampler.sample(logits);
        logits = session.read({&token, 1});
      }
      const int64_t before = n_allocations;
      for (int i = 0; i < 20; ++i) {
        const int32_t token = sampler.sample(logits);
        logits = session.read({&token, 1});
      }
      CHECK(n_allocations - before == 0);
    }
  }
}
