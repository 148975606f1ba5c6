// A small HTTP server on the loopback interface that answers by script: the null server whose cost is the
// tool's own, the server with a known stall, and the hostile ones of the tests. It measures nothing and is no
// product.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "io/files.h"

namespace ds::bench {

// Writes one answer; returns false to close the connection after it.
struct ServedRequest {
  int fd = -1;
  int64_t idx = 0;                       // counts POST requests from 0
  std::string method, path, head, body;  // head: request line and fields
  // Sends all bytes; false when the client left.
  bool write(std::string_view bytes) const;
};
using ServerScript = std::function<bool(const ServedRequest&)>;

// Streams `tokens` events as a chat completion: the first after ttft_ms, the others tpot_ms apart. From
// stall_at_s after the first request, once, everything stops for stall_s.
struct SteadyScript {
  double ttft_ms = 0, tpot_ms = 0;
  int64_t tokens = 1;
  double stall_at_s = -1, stall_s = 0;
};
// "ttft=20ms,tpot=1ms,tokens=8,stall=50s:1s". Throws Error{kUsage}.
SteadyScript parse_steady_script(const std::string& text);
ServerScript make_script(const SteadyScript& script);

class ScriptedServer {
 public:
  // port 0: any free one. Throws Error{kOs}.
  explicit ScriptedServer(ServerScript script, int port = 0, bool ipv6 = false);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  int port() const { return port_; }
  std::string url() const { return (ipv6_ ? "http://[::1]:" : "http://127.0.0.1:") + std::to_string(port_); }
  int64_t n_requests() const { return n_requests_; }

 private:
  void accept_loop();
  void serve(int fd);

  ServerScript script_;
  FileHandle listener_;
  int port_ = 0;
  bool ipv6_ = false;
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> n_requests_{0};
  std::mutex mutex_;
  std::vector<std::thread> threads_;
  std::vector<int> open_fds_;
  std::thread acceptor_;
};

}  // namespace ds::bench
