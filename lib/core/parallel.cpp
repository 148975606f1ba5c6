#include "core/parallel.h"

#include <system_error>

#include "core/cpu.h"
#include "core/error.h"

namespace ds {
namespace {

inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// About 50 us of pauses: longer than the gap between two loops of a decode step, short enough to be no
// burden.
constexpr int kSpinRounds = 2000;

}  // namespace

ThreadPool::ThreadPool(int n_threads) {
  // With more threads than processors a spinning thread only keeps another from running.
  spin_rounds_ = n_threads <= available_processors() ? kSpinRounds : 0;
  try {
    for (int i = 1; i < n_threads; ++i) workers_.emplace_back([this, i] { worker_main(i); });
  } catch (const std::system_error& e) {
    stop_ = true;
    generation_.fetch_add(1);
    generation_.notify_all();
    for (auto& worker : workers_) worker.join();
    throw Error(ErrorKind::kOs, "cannot start " + std::to_string(n_threads) + " threads: " + e.what(),
                "thread pool", "use fewer --threads");
  }
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  generation_.fetch_add(1);
  generation_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::work(int thread_idx) {
  try {
    for (;;) {
      const int64_t begin = next_.fetch_add(job_.grain, std::memory_order_relaxed);
      if (begin >= job_.n) return;
      const int64_t end = begin + job_.grain < job_.n ? begin + job_.grain : job_.n;
      job_.call(job_.context, begin, end, thread_idx);
    }
  } catch (...) {
    if (!failed_.exchange(true)) error_ = std::current_exception();
    next_.store(job_.n, std::memory_order_relaxed);  // the rest is not worth doing
  }
}

void ThreadPool::run(const Job& job) {
  job_ = job;
  next_.store(0, std::memory_order_relaxed);
  failed_.store(false, std::memory_order_relaxed);
  n_running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  work(0);
  for (int spin = 0;; ++spin) {
    const int running = n_running_.load(std::memory_order_acquire);
    if (running == 0) break;
    if (spin < spin_rounds_) {
      pause_cpu();
    } else {
      n_running_.wait(running, std::memory_order_acquire);
    }
  }
  if (failed_.load(std::memory_order_relaxed)) {
    std::exception_ptr error;
    std::swap(error, error_);
    std::rethrow_exception(error);
  }
}

void ThreadPool::worker_main(int thread_idx) {
  uint32_t seen = 0;
  for (;;) {
    int spin = 0;
    while (generation_.load(std::memory_order_acquire) == seen) {
      if (spin < spin_rounds_) {
        ++spin;
        pause_cpu();
      } else {
        generation_.wait(seen, std::memory_order_acquire);
      }
    }
    ++seen;
    if (stop_) return;
    work(thread_idx);
    if (n_running_.fetch_sub(1, std::memory_order_acq_rel) == 1) n_running_.notify_one();
  }
}

}  // namespace ds
