#include "bench/load/overhead.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "bench/load/threads.h"
#include "bench/stats/quantile.h"
#include "bench/targets/scripted_server.h"
#include "bench/targets/target.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/json_value.h"
#include "core/parallel.h"
#include "kernels/probe.h"

namespace ds::bench {

Json measure_overhead(const std::string& kind, int n) {
  std::unique_ptr<ScriptedServer> server;
  std::unique_ptr<Target> target;
  TargetOptions options;
  options.timeout_s = 10;
  const char* what = "recording an empty answer";
  if (kind == "cmd") {
    target = make_command_target("/bin/true", options);
    what = "starting /bin/true and waiting for it";
  } else if (kind == "url") {
    server = std::make_unique<ScriptedServer>(make_script({}));
    options.model_name = "null";
    target = make_http_target(server->url(), options);
    what = "a request to a null server in this process";
  } else {
    target = make_null_target();
  }
  Request request;
  request.prompt = "null";
  std::vector<double> first, all;
  for (int i = 0; i < n + 3; ++i) {
    const Outcome o = target->send(request, {});
    if (i < 3) continue;  // first connection, first page faults
    all.push_back(static_cast<double>(o.t_done_ns - o.t_send_ns) * 1e-6);
    first.push_back(o.event_ns.empty() ? all.back()
                                       : static_cast<double>(o.event_ns[0] - o.t_send_ns) * 1e-6);
  }
  std::sort(first.begin(), first.end());
  std::sort(all.begin(), all.end());
  return Json{{"what", what},
              {"n", n},
              {"ttft_p50_ms", quantile(first, 0.5)},
              {"ttft_p99_ms", quantile(first, 0.99)},
              {"e2e_p50_ms", quantile(all, 0.5)}};
}

double measure_read_bandwidth(int n_threads) {
  constexpr int64_t kBytes = 256 << 20;
  ThreadPool pool(std::max(1, n_threads));
  return probe_read_bandwidth(pool, best_isa(), kBytes, 5) * 1e-9;
}

double null_server_ceiling(int n_clients, double seconds) {
  ScriptedServer server(make_script({}));
  TargetOptions options;
  options.model_name = "null";
  options.timeout_s = 10;
  const auto target = make_http_target(server.url(), options);
  Request request;
  request.prompt = "null";
  std::atomic<int64_t> n{0};
  const int64_t begin = now_ns();
  std::atomic<bool> broken{false};
  const auto client = [&] {
    while (!broken && seconds_since(begin) < seconds)
      if (target->send(request, {}).ok()) ++n;
  };
  in_threads(n_clients, client, [&] { broken = true; });
  return static_cast<double>(n) / seconds_since(begin);
}

}  // namespace ds::bench
