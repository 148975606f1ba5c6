#include "bench/targets/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "bench/stats/metric.h"
#include "core/clock.h"
#include "core/json.h"

namespace ds::bench {
namespace {

constexpr size_t kMaxRequestBytes = 16 << 20;

void sleep_ms(double ms) {
  if (ms > 0) std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(ms));
}

std::string chunk_of(std::string_view text) {
  char size[32];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  return size + std::string(text) + "\r\n";
}

// One request from the connection. False at its end, or when it is not HTTP.
bool read_request(int fd, std::string& pending, ServedRequest& out) {
  char buffer[1 << 14];
  size_t header_end;
  while ((header_end = pending.find("\r\n\r\n")) == std::string::npos) {
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0 || pending.size() > 1 << 16) return false;
    pending.append(buffer, n);
    if (!std::isupper(static_cast<unsigned char>(pending[0]))) return false;  // TLS, for instance
  }
  const std::string& head = out.head = pending.substr(0, header_end);
  const size_t space = head.find(' ');
  if (space == std::string::npos) return false;
  out.method = head.substr(0, space);
  out.path = head.substr(space + 1, head.find(' ', space + 1) - space - 1);
  size_t length = 0;
  std::string lower = head;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (const size_t at = lower.find("content-length:"); at != std::string::npos)
    length = std::strtoull(lower.c_str() + at + 15, nullptr, 10);
  if (length > kMaxRequestBytes) return false;
  while (pending.size() < header_end + 4 + length) {
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    pending.append(buffer, n);
  }
  out.body = pending.substr(header_end + 4, length);
  pending.erase(0, header_end + 4 + length);
  return true;
}

}  // namespace

bool ServedRequest::write(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(n);
  }
  return true;
}

SteadyScript parse_steady_script(const std::string& text) {
  SteadyScript script;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string term = text.substr(begin, end - begin);
    begin = end + 1;
    const size_t equals = term.find('=');
    const std::string key = term.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : term.substr(equals + 1);
    if (key == "ttft") {
      script.ttft_ms = parse_duration_ms(value, "--script");
    } else if (key == "tpot") {
      script.tpot_ms = parse_duration_ms(value, "--script");
    } else if (key == "tokens") {
      script.tokens = std::clamp<int64_t>(std::atoll(value.c_str()), 1, 1 << 20);
    } else if (key == "stall" && value.find(':') != std::string::npos) {
      script.stall_at_s = parse_duration_ms(value.substr(0, value.find(':')), "--script") / 1e3;
      script.stall_s = parse_duration_ms(value.substr(value.find(':') + 1), "--script") / 1e3;
    } else {
      throw Error(ErrorKind::kUsage, "'" + term + "' is no part of a script", "--script",
                  "write ttft=20ms,tpot=1ms,tokens=8,stall=50s:1s");
    }
  }
  return script;
}

ServerScript make_script(const SteadyScript& script) {
  struct State {
    std::mutex mutex;
    int64_t start_ns = 0;
    bool stalled = false;
  };
  const auto state = std::make_shared<State>();
  return [script, state](const ServedRequest& r) {
    if (r.method == "GET") {
      const std::string body = R"({"object":"list","data":[{"id":"scripted","object":"model"}]})";
      return r.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                     std::to_string(body.size()) + "\r\n\r\n" + body);
    }
    double stall_ms = 0;
    {
      const std::lock_guard lock(state->mutex);
      if (!state->start_ns) state->start_ns = now_ns();
      if (script.stall_at_s >= 0 && !state->stalled && seconds_since(state->start_ns) >= script.stall_at_s) {
        state->stalled = true;
        stall_ms = script.stall_s * 1e3;
      }
    }
    sleep_ms(script.ttft_ms + stall_ms);
    const bool chat = r.path.find("/chat/") != std::string::npos;
    const auto event = [&](int64_t i) {
      const std::string word = i == 0 ? "tick" : " tick";
      return chunk_of(chat ? R"(data: {"choices":[{"index":0,"delta":{"content":")" + word + "\"}}]}\n\n"
                           : R"(data: {"choices":[{"index":0,"text":")" + word + "\"}]}\n\n");
    };
    const std::string end = chunk_of(
        R"(data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}],"usage":{"prompt_tokens":)" +
        std::to_string(r.body.size() / 4) + R"(,"completion_tokens":)" + std::to_string(script.tokens) +
        "}}\n\ndata: [DONE]\n\n");
    std::string out =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int64_t i = 0; i < script.tokens; ++i) {
      if (i > 0) sleep_ms(script.tpot_ms);
      out += event(i);
      // With nothing to wait for, everything leaves in one write.
      if (i + 1 < script.tokens && script.tpot_ms > 0) {
        if (!r.write(out)) return false;
        out.clear();
      }
    }
    return r.write(out + end + "0\r\n\r\n");
  };
}

ScriptedServer::ScriptedServer(ServerScript script, int port, bool ipv6)
    : script_(std::move(script)), ipv6_(ipv6) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(static_cast<uint16_t>(port));
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = v4.sin_port;
  v6.sin6_addr = in6addr_loopback;
  auto* address = ipv6 ? reinterpret_cast<sockaddr*>(&v6) : reinterpret_cast<sockaddr*>(&v4);
  socklen_t size = ipv6 ? sizeof v6 : sizeof v4;
  listener_ = FileHandle(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int one = 1;
  ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (::bind(listener_.get(), address, size) != 0 || ::listen(listener_.get(), 512) != 0)
    throw Error(ErrorKind::kOs, "cannot listen: " + os_error(),
                (ipv6 ? "[::1]:" : "127.0.0.1:") + std::to_string(port));
  ::getsockname(listener_.get(), address, &size);
  port_ = ntohs(ipv6 ? v6.sin6_port : v4.sin_port);
  acceptor_ = std::thread([this] { accept_loop(); });
}

ScriptedServer::~ScriptedServer() {
  stop_ = true;
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_fds_) ::shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& t : threads_) t.join();
}

void ScriptedServer::accept_loop() {
  while (!stop_) {
    pollfd p{listener_.get(), POLLIN, 0};
    if (::poll(&p, 1, 20) <= 0) continue;
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const std::lock_guard lock(mutex_);
    open_fds_.push_back(fd);
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void ScriptedServer::serve(int fd) {
  std::string pending;
  ServedRequest request;
  request.fd = fd;
  while (!stop_ && read_request(fd, pending, request)) {
    request.idx = request.method == "POST" ? n_requests_++ : -1;
    if (!script_(request)) break;
  }
  const std::lock_guard lock(mutex_);
  open_fds_.erase(std::find(open_fds_.begin(), open_fds_.end(), fd));
  ::close(fd);
}

}  // namespace ds::bench
