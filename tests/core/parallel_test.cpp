#include "core/parallel.h"

#include <doctest/doctest.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>

#include "core/error.h"

using namespace ds;

TEST_CASE("every item is visited exactly once, for any size, grain and number of threads") {
  for (const int n_threads : {1, 2, 3, 8}) {
    ThreadPool pool(n_threads);
    CHECK(pool.n_threads() == n_threads);
    for (const int64_t n : {0, 1, 2, 7, 64, 1000, 4097}) {
      for (const int64_t grain : {0, 1, 3, 64, 5000}) {
        std::vector<int> visits(n);  // unsynchronised on purpose: chunks must not overlap
        std::atomic<int> n_bad{0};
        pool.parallel_for(n, grain, [&](int64_t begin, int64_t end, int thread_idx) {
          if (begin >= end || end > n || end - begin > std::max<int64_t>(grain, 1)) ++n_bad;
          if (begin % std::max<int64_t>(grain, 1) != 0) ++n_bad;  // borders depend on n and grain only
          if (thread_idx < 0 || thread_idx >= n_threads) ++n_bad;
          for (int64_t i = begin; i < end; ++i) ++visits[i];
        });
        CHECK(n_bad == 0);
        CHECK(std::count(visits.begin(), visits.end(), 1) == n);
      }
    }
  }
}

TEST_CASE("a thread index is never in use twice at the same time") {
  constexpr int kThreads = 4;
  ThreadPool pool(kThreads);
  std::atomic<int> busy[kThreads] = {};
  std::atomic<int> n_bad{0};
  for (int round = 0; round < 50; ++round) {
    pool.parallel_for(64, 1, [&](int64_t, int64_t, int thread_idx) {
      if (busy[thread_idx].fetch_add(1) != 0) ++n_bad;
      busy[thread_idx].fetch_sub(1);
    });
  }
  CHECK(n_bad == 0);
}

TEST_CASE("what a loop wrote is visible after it, thousands of times") {
  ThreadPool pool(2);
  std::vector<int64_t> values(256);
  for (int64_t round = 0; round < 3000; ++round) {
    pool.parallel_for(256, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) values[i] += i;
    });
  }
  for (int64_t i = 0; i < 256; ++i) REQUIRE(values[i] == 3000 * i);
}

TEST_CASE("the first exception comes out, and the pool works on") {
  for (const int n_threads : {1, 4}) {
    ThreadPool pool(n_threads);
    for (int round = 0; round < 20; ++round) {
      CHECK_THROWS_AS(pool.parallel_for(1000, 1,
                                        [](int64_t begin, int64_t, int) {
                                          if (begin == 300) throw std::runtime_error("item 300");
                                        }),
                      std::runtime_error);
      std::atomic<int64_t> sum{0};
      pool.parallel_for(100, 7, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) sum += i;
      });
      CHECK(sum == 4950);
    }
    // All chunks throwing at once: one comes out, none is lost into std::terminate.
    CHECK_THROWS_AS(pool.parallel_for(64, 1, [](int64_t, int64_t, int) { throw std::runtime_error("all"); }),
                    std::runtime_error);
  }
}

TEST_CASE("more threads than processors still make progress") {
  ThreadPool pool(24);
  std::atomic<int64_t> n_items{0};
  for (int round = 0; round < 300; ++round)
    pool.parallel_for(48, 1, [&](int64_t begin, int64_t end, int) { n_items += end - begin; });
  CHECK(n_items == 300 * 48);
}

TEST_CASE("pools come and go, also without work, also side by side") {
  for (int i = 0; i < 50; ++i) ThreadPool pool(4);
  ThreadPool a(3), b(3);
  std::atomic<int> n{0};
  a.parallel_for(10, 1, [&](int64_t, int64_t, int) { n += 1; });
  b.parallel_for(10, 1, [&](int64_t, int64_t, int) { n += 1; });
  CHECK(n == 20);
}

TEST_CASE("a thread that comes late finds the next loop, never a finished one") {
  // Bodies on the stack of a caller that leaves at once: a thread inside a finished loop would use freed
  // memory.
  ThreadPool pool(8);
  int64_t total = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<int64_t> local(3, round);
    std::atomic<int64_t> sum{0};
    pool.parallel_for(3, 1, [&](int64_t begin, int64_t, int) { sum += local[begin]; });
    total += sum;
  }
  CHECK(total == int64_t{3} * 2000 * 1999 / 2);
}

TEST_CASE("threads that cannot be started are an Error, and the next pool works") {
  pthread_attr_t usual, huge;
  REQUIRE(::pthread_getattr_default_np(&usual) == 0);
  REQUIRE(::pthread_attr_init(&huge) == 0);
  REQUIRE(::pthread_attr_setstacksize(&huge, size_t{1} << 48) == 0);  // more than there are addresses
  REQUIRE(::pthread_setattr_default_np(&huge) == 0);
  try {
    ThreadPool pool(3);
    FAIL_CHECK("started");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kOs);
    CHECK(std::string(e.what()).find("cannot start 3 threads") != std::string::npos);
    CHECK(e.hint().find("--threads") != std::string::npos);
  }
  REQUIRE(::pthread_setattr_default_np(&usual) == 0);
  std::atomic<int> n{0};
  ThreadPool(3).parallel_for(10, 1, [&](int64_t, int64_t, int) { n += 1; });
  CHECK(n == 10);
}
