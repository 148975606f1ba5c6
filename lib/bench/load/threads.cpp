#include "bench/load/threads.h"

#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "core/error.h"

namespace ds::bench {

void in_threads(int64_t n, const std::function<void()>& body, const std::function<void()>& give_up) {
  std::mutex mutex;
  std::exception_ptr error;
  const auto fail = [&](std::exception_ptr why) {
    const std::lock_guard lock(mutex);
    if (!error) error = std::move(why);
    give_up();
  };
  const auto guarded = [&] {
    try {
      body();
    } catch (...) {
      fail(std::current_exception());
    }
  };
  if (n == 1) {
    guarded();
  } else {
    std::vector<std::jthread> threads;  // joined whatever happens
    try {
      for (int64_t i = 0; i < n; ++i) threads.emplace_back(guarded);
    } catch (const std::system_error& e) {
      fail(std::make_exception_ptr(Error(ErrorKind::kOs,
                                         "only " + std::to_string(threads.size()) + " of " +
                                             std::to_string(n) + " threads can be started: " + e.what(),
                                         "--concurrency",
                                         "fewer clients, or a higher limit of processes (ulimit -u)")));
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace ds::bench
