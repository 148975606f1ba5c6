// What the tool itself costs: the same code path against something that does nothing.
#pragma once
#include <string>

#include "core/json.h"

namespace ds::bench {

// kind "cmd": starting and reaping /bin/true. kind "url": a request to a null server in this process, so an
// upper bound (its own work is inside). kind "engine": recording an empty answer. Fields: what, n,
// ttft_p50_ms, ttft_p99_ms, e2e_p50_ms.
Json measure_overhead(const std::string& kind, int n);

// Memory read bandwidth of this machine with so many threads, GB/s: the best of a few passes over a buffer
// far larger than the caches.
double measure_read_bandwidth(int n_threads);

// Requests per second that this client reaches against the null server with so many connections.
double null_server_ceiling(int n_clients, double seconds);

}  // namespace ds::bench
