// A pipeline over a thread pool: items are made one after another, worked on by many threads at once, and
// finished one after another in the order they were made. No thread is bound to a step: each takes what is
// next, so that one thread runs the same code and two threads share making and finishing, too.
#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include "core/parallel.h"

namespace ds {

// make(Item&) fills an item and returns false when there is none left; work(Item&, thread_idx);
// finish(Item&). make and finish are never entered twice at a time. At most `window` items are alive; their
// memory is used again. The first exception ends the pipeline and is rethrown.
template <class Item, class Make, class Work, class Finish>
void run_ordered(ThreadPool& pool, int window, Make&& make, Work&& work, Finish&& finish) {
  struct Place {
    std::unique_ptr<Item> item;
    bool worked = false;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Place> line;  // made and not yet finished, in order
  std::vector<std::unique_ptr<Item>> idle;
  bool making = false, finishing = false, over = false;
  std::exception_ptr error;

  const auto loop = [&](int thread_idx) {
    std::unique_lock lock(mutex);
    const auto unlocked = [&](auto&& step) {
      lock.unlock();
      try {
        step();
      } catch (...) {
        lock.lock();
        if (!error) error = std::current_exception();
        return;
      }
      lock.lock();
    };
    for (;;) {
      if (error || (over && line.empty())) break;
      if (!finishing && !line.empty() && line.front().worked) {
        finishing = true;
        Item& first = *line.front().item;  // another thread may make the line longer, and move it, meanwhile
        unlocked([&] { finish(first); });
        finishing = false;
        idle.push_back(std::move(line.front().item));
        line.pop_front();
        changed.notify_all();
      } else if (!making && !over && static_cast<int>(line.size()) < window) {
        making = true;
        auto item = idle.empty() ? std::make_unique<Item>() : std::move(idle.back());
        if (!idle.empty()) idle.pop_back();
        bool made = false;
        unlocked([&] { made = make(*item); });
        making = false;
        over = over || !made;
        Item* const mine = item.get();
        if (made) line.push_back({std::move(item), false});
        changed.notify_all();
        if (!made || error) continue;
        unlocked([&] { work(*mine, thread_idx); });
        for (Place& place : line)
          if (place.item.get() == mine) place.worked = true;
        changed.notify_all();
      } else {
        changed.wait(lock);
      }
    }
    changed.notify_all();
  };
  pool.parallel_for(pool.n_threads(), 1, [&](int64_t, int64_t, int thread_idx) { loop(thread_idx); });
  if (error) std::rethrow_exception(error);
}

}  // namespace ds
