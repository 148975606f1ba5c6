// No allocation per token in steady state. This file replaces operator new of the whole test program to
// count.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "infer/scheduler.h"

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

TEST_CASE("answering a token allocates nothing") {
  for (const char* folder :
       {"/data/dsv3-tiny", "/tests/golden/arch/qwen3", "/tests/golden/arch/deepseek_v32"}) {
    CAPTURE(folder);
    ds::infer::EngineOptions options;
    options.max_sequences = 2;
    options.ctx = 128;
    const auto engine = ds::infer::Engine::load(std::string(DS_SOURCE_DIR) + folder, options);
    for (const double temperature : {0.0, 1.0}) {
      ds::infer::Scheduler scheduler(*engine);
      ds::infer::GenerateRequest request;
      request.prompt = {0, 3, 100, 4};
      request.settings.max_tokens = 100;
      request.settings.sampling.temperature = temperature;
      request.settings.sampling.top_p = 0.9;
      request.settings.sampling.repeat_penalty = 1.1;
      request.exact_length = true;
      scheduler.submit(request, {});
      scheduler.submit(request, {});
      for (int i = 0; i < 3; ++i) scheduler.step();  // lazily made buffers
      const int64_t before = n_allocations;
      for (int i = 0; i < 80; ++i) scheduler.step();
      CHECK(n_allocations - before == 0);
      CHECK_FALSE(scheduler.is_idle());
    }
  }
}
