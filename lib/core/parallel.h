// A parallel loop over threads that outlive it.
//
// Own threads rather than an OpenMP team: the pool belongs to its engine (no process-wide state), and a loop
// waits only for threads that have entered it; where other programs hold the processors, the caller does the
// work of threads that do not get to run. The same loops on either (2 threads, microseconds, medians; libgomp
// of GCC 12 with its default wait policy):
//                      processors to ourselves    14 other threads on the two processors, with CPU time a
//                      loop
//   1 Ki additions     pool   3.4   OpenMP 4.2    pool   1.1 (   2.8)   OpenMP     4.1 (  55)
//   16 Ki              pool  13.1   OpenMP 14.1   pool  15.8 (  21)     OpenMP    13.5 ( 187)
//   256 Ki             pool   138   OpenMP  140   pool   267 ( 288)     OpenMP 21927.  (4814)
// At OpenMP's barrier the caller spins until its partner is scheduled: a decode step has hundreds of such
// loops. Waiting passively, a loop of 1 Ki takes 12. One pool for long loops, too: OpenMP beside it would be
// more code.
#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "core/rooms.h"

namespace ds {

class ThreadPool {
 public:
  // The calling thread is one of them; n_threads - 1 are started. Throws Error{kOs} when they cannot be.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end, thread_idx) over chunks of [0, n) of at most `grain` items until all are done.
  // Which thread takes a chunk is open; chunk borders depend on n and grain only. The first exception thrown
  // is rethrown here. Not reentrant: one loop at a time, from one thread.
  template <class Body>
  void parallel_for(int64_t n, int64_t grain, Body&& body) {
    if (n <= 0) return;
    if (grain < 1) grain = 1;
    if (n <= grain || workers_.empty()) {
      for (int64_t begin = 0; begin < n; begin += grain)
        body(begin, begin + grain < n ? begin + grain : n, 0);
      return;
    }
    using Raw = std::remove_reference_t<Body>;
    run({[](void* context, int64_t begin, int64_t end, int thread_idx) {
           (*static_cast<Raw*>(context))(begin, end, thread_idx);
         },
         const_cast<void*>(static_cast<const void*>(&body)), n, grain});
  }

 private:
  struct Job {
    void (*call)(void*, int64_t, int64_t, int) = nullptr;
    void* context = nullptr;
    int64_t n = 0, grain = 1;
  };
  void run(const Job& job);
  void work(int thread_idx);
  bool enter();
  void leave();
  void worker_main(int thread_idx);

  Job job_;
  alignas(64) std::atomic<int64_t> next_{0};         // first item not yet taken
  alignas(64) std::atomic<uint32_t> generation_{0};  // bumped to start a loop
  // The door of the running loop: the number of workers inside, plus kClosed when no more may enter. job_ is
  // written only while it is closed and nobody is inside.
  static constexpr int kClosed = 1 << 30;
  alignas(64) std::atomic<int> door_{kClosed};
  std::atomic<bool> stop_{false};
  std::atomic<bool> failed_{false};
  std::exception_ptr error_;
  int spin_rounds_ = 0;
  std::vector<std::thread> workers_;
};

}  // namespace ds
