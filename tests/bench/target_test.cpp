// Targets against friendly and hostile counterparts. No test looks at how long something took, except that it
// ended.
#include "bench/targets/target.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <cstdlib>
#include <mutex>
#include <thread>

#include "bench/load/load.h"
#include "bench/records/record.h"
#include "bench/records/redact.h"
#include "bench/targets/scripted_server.h"
#include "bench/targets/sse.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/json_value.h"
#include "io/files.h"
#include "io/json.h"
#include "skip.h"

using namespace ds;
using namespace ds::bench;

namespace {

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

std::string event(const std::string& content) {
  return "data: {\"choices\":[{\"delta\":{\"content\":\"" + content + "\"}}]}\n\n";
}

const std::string kTinyModel = DS_SOURCE_DIR "/data/dsv3-tiny";

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
  CHECK(as_string(*find(target->describe(), "model")) == "scripted");
  Request r;
  r.prompt = "x";
  CHECK(target->send(r, {}).ok());
  CHECK(target->send(r, {}).ok());  // on the kept connection
}

TEST_CASE("slow loris: a server that dribbles headers or a body for ever ends at the timeout") {
  TargetOptions options = fast();
  options.timeout_s = 0.3;
  for (const bool in_body : {false, true}) {
    const Outcome o = ask(
        [&](const ServedRequest& r) {
          if (in_body && !r.write(kOk)) return false;
          if (!in_body && !r.write("HTTP/1.1 200 OK\r\nX-Slow: ")) return false;
          for (int i = 0; i < 1000 && r.write("x"); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
          return false;
        },
        options);
    CHECK(o.error == "timeout");
  }
}

TEST_CASE("garbage instead of events") {
  CHECK(answer_with("data: {not json\n\n").error == "bad_stream");
  CHECK(answer_with("data: 42\n\n").error == "bad_stream");
  CHECK(answer_with("data: {}\n\n").error == "no_content");  // a ping alone
  CHECK(answer_with(std::string("\0\xff\xfe binary \x80", 12)).error == "no_content");
  CHECK(answer_with("<html>hello</html>").error == "no_content");
  CHECK(answer_with("").error == "no_content");
  CHECK(answer_with("data: {\"error\":{\"message\":\"overloaded\"}}\n\n").error_detail == "overloaded");
  // Deep nesting must not reach the stack's end.
  CHECK(answer_with("data: " + std::string(100000, '[') + "\n\n").error == "bad_stream");
}

TEST_CASE("keep-alives, halves of a character, tool calls, reasoning, errors in a stream") {
  const std::string end = "data: [DONE]\n\n";
  const auto delta = [](const std::string& members) {
    return "data: {\"choices\":[{\"delta\":{" + members + "}}]}\n\n";
  };
  Outcome o =
      answer_with("data:\n\n: hello\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n" + event("a") + end);
  CHECK(o.ok());
  CHECK(o.event_ns.size() == 1);
  o = answer_with(delta("\"content\":\"smile \\ud83d\"") + delta("\"content\":\"\\ude00 end\"") + end);
  CHECK(o.ok());
  CHECK(o.text == "smile \xF0\x9F\x98\x80 end");
  o = answer_with(delta("\"content\":\"\\ud83d\"") + delta("\"content\":\"x\"") +
                  delta("\"content\":\"\\\\ud83d\"") + end);
  CHECK(o.ok());
  CHECK(o.text == "x\\ud83d");  // the second is an escaped backslash
  o = answer_with(delta("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\"}}]") +
                  delta("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"}\"}}]") + end);
  CHECK(o.ok());
  CHECK(o.event_ns.size() == 2);
  o = answer_with(delta("\"reasoning_content\":\"41?\"") + delta("\"content\":\"42\"") + end);
  CHECK(o.text == "42");
  CHECK(o.event_ns.size() == 2);
  CHECK(o.t_answer_ns == o.event_ns[1]);
  CHECK(answer_with(event("a") + end).t_answer_ns == -1);
  o = answer_with(event("a") + "data: {\"object\":\"error\",\"message\":\"died\",\"code\":500}\n\n" + end);
  CHECK(o.error == "server_error");
  CHECK(o.error_detail == "died");
  // Named by the event, by the finish, or in the choice: none of them is an answer.
  for (const auto& [body, detail] :
       {std::pair("event: error\ndata: {\"message\":\"engine dead\"}\n\n", "engine dead"),
        {"event: error\ndata: out of memory\n\n", "out of memory"},
        {"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\n",
         "the answer ended with finish_reason \"error\""},
        {"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"abort\"}]}\n\n",
         "the answer ended with finish_reason \"abort\""},
        {"data: {\"choices\":[{\"error\":{\"message\":\"lost\"},\"finish_reason\":\"error\"}]}\n\n",
         "lost"}}) {
    o = answer_with(event("a") + body + end);
    CHECK(o.error == "server_error");
    CHECK(o.error_detail == detail);
  }
  CHECK(answer_with("event: error\ndata: {\"message\":\"x\"}\n\n" + event("a") + end).error ==
        "server_error");
  CHECK(answer_with("event: message\n" + event("a") + end).ok());
}

TEST_CASE("lists of parts, refusals, answers of no token, reasoning inside of the text") {
  const std::string end = "data: [DONE]\n\n";
  const auto delta = [](const std::string& members) {
    return "data: {\"choices\":[{\"delta\":{" + members + "}}]}\n\n";
  };
  Outcome o = answer_with(
      delta("\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"hm\"}]}]") +
      delta("\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]") + end);
  CHECK(o.ok());
  CHECK(o.text == "ab");
  CHECK(o.event_ns.size() == 2);
  CHECK(o.t_answer_ns == o.event_ns[1]);
  CHECK(answer_with(delta("\"refusal\":\"I cannot\"") + delta("\"refusal\":\" help\"") + end).text ==
        "I cannot help");
  o = answer_with(delta("\"role\":\"assistant\",\"content\":\"\"") +
                  "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n" + end);
  CHECK(o.ok());
  CHECK(o.n_out == 0);  // said by the summary of a run
  // The first token of the answer, wherever the tags are cut, and where the template has opened them.
  for (const std::vector<std::string>& pieces :
       std::vector<std::vector<std::string>>{{"<think>", "r", "</think>", "\\n", "x"},
                                             {" <th", "ink>r", "</thi", "nk> ", "x"},
                                             {"r", "r", "r", "</think>", "x"}}) {
    std::string body;
    for (const std::string& piece : pieces) body += event(piece);
    o = answer_with(body + end);
    REQUIRE(o.event_ns.size() == 5);
    CHECK(o.t_answer_ns == o.event_ns[4]);
  }
  CHECK(answer_with(event("<think>r") + event("r") + end).t_answer_ns == -1);
  o = answer_with(event("<") + event("b>") + end);
  CHECK(o.t_answer_ns == -1);  // no reasoning
}

TEST_CASE("what a server does with its connection after [DONE] is no part of the answer") {
  for (const bool times_out : {false, true}) {
    const Outcome o = ask([&](const ServedRequest& r) {
      r.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + event("a") + "data: [DONE]\n\n");
      std::this_thread::sleep_for(std::chrono::milliseconds(times_out ? 1500 : 300));
      return false;
    });
    CHECK(o.ok());
    CHECK(o.t_done_ns - o.event_ns[0] < 250'000'000);
  }
}

TEST_CASE("the base of an address, what a prompt file adds, and whole conversations arrive at the server") {
  std::vector<ServedRequest> seen;
  std::mutex mutex;
  ScriptedServer server([&](const ServedRequest& r) {
    const std::lock_guard lock(mutex);
    seen.push_back(r);
    return r.write(kOk + event("said") + "data: [DONE]\n\n") && false;
  });
  TargetOptions options = fast();
  options.model_name = "m";
  for (const auto& [given, path] : {std::pair("", "/v1/chat/completions"),
                                    {"/", "/v1/chat/completions"},
                                    {"/v1", "/v1/chat/completions"},
                                    {"/api/paas/v4/", "/api/paas/v4/chat/completions"},
                                    {"/v1beta/openai", "/v1beta/openai/chat/completions"},
                                    {"/v1/chat/completions", "/v1/chat/completions"},
                                    {"/v1/completions", "/v1/completions"},
                                    {"/d?api-version=1", "/d/chat/completions?api-version=1"}}) {
    seen.clear();
    CHECK(make_http_target(server.url() + given, options)->send({}, {}).ok());
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].path == path);
  }
  for (const char* scheme : {"HTTP", "Http"})
    CHECK(make_http_target(scheme + server.url().substr(4), options)->send({}, {}).ok());
  seen.clear();
  const std::string file = "server_members_test.jsonl";
  {
    ds::io::AtomicFile prompts(file);
    prompts.write(
        "{\"turns\":[\"one\",\"two\"],\"top_p\":0.5,\"stop\":[\"x\"],\"tools\":[{\"type\":\"function\"}],"
        "\"extra_body\":{\"lora\":\"l\"},\"headers\":{\"X-Team\":\"blue\"},\"category\":\"c\"}\n");
    prompts.commit();
  }
  PlanOptions p;
  p.prompts_path = file;
  p.n_requests = 1, p.warmup = 0;
  const auto target = make_http_target(server.url(), options);
  run_load({target.get()}, make_plan(p), {});
  std::remove(file.c_str());
  REQUIRE(seen.size() == 2);
  const ds::Json body = ds::io::parse_json(seen[1].body, "body");
  CHECK(find(body, "top_p")->get<double>() == 0.5);
  CHECK(find(body, "stop"));
  CHECK(find(body, "tools"));
  CHECK(find(body, "lora"));
  CHECK(!find(body, "category"));
  CHECK(seen[1].head.find("X-Team: blue") != std::string::npos);
  const auto& messages = find(body, "messages")->get_ref<const ds::Json::array_t&>();
  REQUIRE(messages.size() == 3);
  CHECK(as_string(*find(messages[1], "content")) == "said");
  CHECK(as_string(*find(messages[2], "content")) == "two");
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

TEST_CASE("chunking: bytes one at a time, many events in one piece, CR LF, comments") {
  const std::string lf = ": hello\n\nevent: message\nid: 1\n" + event("a") + ": keep-alive\n\n" + event("b") +
                         "retry: 5\n\n" + event("c") + "data: [DONE]\n\n";
  std::string crlf;
  for (const char c : lf) crlf += c == '\n' ? "\r\n" : std::string(1, c);
  for (const std::string& body : {lf, crlf})
    for (const size_t step : {size_t{1}, size_t{7}, body.size()}) {
      const Outcome o = ask([&](const ServedRequest& r) {
        if (!r.write(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"))
          return false;
        for (size_t at = 0; at < body.size(); at += step) {
          const std::string piece = body.substr(at, step);
          char size[24];
          std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
          if (!r.write(size + piece + "\r\n")) return false;
        }
        return r.write("0\r\n\r\n") && false;
      });
      CHECK(o.error == "");
      CHECK(o.text == "abc");
      CHECK(o.event_ns.size() == 3);
    }
}

TEST_CASE("no [DONE]: an answer that states its finish is whole, one that does not was cut") {
  const std::string finish = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
  CHECK(answer_with(event("a") + finish).ok());
  CHECK(answer_with(event("a") + finish).finish == "stop");
  CHECK(answer_with(event("a")).error == "no_end");
  CHECK(answer_with(event("a")).error_detail.find("may be cut") != std::string::npos);
}

TEST_CASE("a connection that is reset, before the answer and within it") {
  for (const bool within : {false, true}) {
    const Outcome o = ask([&](const ServedRequest& r) {
      if (within && !r.write(kOk + event("a"))) return false;
      // Closing with no time to linger sends a reset.
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      const linger at_once{1, 0};
      ::setsockopt(r.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      return false;
    });
    CHECK(o.error == "transport");
    CHECK(o.error_detail.find("reset") != std::string::npos);
    CHECK(o.event_ns.size() == (within ? 1 : 0));
  }
}

TEST_CASE("an answer in one piece instead of a stream is refused as such") {
  const std::string body = R"({"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]})";
  const Outcome o = ask([&](const ServedRequest& r) {
    return r.write("HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: " +
                   std::to_string(body.size()) + "\r\n\r\n" + body) &&
           false;
  });
  CHECK(o.error == "no_stream");
  CHECK(o.error_detail.find("\"content\":\"hi\"") != std::string::npos);
  const std::string error = R"({"error":{"message":"no such model","code":404}})";
  const Outcome said = ask([&](const ServedRequest& r) {
    return r.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                   std::to_string(error.size()) + "\r\n\r\n" + error) &&
           false;
  });
  CHECK(said.error == "server_error");
  CHECK(said.error_detail == "no such model");
}

TEST_CASE("refusals carry the status, what the server advises, and the body's start") {
  const auto refused = [](const std::string& status, const std::string& fields, const std::string& body) {
    int64_t n = 0;
    const Outcome o = ask([&](const ServedRequest& r) {
      ++n;
      return r.write("HTTP/1.1 " + status + "\r\n" + fields +
                     "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body) &&
             false;
    });
    CHECK(n == 1);  // a repetition would be load that the plan does not know
    return o;
  };
  Outcome o = refused("503 Busy", "", "go away!");
  CHECK(o.error == "http_503");
  CHECK(o.error_detail == "go away!");
  o = refused("429 Too Many Requests", "Retry-After: 7\r\n", "slow down");
  CHECK(o.error == "http_429");
  CHECK(o.error_detail == "retry after 7 s; slow down");
  o = refused("500 Oops", "Retry-After: soon\r\n", std::string(5000, 'x'));
  CHECK(o.error == "http_500");
  CHECK(o.error_detail == std::string(300, 'x'));
  o = refused("307 Moved", "Location: /elsewhere/v1/chat/completions\r\n", "");
  CHECK(o.error == "http_307");
  CHECK(o.error_detail.find("/elsewhere/v1/chat/completions") != std::string::npos);
  CHECK(o.error_detail.ends_with(", give that as --url"));
  CHECK(refused("302 Found", "Location: file:///etc/passwd\r\n", "").error == "http_302");
  // Bytes that are no text still make a record that reads back.
  RequestRecord record;
  record.error_detail = refused("500 Oops", "", "\xff\xfe\x80 \xe2\x82").error_detail;
  record.error = "http_500";
  CHECK_NOTHROW(ds::io::parse_json(dump(to_json(record)), "record"));
}

TEST_CASE("IPv6 addresses") {
  std::unique_ptr<ScriptedServer> server;
  try {
    server = std::make_unique<ScriptedServer>(make_script({}), 0, true);
  } catch (const ds::Error&) {
    ds::test::skip_test("this machine has no IPv6 loopback");
    return;
  }
  CHECK(server->url().starts_with("http://[::1]:"));
  TargetOptions options;
  const auto target = make_http_target(server->url(), options);
  CHECK(as_string(*find(target->describe(), "url")) == server->url() + "/v1");
  CHECK(target->send({}, {}).ok());
}

TEST_CASE("https to a server without TLS is said at once") {
  ScriptedServer server(make_script({}));
  const std::string url = "https" + server.url().substr(4);
  CHECK(make_http_target(url, fast())->send({}, {}).error == "tls");
  TargetOptions asks;
  asks.timeout_s = 5;
  try {
    make_http_target(url, asks);
    FAIL("not refused");
  } catch (const ds::Error& e) {
    CHECK(e.kind() == ds::ErrorKind::kNoInput);
    CHECK(e.hint().find("http://") != std::string::npos);
  }
  CHECK_THROWS_AS(make_http_target("http://", asks), ds::Error);
}

TEST_CASE("a bearer token is sent, and shows nowhere") {
  const std::string path = "target_test_key";
  {
    ds::io::AtomicFile file(path);
    file.write("s3cr3t-token-value\n");
    file.commit();
  }
  TargetOptions options = fast();
  options.api_key_file = path;
  // The server answers with the head of what it got, as a proxy's error page does.
  std::string sent;
  ScriptedServer server([&](const ServedRequest& r) {
    sent = r.head;
    const std::string body = "you said: " + r.head;
    return r.write("HTTP/1.1 401 No\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body) &&
           false;
  });
  const auto target = make_http_target("http://user:pa55@" + server.url().substr(7), options);
  const Outcome o = target->send({}, {});
  std::remove(path.c_str());
  CHECK(sent.find("Authorization: Bearer s3cr3t-token-value") != std::string::npos);
  CHECK(o.error == "http_401");
  CHECK(o.error_detail.find("you said") != std::string::npos);
  CHECK(o.error_detail.find("s3cr3t") == std::string::npos);
  CHECK(dump(target->describe()).find("pa55") == std::string::npos);
}

TEST_CASE("command lines and addresses are written down without their secrets") {
  for (const auto& [given, kept] : std::initializer_list<std::pair<const char*, const char*>>{
           {"https://me:pw@host:8/v1", "https://***@host:8/v1"},
           {"https://token@host/a@b", "https://***@host/a@b"},
           {"http://host/a@b", "http://host/a@b"},
           {"curl -H 'Authorization: Bearer abc.def' http://h/", "curl -H 'Authorization: ***' http://h/"},
           {"curl -H \"authorization: Basic eDp5\" x", "curl -H \"authorization: ***\" x"},
           {"curl -H X-Api-Key:abc x", "curl -H X-Api-Key:*** x"},
           {"curl --oauth2-bearer abc x", "curl --oauth2-bearer *** x"},
           {"Authorization: Bearer abc def", "Authorization: ***"},
           {"Bearer abc", "Bearer ***"},
           {"env OPENAI_API_KEY=sk-1 HF_TOKEN='hf 2' prog", "env OPENAI_API_KEY=*** HF_TOKEN='***' prog"},
           {"prog --api-key sk-1 --seed 1", "prog --api-key *** --seed 1"},
           {"prog --password=x", "prog --password=***"},
           {"{\"api_key\": \"sk-1\", \"n\": 2}", "{\"api_key\": \"***\", \"n\": 2}"},
           {"llama-cli -m x.gguf --max-tokens 5 -n {max_tokens}",
            "llama-cli -m x.gguf --max-tokens 5 -n {max_tokens}"},
           {"the key to the house", "the key to the house"},
           {"--api-key-file /etc/key", "--api-key-file /etc/key"},
           {"", ""}})
    CHECK(redacted(std::string(given)) == kept);
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

TEST_CASE("the engine answers several clients in the same steps, each as it would alone") {
  constexpr int kClients = 4, kEach = 3;
  TargetOptions options;
  options.context_tokens = 256;
  const auto request = [](int client, int i) {
    Request r;
    r.id = std::to_string(client) + "." + std::to_string(i);
    r.prompt = "Tell me about a penguin, a panda and " + std::to_string(client * kEach + i) + " bears.";
    r.max_tokens = 4 + 5 * client + i;
    r.ignore_eos = true;
    r.temperature = i % 2;
    r.seed = static_cast<uint64_t>(client);
    return r;
  };
  options.concurrency = 3;  // one waits
  const auto shared = make_engine_target(kTinyModel, options);
  CHECK(as_int(shared->describe()["max_sequences"]) == 3);
  Outcome got[kClients][kEach];
  {
    std::vector<std::jthread> threads;
    for (int c = 0; c < kClients; ++c)
      threads.emplace_back([&, c] {
        for (int i = 0; i < kEach; ++i) got[c][i] = shared->send(request(c, i), {});
      });
  }
  options.concurrency = 1;
  const auto alone = make_engine_target(kTinyModel, options);
  for (int c = 0; c < kClients; ++c)
    for (int i = 0; i < kEach; ++i) {
      const Outcome want = alone->send(request(c, i), {});
      CHECK(got[c][i].error == "");
      CHECK(got[c][i].n_out == 4 + 5 * c + i);
      CHECK(got[c][i].text == want.text);
      CHECK(got[c][i].t_send_ns <= got[c][i].event_ns.front());
      CHECK(got[c][i].event_ns.back() <= got[c][i].t_done_ns);
    }
  Request too_long = request(0, 0);
  for (int i = 0; i < 200; ++i) too_long.prompt += " bear";
  CHECK(shared->send(too_long, {}).error == "bad_request");
  CHECK(shared->send(request(0, 0), [] { return true; }).error == "stopped");
  CHECK(shared->send(request(1, 1), {}).text == got[1][1].text);
}
