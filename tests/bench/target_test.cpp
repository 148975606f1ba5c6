// Targets against friendly and hostile counterparts. No test looks at how long something took, except that it
// ended.
#include "bench/target.h"

#include <doctest/doctest.h>

#include <thread>

#include "bench/scripted_server.h"
#include "bench/sse.h"
#include "core/clock.h"
#include "core/error.h"

using namespace ds::bench;

namespace {

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

std::string event(const std::string& content) {
  return "data: {\"choices\":[{\"delta\":{\"content\":\"" + content + "\"}}]}\n\n";
}

TargetOptions fast() {
  TargetOptions o;
  o.timeout_s = 1;
  o.model_name = "m";
  return o;
}

Outcome ask(const ServerScript& script, TargetOptions options = fast()) {
  ScriptedServer server(script);
  const auto target = make_http_target(server.url(), options);
  Request r;
  r.prompt = "hello";
  return target->send(r, {});
}

Outcome answer_with(const std::string& body) {
  return ask([&](const ServedRequest& r) { return r.write(kOk + body) && false; });
}

}  // namespace

TEST_CASE("a well-behaved server") {
  SteadyScript script;
  script.tokens = 5;
  script.tpot_ms = 1;
  const Outcome o = ask(make_script(script));
  CHECK(o.ok());
  CHECK(o.event_ns.size() == 5);
  CHECK(o.n_out == 5);
  CHECK(o.tokens_source == "server");
  CHECK(o.finish == "length");
  CHECK(o.text == "tick tick tick tick tick");
  CHECK(o.t_send_ns <= o.event_ns.front());
  CHECK(o.event_ns.back() <= o.t_done_ns);
}

TEST_CASE("the model's name is asked from the server, and both APIs work") {
  ScriptedServer server(make_script({}));
  TargetOptions options;
  options.api = "completions";
  const auto target = make_http_target(server.url() + "/v1/", options);
  CHECK(target->describe().find("model")->as_string() == "scripted");
  Request r;
  r.prompt = "x";
  CHECK(target->send(r, {}).ok());
  CHECK(target->send(r, {}).ok());  // on the kept connection
}

TEST_CASE("slow loris: a server that dribbles headers or a body for ever ends at the timeout") {
  for (const bool in_body : {false, true}) {
    const Outcome o = ask([&](const ServedRequest& r) {
      if (in_body && !r.write(kOk)) return false;
      if (!in_body && !r.write("HTTP/1.1 200 OK\r\nX-Slow: ")) return false;
      for (int i = 0; i < 200 && r.write("x"); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      return false;
    });
    CHECK(o.error == "timeout");
  }
}

TEST_CASE("garbage instead of events") {
  CHECK(answer_with("data: {not json\n\n").error == "bad_stream");
  CHECK(answer_with("data: 42\n\n").error == "bad_stream");
  CHECK(answer_with("data: {}\n\n").error == "bad_stream");
  CHECK(answer_with(std::string("\0\xff\xfe binary \x80", 12)).error == "no_content");
  CHECK(answer_with("<html>hello</html>").error == "no_content");
  CHECK(answer_with("").error == "no_content");
  CHECK(answer_with("data: {\"error\":{\"message\":\"overloaded\"}}\n\n").error_detail == "overloaded");
  // Deep nesting must not reach the stack's end.
  CHECK(answer_with("data: " + std::string(100000, '[') + "\n\n").error == "bad_stream");
}

TEST_CASE("no end: the connection closes in the middle") {
  CHECK(answer_with(event("a") + event("b")).error == "no_end");
  CHECK(ask([&](const ServedRequest& r) {
          return r.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nda") && false;
        }).error == "transport");
  CHECK(ask([&](const ServedRequest&) { return false; }).error == "transport");
}

TEST_CASE("a stream without end stops at the byte limit") {
  TargetOptions options = fast();
  options.timeout_s = 20;
  options.max_answer_bytes = 1 << 20;
  const Outcome o = ask(
      [&](const ServedRequest& r) {
        if (!r.write(kOk)) return false;
        while (r.write(event(std::string(1000, 'x')))) {
        }
        return false;
      },
      options);
  CHECK(o.error == "answer_too_long");
}

TEST_CASE("tokens of 10 MB are taken, kept text stays bounded") {
  TargetOptions options = fast();
  options.timeout_s = 30;
  const Outcome o = ask(
      [&](const ServedRequest& r) {
        return r.write(kOk + event(std::string(10 << 20, 'x')) + event("y") + "data: [DONE]\n\n") && false;
      },
      options);
  CHECK(o.ok());
  CHECK(o.event_ns.size() == 2);
  CHECK(o.text.size() <= kMaxKeptText + 1);
}

TEST_CASE("wrong counts are not believed") {
  const auto usage = [](const char* n) {
    return std::string("data: {\"choices\":[],\"usage\":{\"completion_tokens\":") + n +
           "}}\n\ndata: [DONE]\n\n";
  };
  CHECK(answer_with(event("a") + usage("0")).error == "wrong_counts");
  // Impossible numbers are no numbers: events are counted instead, and the record says so.
  for (const char* n : {"-5", "1e99", "99999999999999999", "\"7\"", "null"}) {
    const Outcome o = answer_with(event("a") + event("b") + usage(n));
    CHECK(o.ok());
    CHECK(o.n_out == 2);
    CHECK(o.tokens_source == "events");
  }
}

TEST_CASE("refusals carry the status and the body's start") {
  const Outcome o = ask([&](const ServedRequest& r) {
    return r.write("HTTP/1.1 503 Busy\r\nContent-Length: 8\r\n\r\ngo away!") && false;
  });
  CHECK(o.error == "http_503");
  CHECK(o.error_detail == "go away!");
  CHECK(ask([&](const ServedRequest& r) {
          return r.write("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n") &&
                 false;
        }).error == "http_302");
}

TEST_CASE("an address nobody listens on") {
  int port;
  {
    ScriptedServer server(make_script({}));
    port = server.port();
  }
  CHECK(make_http_target("http://127.0.0.1:" + std::to_string(port), fast())->send({}, {}).error ==
        "connect");
  TargetOptions asks;
  CHECK_THROWS_AS(make_http_target("http://127.0.0.1:" + std::to_string(port), asks), ds::Error);
  CHECK_THROWS_AS(make_http_target("ftp://x", fast()), ds::Error);
}

TEST_CASE("event streams: any split of the bytes gives the same events") {
  const std::string text =
      "\xEF\xBB\xBF: comment\r\nevent: x\r\ndata: one\r\n\r\ndata:two\ndata: lines\n\nid: 7\rdata: "
      "three\r\rdata: cut";
  std::vector<std::string> whole;
  SseParser parser(1 << 10);
  CHECK(parser.feed(text, [&](std::string_view d) { return whole.emplace_back(d), true; }));
  CHECK(whole == std::vector<std::string>{"one", "two\nlines", "three"});
  for (size_t step = 1; step < 9; ++step) {
    std::vector<std::string> pieces;
    SseParser p(1 << 10);
    for (size_t i = 0; i < text.size(); i += step)
      CHECK(p.feed(std::string_view(text).substr(i, step),
                   [&](std::string_view d) { return pieces.emplace_back(d), true; }));
    CHECK(pieces == whole);
  }
  SseParser bounded(64);
  CHECK(!bounded.feed(std::string(100, 'x'), [](std::string_view) { return true; }));
  CHECK(bounded.too_long());
}

TEST_CASE("commands: stdin, placeholders, exit codes, signals, timeouts") {
  TargetOptions options;
  options.timeout_s = 10;
  Request r;
  r.prompt = "it's \"me\"; $(false)";
  CHECK(make_command_target("cat", options)->send(r, {}).text == r.prompt);
  CHECK(make_command_target("printf %s '<{prompt}>'", options)->send(r, {}).text == "<" + r.prompt + ">");
  r.max_tokens = 7;
  CHECK(make_command_target("echo {max_tokens}", options)->send(r, {}).text == "7\n");
  CHECK(make_command_target("sh -c 'echo oops >&2; exit 3'", options)->send(r, {}).error == "exit_3");
  CHECK(make_command_target("sh -c 'echo oops >&2; exit 3'", options)->send(r, {}).error_detail == "oops\n");
  CHECK(make_command_target("sh -c 'kill -9 $$'", options)->send(r, {}).error == "signal_9");
  const Outcome quiet = make_command_target("true", options)->send(r, {});
  CHECK(quiet.ok());
  CHECK(quiet.event_ns.empty());
  CHECK(quiet.peak_rss_bytes > 0);
  options.timeout_s = 0.2;
  CHECK(make_command_target("sleep 30", options)->send(r, {}).error == "timeout");
  CHECK(make_command_target("sh -c 'sleep 30 & wait'", options)->send(r, {}).error == "timeout");
  CHECK(make_command_target("sh -c 'exec >&- 2>&-; sleep 30'", options)->send(r, {}).error == "timeout");
  options.timeout_s = 10;
  CHECK(make_command_target("sleep 30", options)->send(r, [] { return true; }).error == "stopped");
  options.max_answer_bytes = 1 << 20;
  CHECK(make_command_target("yes", options)->send(r, {}).error == "answer_too_long");
  CHECK_THROWS_AS(make_command_target("/no/such/program", options)->send(r, {}), ds::Error);
  options.shell = true;
  CHECK(make_command_target("cat | wc -c", options)->send(r, {}).text ==
        std::to_string(r.prompt.size()) + "\n");
  CHECK_THROWS_AS(make_command_target("echo {prompt}", options), ds::Error);
  CHECK(split_command_line(R"(a 'b c' "d \" e" f\ g '')") ==
        std::vector<std::string>{"a", "b c", "d \" e", "f g", ""});
  CHECK_THROWS_AS(split_command_line("a 'b"), ds::Error);
  CHECK_THROWS_AS(split_command_line("  "), ds::Error);
}
