#include "core/json_members.h"

#include <doctest/doctest.h>

#include "core/json_value.h"

using namespace ds;

namespace {

Json object_of(Json::object_t members) { return Json(std::move(members)); }

// What the refusal says.
template <class F>
std::string refusal(F&& ask) {
  try {
    ask();
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kBadModel);
    return e.message();
  }
  return "";
}

}  // namespace

TEST_CASE("members are checked by type; absent and null are none") {
  const Json json = object_of({{"s", "x"},
                               {"b", true},
                               {"n", 1.5},
                               {"i", 4},
                               {"neg", -1},
                               {"null", Json()},
                               {"list", Json::array_t{1}},
                               {"object", Json::object()}});
  const std::string where = "f:3";
  const JsonMembers m(json, where, ErrorKind::kBadModel);
  CHECK(*m.string("s") == "x");
  CHECK(m.boolean("b") == true);
  CHECK(m.number("n") == 1.5);
  CHECK(m.number("i") == 4.0);
  CHECK(m.integer("neg") == -1);
  CHECK(m.count("i") == 4);
  CHECK(m.list("list")->size() == 1);
  CHECK(m.object("object")->is_object());
  for (const char* none : {"null", "absent"}) {
    CHECK(m.find(none) == nullptr);
    CHECK(m.string(none) == nullptr);
    CHECK(!m.number(none));
    CHECK(m.list(none) == nullptr);
  }
  CHECK(refusal([&] { m.string("i"); }) == "f:3: \"i\" must be a string");
  CHECK(refusal([&] { m.boolean("s"); }) == "f:3: \"s\" must be true or false");
  CHECK(refusal([&] { m.number("s"); }) == "f:3: \"s\" must be a number");
  const Json large = object_of({{"n", uint64_t{1} << 63}});
  const JsonMembers l(large, where, ErrorKind::kBadModel);
  for (const std::string& said : {refusal([&] { l.count("n"); }), refusal([&] { l.integer("n"); })})
    CHECK(said.find("9223372036854775807") != std::string::npos);
  CHECK(refusal([&] { m.count("neg"); }) == "f:3: \"neg\" must be a whole number, 0 or more");
  CHECK(refusal([&] { m.integer("n"); }) == "f:3: \"n\" must be a whole number");
  CHECK(refusal([&] { m.list("object"); }) == "f:3: \"object\" must be a list");
  CHECK(refusal([&] { m.object("list"); }) == "f:3: \"list\" must be an object");
}

TEST_CASE("a member is found under its synonyms; two that differ are refused") {
  constexpr JsonSynonym kSynonyms[] = {{"limit", "max"}, {"most", "max"}, {"other", "different"}};
  const std::string where = "f";
  const auto max_of = [&](Json::object_t members) {
    const Json json = object_of(std::move(members));
    return JsonMembers(json, where, ErrorKind::kBadModel, kSynonyms).count("max");
  };
  CHECK(max_of({{"max", 3}}) == 3);
  CHECK(max_of({{"most", 4}}) == 4);
  CHECK(max_of({{"most", 4}, {"limit", 4}, {"max", Json()}}) == 4);
  CHECK(!max_of({{"other", 4}}));
  CHECK(refusal([&] {
          max_of({{"most", 4}, {"max", 5}});
        }) == "f: \"max\" and \"most\" mean the same and differ (give one of them)");
}
