#include "core/ordered.h"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

using namespace ds;

namespace {
struct Item {
  int made = -1, worked = -1;
};
}  // namespace

TEST_CASE("an ordered pipeline finishes in the order of making, one at a time, within its window") {
  for (const int threads : {1, 2, 7}) {
    ThreadPool pool(threads);
    constexpr int kItems = 500, kWindow = 4;
    int next = 0;
    std::atomic<int> making{0}, finishing{0}, alive{0}, most{0};
    std::vector<int> finished;
    run_ordered<Item>(
        pool, kWindow,
        [&](Item& item) {
          CHECK(making++ == 0);
          item = {next, -1};
          const int now = next < kItems ? ++alive : 0;
          if (now > most) most = now;
          --making;
          return next++ < kItems;
        },
        [&](Item& item, int thread) {
          CHECK(thread < threads);
          item.worked = item.made * 3;
        },
        [&](Item& item) {
          CHECK(finishing++ == 0);
          CHECK(item.worked == item.made * 3);
          finished.push_back(item.made);
          --alive;
          --finishing;
        });
    REQUIRE(finished.size() == kItems);
    for (int i = 0; i < kItems; ++i) CHECK(finished[i] == i);
    CHECK(most <= kWindow);
  }
}

TEST_CASE("an ordered pipeline ends with the first exception, wherever it is thrown") {
  for (const int threads : {1, 3})
    for (const int where : {0, 1, 2}) {
      ThreadPool pool(threads);
      int next = 0, last = -1;
      const auto fail = [&](int step, int item) {
        if (step == where && item == 20) throw std::runtime_error("item 20");
      };
      CHECK_THROWS_WITH(run_ordered<Item>(
                            pool, 5,
                            [&](Item& item) {
                              fail(0, next);
                              item.made = next++;
                              return item.made < 1000;
                            },
                            [&](Item& item, int) { fail(1, item.made); },
                            [&](Item& item) {
                              fail(2, item.made);
                              last = item.made;
                            }),
                        "item 20");
      CHECK(last < 20);
    }
}
