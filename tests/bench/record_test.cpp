#include "bench/records/record.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bench/records/embedded.h"
#include "bench/records/environment.h"
#include "bench/stats/metric.h"
#include "bench/stats/stats.h"
#include "core/error.h"
#include "core/json_value.h"
#include "report/html.h"

using namespace ds;
using namespace ds::bench;

namespace {
RecordSet parse(const std::string& line) {
  RecordSet set;
  RecordReader(set).add(line, "test:1");
  return set;
}
}  // namespace

TEST_CASE("a request survives writing and reading") {
  RequestRecord r;
  r.id = "r1", r.arm = "b", r.point = "c=4", r.block = 3, r.segment = 1;
  r.t_plan_ns = 5, r.t_send_ns = 10, r.t_first_ns = 30, r.t_last_ns = 90, r.t_done_ns = 100;
  r.gaps_ns = {20, 40}, r.n_in = 7, r.n_out = 3, r.tokens_source = "server", r.finish = "stop";
  const RecordSet set = parse(dump(to_json(r)));
  REQUIRE(set.requests.size() == 1);
  CHECK(dump(to_json(set.requests[0])) == dump(to_json(r)));
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
       {"{", "[]", "3", "{}", R"({"type":"request"})", R"({"type":"request","t_send_ns":0,"t_done_ns":1.5})",
        R"({"type":"request","t_send_ns":9,"t_done_ns":5})",
        R"({"type":"request","t_send_ns":0,"t_done_ns":5,"gaps_ns":["x"]})",
        R"({"type":"request","t_send_ns":0,"t_done_ns":9223372036854775807})",
        R"({"type":"request","t_done_ns":5})", R"({"e2e_ms":-1})", R"({"e2e_ms":1,"ttft_ms":2})",
        R"({"e2e_ms":"1"})"})
    CHECK_THROWS_AS(parse(line), ds::Error);
  CHECK(parse(R"({"type":"from the future"})").requests.empty());
}

TEST_CASE("timings of another program are requests one after the other") {
  RecordSet set;
  RecordReader reader(set);
  reader.add(R"({"id":"x","timings":{"ttft_ms":2,"e2e_ms":5,"gaps_ms":[1,2],"n_out":3}})", "t:1");
  reader.add(R"({"e2e_ms":7.5,"usage":{"prompt_tokens":4,"completion_tokens":9}})", "t:2");
  REQUIRE(set.requests.size() == 2);
  CHECK(set.requests[0].id == "x");
  CHECK(set.requests[0].n_events() == 3);
  CHECK(*metric_ms(set.requests[0], Metric::kTpot, Clock::kSvc) == doctest::Approx(1.5));
  CHECK(set.requests[1].t_send_ns == 5000000);
  CHECK(set.requests[1].n_in == 4);
  CHECK(!metric_ms(set.requests[1], Metric::kTtft, Clock::kSvc));
}

TEST_CASE("records of strangers: other order, absent fields, whole numbers as decimals") {
  const auto one = [](const std::string& line) { return parse(line).requests.at(0); };
  // Without the last event's time the gaps lead to it; without gaps the end stands for it.
  RequestRecord r = one(
      R"({"t_done_ns":90.0,"type":"request","gaps_ns":[10,20],"t_first_ns":40,"t_send_ns":10,"id":7,"n_out":3})");
  CHECK(r.id == "7");
  CHECK(r.t_last_ns == 70);
  CHECK(*metric_ms(r, Metric::kTpot, Clock::kSvc) == doctest::Approx(15e-6));
  r = one(R"({"type":"request","t_send_ns":10,"t_first_ns":40,"t_done_ns":90,"n_out":3})");
  CHECK(*metric_ms(r, Metric::kTpot, Clock::kSvc) == doctest::Approx(25e-6));
  // All tokens in one event: time per token is not zero but unknown.
  r = one(R"({"type":"request","t_send_ns":0,"t_first_ns":40,"t_last_ns":40,"t_done_ns":90,"n_out":3})");
  CHECK(!metric_ms(r, Metric::kTpot, Clock::kSvc));
  for (const char* bad :
       {R"({"type":"request","t_send_ns":0,"t_first_ns":40,"t_done_ns":90,"gaps_ns":[-1]})",
        R"({"type":"request","t_send_ns":0,"t_first_ns":40,"t_done_ns":90,"gaps_ns":[60]})",
        R"({"type":"request","t_send_ns":0,"t_first_ns":40,"t_last_ns":95,"t_done_ns":90})",
        R"({"type":"request","t_send_ns":0,"t_first_ns":-5,"t_done_ns":90})",
        R"({"type":"request","t_send_ns":0,"t_done_ns":90,"gaps_ns":[4]})",
        R"({"type":"request","t_send_ns":0,"t_done_ns":90,"n_out":-2})", R"({"e2e_ms":5,"ttft_ms":-1})"})
    CHECK_THROWS_AS(parse(bad), ds::Error);
}

TEST_CASE("runs stay apart, shards of one plan meet, and a set's text reads back the same") {
  const std::string shard = R"({"type":"header","plan":{"hash":"h"},"target":{"kind":"cmd"},"shard":")";
  const std::string request = R"({"type":"request","t_send_ns":0,"t_done_ns":5,"id":")";
  RecordSet set;
  RecordReader reader(set);
  for (const char* i : {"0/2", "1/2"}) {
    reader.begin_file(i);
    reader.add(shard + i + "\"}", "t");
    reader.add(request + i + "\"}", "t");
  }
  reader.begin_file("other");
  reader.add(R"({"type":"header","plan":{"hash":"h"},"target":{"kind":"cmd"}})", "t");
  reader.add(request + "o\"}", "t");
  reader.begin_file("stranger");
  reader.add(R"({"e2e_ms":5})", "t");
  REQUIRE(set.runs.size() == 3);
  const auto groups = summarize(set, {});
  REQUIRE(groups.size() == 3);
  CHECK(groups[0].n == 2);
  CHECK(groups[0].wall_s == doctest::Approx(10e-9));  // two clocks
  CHECK(group_name(set, groups[2]) == "stranger");
  RecordSet again;
  RecordReader second(again);
  const std::string text = records_text(set);
  for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    second.add(std::string_view(text).substr(at, text.find('\n', at) - at), "t");
  CHECK(again.runs.size() == 3);
  CHECK(records_text(again) == text);
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

TEST_CASE("durations in every unit; a value equal to its limit meets it") {
  for (const auto& [text, ms] :
       {std::pair("250us", 0.25), {"5ms", 5.0}, {"1.5s", 1500.0}, {"2m", 120'000.0}, {"1h", 3.6e6}})
    CHECK(parse_duration_ms(text, "") == doctest::Approx(ms));
  for (const char* bad : {"", "5", "ms", "5 ms", "-1s", "nan s", "infs", "1d"})
    CHECK_THROWS_AS(parse_duration_ms(bad, ""), ds::Error);
  RequestRecord r;
  r.t_first_ns = 5'000'000, r.t_done_ns = 9'000'000;
  CHECK(meets(r, parse_objectives("ttft=5ms,e2e=9ms", ""), Clock::kSvc));
  CHECK(!meets(r, parse_objectives("ttft=4999us", ""), Clock::kSvc));
  CHECK(!meets(r, parse_objectives("e2e=8.9ms", ""), Clock::kSvc));
}

TEST_CASE("embedded records come back through HTML escapes") {
  const std::string line = "{\"a\":\"<b> & \\\"c\\\" &lt;\"}\n";
  const std::string page =
      "<p>x</p>" + std::string(kRecordsBegin) + ds::report::escape_html(line) + std::string(kRecordsEnd);
  CHECK(embedded_records(page, "p") == line);
  CHECK_THROWS_AS(embedded_records("<p>", "p"), ds::Error);
}
