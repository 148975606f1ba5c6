// So many threads that do one thing.
#pragma once
#include <cstdint>
#include <functional>

namespace ds::bench {

// Runs body in n threads and waits for all; with n = 1 in the caller's. The first exception, and a thread
// that the system does not give, calls give_up (which must make the others end soon) and is rethrown when all
// have ended.
void in_threads(int64_t n, const std::function<void()>& body, const std::function<void()>& give_up);

}  // namespace ds::bench
