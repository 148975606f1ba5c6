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

bool ThreadPool::enter() {
  int door = door_.load(std::memory_order_relaxed);
  while (!(door & kClosed))
    if (door_.compare_exchange_weak(door, door + 1, std::memory_order_acquire, std::memory_order_relaxed))
      return true;
  return false;
}

void ThreadPool::leave() {
  if (door_.fetch_sub(1, std::memory_order_release) == kClosed + 1) door_.notify_one();
}

void ThreadPool::run(const Job& job) {
  job_ = job;
  next_.store(0, std::memory_order_relaxed);
  failed_.store(false, std::memory_order_relaxed);
  door_.store(0, std::memory_order_release);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  work(0);
  door_.fetch_or(kClosed, std::memory_order_relaxed);
  for (int spin = 0;; ++spin) {
    const int door = door_.load(std::memory_order_acquire);
    if (door == kClosed) break;
    if (spin < spin_rounds_) {
      pause_cpu();
    } else {
      door_.wait(door, std::memory_order_acquire);
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
    uint32_t generation;
    while ((generation = generation_.load(std::memory_order_acquire)) == seen) {
      if (spin < spin_rounds_) {
        ++spin;
        pause_cpu();
      } else {
        generation_.wait(seen, std::memory_order_acquire);
      }
    }
    seen = generation;  // loops that were over before this thread got to run are skipped
    if (stop_) return;
    if (!enter()) continue;
    work(thread_idx);
    leave();
  }
}

}  // namespace ds
