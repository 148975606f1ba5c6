#include "bench/record.h"

#include <doctest/doctest.h>

#include "bench/html_text.h"
#include "bench/metric.h"
#include "core/error.h"

using namespace ds::bench;

namespace {
RecordSet parse(const std::string& line) {
  RecordSet set;
  add_record_line(set, line, "test:1");
  return set;
}
}  // namespace

TEST_CASE("a request survives writing and reading") {
  RequestRecord r;
  r.id = "r1", r.arm = "b", r.point = "c=4", r.block = 3, r.segment = 1;
  r.t_plan_ns = 5, r.t_send_ns = 10, r.t_first_ns = 30, r.t_last_ns = 90, r.t_done_ns = 100;
  r.gaps_ns = {20, 40}, r.n_in = 7, r.n_out = 3, r.tokens_source = "server", r.finish = "stop";
  const RecordSet set = parse(to_json(r).dump());
  REQUIRE(set.requests.size() == 1);
  CHECK(to_json(set.requests[0]).dump() == to_json(r).dump());
  CHECK(*metric_ms(r, Metric::kTtft, Clock::kSvc) == doctest::Approx(20e-6));
  CHECK(*metric_ms(r, Metric::kTtft, Clock::kResp) == doctest::Approx(25e-6));
  CHECK(*metric_ms(r, Metric::kTpot, Clock::kSvc) == doctest::Approx(30e-6));
  CHECK(*metric_ms(r, Metric::kE2e, Clock::kSvc) == doctest::Approx(90e-6));
  CHECK(metric_values({&r}, Metric::kItl, Clock::kSvc).size() == 2);
  r.n_out = 1;
  CHECK(!metric_ms(r, Metric::kTpot, Clock::kSvc));  // undefined, not zero
  r.error = "timeout";
  CHECK(!metric_ms(r, Metric::kE2e, Clock::kSvc));
}

TEST_CASE("malformed records are errors that name the line") {
  for (const char* line :
       {"{", "[]", "3", "{}", R"({"type":"request"})", R"({"type":"request","t_done_ns":1.5})",
        R"({"type":"request","t_send_ns":9,"t_done_ns":5})",
        R"({"type":"request","t_done_ns":5,"gaps_ns":["x"]})",
        R"({"type":"request","t_done_ns":9223372036854775807})", R"({"type":"request","t_done_ns":5,"id":7})",
        R"({"e2e_ms":-1})", R"({"e2e_ms":1,"ttft_ms":2})", R"({"e2e_ms":"1"})"})
    CHECK_THROWS_AS(parse(line), ds::Error);
  CHECK(parse(R"({"type":"from the future"})").requests.empty());
}

TEST_CASE("timings of another program are requests one after the other") {
  RecordSet set;
  add_record_line(set, R"({"id":"x","timings":{"ttft_ms":2,"e2e_ms":5,"gaps_ms":[1,2],"n_out":3}})", "t:1");
  add_record_line(set, R"({"e2e_ms":7.5,"usage":{"prompt_tokens":4,"completion_tokens":9}})", "t:2");
  REQUIRE(set.requests.size() == 2);
  CHECK(set.requests[0].id == "x");
  CHECK(set.requests[0].n_events() == 3);
  CHECK(*metric_ms(set.requests[0], Metric::kTpot, Clock::kSvc) == doctest::Approx(1.5));
  CHECK(set.requests[1].t_send_ns == 5000000);
  CHECK(set.requests[1].n_in == 4);
  CHECK(!metric_ms(set.requests[1], Metric::kTtft, Clock::kSvc));
}

TEST_CASE("objectives") {
  const auto o = parse_objectives("ttft=200ms@p99,tpot=0.05s@p99.9", "--slo");
  REQUIRE(o.size() == 2);
  CHECK(o[0].share == doctest::Approx(0.99));
  CHECK(o[1].limit_ms == doctest::Approx(50));
  CHECK(o[1].share == doctest::Approx(0.999));
  for (const char* bad : {"", "ttft", "ttft=", "ttft=5", "x=5ms", "ttft=5ms@99", "ttft=5ms@p0",
                          "ttft=5ms@p100", "ttft=-5ms", "ttft=5ms,"})
    CHECK_THROWS_AS(parse_objectives(bad, "--slo"), ds::Error);
}

TEST_CASE("embedded records come back through HTML escapes") {
  const std::string line = "{\"a\":\"<b> & \\\"c\\\" &lt;\"}\n";
  const std::string page =
      "<p>x</p>" + std::string(kRecordsBegin) + escape_html(line) + std::string(kRecordsEnd);
  CHECK(embedded_records(page, "p") == line);
  CHECK_THROWS_AS(embedded_records("<p>", "p"), ds::Error);
}
