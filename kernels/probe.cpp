#include "kernels/probe.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "core/clock.h"
#include "kernels/op.h"

namespace ds::kernels {

DS_KERNEL_LEVELS(ProbeKernels, kProbe, kProbeLevels);
#if DS_X86
extern const ProbeKernels kProbe_avx512bf16, kProbe_amx;
#endif

namespace {

const ProbeKernels& f32_kernels(Isa isa) { return pick(kProbeLevels, isa); }
const ProbeKernels* bf16_kernels(Isa isa) {
#if DS_X86
  if (isa == Isa::kAmx) return &kProbe_amx;
  if (isa == Isa::kAvx512 && cpu_features().avx512_bf16) return &kProbe_avx512bf16;
#endif
  (void)isa;
  return nullptr;
}

double best_rate(ThreadPool& pool, const ProbeKernels& kernels, int rounds) {
  const int n_threads = pool.n_threads();
  std::vector<double> flops(n_threads);
  std::vector<float> sink(n_threads);
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    const int64_t start = now_ns();
    // One item a thread: a thread that takes two would halve the rate, so the best round is the one that
    // spread.
    pool.parallel_for(n_threads, 1, [&](int64_t begin, int64_t, int) {
      sink[begin] = kernels.multiply_add(4'000'000, &flops[begin]);
    });
    double total = 0;
    for (const double f : flops) total += f;
    best = std::max(best, total / seconds_since(start));
  }
  return best;
}

}  // namespace

double probe_read_bandwidth(ThreadPool& pool, Isa isa, int64_t bytes, int rounds) {
  constexpr int64_t kChunk = 1 << 20;
  bytes = bytes / kChunk * kChunk;
  const std::unique_ptr<char, void (*)(void*)> memory(
      static_cast<char*>(std::aligned_alloc(kChunk * 2, bytes)), [](void* p) { std::free(p); });
  if (!memory) throw std::bad_alloc();
  ::madvise(memory.get(), bytes, MADV_HUGEPAGE);  // the machine's best, not that of small pages
  pool.parallel_for(bytes / kChunk, 16, [&](int64_t begin, int64_t end, int) {
    std::memset(memory.get() + begin * kChunk, 1, (end - begin) * kChunk);
  });
  const ProbeKernels& kernels = f32_kernels(isa);
  std::vector<float> sink(pool.n_threads() * 16);
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    const int64_t start = now_ns();
    pool.parallel_for(bytes / kChunk, 8, [&](int64_t begin, int64_t end, int thread_idx) {
      sink[thread_idx * 16] +=
          kernels.read(memory.get() + begin * kChunk, (end - begin) * kChunk, cpu_features().prefetch_bytes);
    });
    best = std::max(best, static_cast<double>(bytes) / seconds_since(start));
  }
  return best;
}

PeakFlops probe_peak_flops(ThreadPool& pool, Isa isa, int rounds) {
  PeakFlops peak;
  peak.f32 = best_rate(pool, f32_kernels(isa), rounds);
  if (const ProbeKernels* kernels = bf16_kernels(isa)) peak.bf16 = best_rate(pool, *kernels, rounds);
  return peak;
}

}  // namespace ds::kernels
