// The small values everybody meets: Json, DType, Error, what the machine says.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "core/clock.h"
#include "core/cpu.h"
#include "core/dtype.h"
#include "core/error.h"
#include "core/json_value.h"

using namespace ds;

TEST_CASE("Json dumps compact text, members in the order they came") {
  Json j;
  j["z"] = 1;
  j["a"] = Json::array_t{true, nullptr, "x", 2.5, int64_t{-9}};
  j["z"] = 3;
  CHECK(dump(j) == R"({"z":3,"a":[true,null,"x",2.5,-9]})");
  CHECK(dump(Json()) == "null");
  CHECK(dump(Json::object()) == "{}");
  CHECK(dump(Json::array()) == "[]");
  CHECK(find(j, "a")->size() == 5);
  CHECK(find(j, "b") == nullptr);
  CHECK(find(Json(1), "a") == nullptr);
}

TEST_CASE("strings are escaped as JSON demands, broken bytes become U+FFFD") {
  const auto dump = [](std::string_view s) { return ds::dump(Json(s)); };
  CHECK(dump("a\"b\\c/d") == R"("a\"b\\c/d")");
  CHECK(dump("\n\r\t\b\f") == R"("\n\r\t\b\f")");
  CHECK(dump(std::string_view("\0\x01\x1f\x7f", 4)) == R"("\u0000\u0001\u001f\u007f")");
  CHECK(dump("中文 \xF0\x9F\x98\x80") == "\"中文 \xF0\x9F\x98\x80\"");
  CHECK(dump("a\xFFz\xE4\xB8") == "\"a\uFFFDz\uFFFD\"");
}

TEST_CASE("numbers: shortest text that reads back the same, null when not finite") {
  const auto dump = [](double v) { return ds::dump(Json(v)); };
  CHECK(dump(0.1) == "0.1");
  CHECK(dump(-2.0) == "-2.0");  // stays a double
  CHECK(dump(111111111111115111115.0).back() == '0');
  CHECK(dump(1e300) == "1e+300");
  CHECK(dump(std::nan("")) == "null");
  CHECK(dump(-HUGE_VAL) == "null");
  for (const double v : {1e-308, 5e-324, 1.7976931348623157e308, 1.0 / 3, 123456789.123456789})
    CHECK(std::strtod(dump(v).c_str(), nullptr) == v);
  std::string text;
  append_json_number(text, 0.1f);  // a float's shortest text, not the double's it equals
  CHECK(text == "0.1");
  CHECK(ds::dump(Json(std::numeric_limits<int64_t>::min())) == "-9223372036854775808");
}

TEST_CASE("dtype names round-trip, sizes are known") {
  for (int i = 0; i < static_cast<int>(DType::kUnknown); ++i) {
    const auto dtype = static_cast<DType>(i);
    CHECK(dtype_from_name(dtype_name(dtype)) == dtype);
    CHECK(dtype_bytes(dtype) > 0);
  }
  CHECK(dtype_from_name("F8_E4M3") == DType::kF8E4M3);
  CHECK(dtype_from_name("f32") == DType::kUnknown);
  CHECK(dtype_from_name("") == DType::kUnknown);
  CHECK(dtype_bytes(DType::kUnknown) == 0);
}

TEST_CASE("an error says where, what and what to do; its kind is the exit code") {
  const Error e(ErrorKind::kBadData, "no object", "in.jsonl:3", "one record a line");
  CHECK(e.message() == "in.jsonl:3: no object (one record a line)");
  CHECK(static_cast<int>(e.kind()) == 65);
  CHECK(Error(ErrorKind::kIo, "failed", "").message() == "failed");
  CHECK_THROWS_AS(DS_CHECK(1 + 1 == 3), Error);
  CHECK_NOTHROW(DS_CHECK(1 + 1 == 2));
}

TEST_CASE("the machine: a level that is not there is refused by name") {
  CHECK(isa_available(Isa::kScalar));
  CHECK(parse_isa("scalar") == Isa::kScalar);
  CHECK(parse_isa("auto") == best_isa());
  CHECK_THROWS_AS(parse_isa("avx9"), Error);
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    if (isa_available(isa)) {
      CHECK(parse_isa(isa_name(isa)) == isa);
    } else {
      CHECK_THROWS_AS(parse_isa(isa_name(isa)), Error);
    }
  }
  CHECK(default_threads().n_threads >= 1);
  CHECK(default_threads().n_threads <= available_processors());
  CHECK(!default_threads().reason.empty());
  CHECK(available_memory_bytes() > 0);
  CHECK(peak_rss_bytes() > 1 << 20);
  const int64_t start = now_ns();
  CHECK(now_ns() >= start);
}

TEST_CASE("SLURM_CPUS_PER_TASK lowers the default, nonsense in it does not") {
  const int all = default_threads().n_threads;
  ::setenv("SLURM_CPUS_PER_TASK", "1", 1);
  CHECK(default_threads().n_threads == 1);
  for (const char* nonsense : {"", "x", "-4", "0", "999999"}) {
    ::setenv("SLURM_CPUS_PER_TASK", nonsense, 1);
    CHECK(default_threads().n_threads == all);
  }
  ::unsetenv("SLURM_CPUS_PER_TASK");
}
