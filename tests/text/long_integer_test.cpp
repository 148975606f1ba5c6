// Integers beyond 64 bits in a template's variables, such as the bounds of a tool's schema: printed as Python
// prints them (expected texts from jinja2 3.1), refused by name where something would calculate with them.
#include <doctest/doctest.h>

#include <string>

#include "core/error.h"
#include "core/json_value.h"
#include "text/jinja/chat_template.h"

using namespace ds;
using namespace ds::text;

namespace {

std::string render(const std::string& source) {
  Json variables;
  variables["x"] = long_integer("340282366920938463463374607431768211455");
  variables["u"] = uint64_t{18446744073709551615u};
  variables["power"] = long_integer("18446744073709551616");
  variables["low"] = long_integer("-9223372036854775809");
  variables["schema"] =
      Json{{"maximum", uint64_t{18446744073709551615u}}, {"minimum", long_integer("-9223372036854775809")}};
  return ChatTemplate::parse(source, "test").render(variables);
}

}  // namespace

TEST_CASE("a long integer prints as Python's") {
  CHECK(render("{{ x }}") == "340282366920938463463374607431768211455");
  CHECK(render("{{ u }} {{ low }}") == "18446744073709551615 -9223372036854775809");
  CHECK(render("{{ schema | tojson }}") ==
        R"({"maximum": 18446744073709551615, "minimum": -9223372036854775809})");
  CHECK(render("{{ schema }}") == "{'maximum': 18446744073709551615, 'minimum': -9223372036854775809}");
  CHECK(render("{{ [x, 1] | tojson }}") == "[340282366920938463463374607431768211455, 1]");
  CHECK(render("{{ x ~ '!' }}{{ x | string | length }}") == "340282366920938463463374607431768211455!39");
  CHECK(render("{{ '%d %s' % (u, low) }}") == "18446744073709551615 -9223372036854775809");
  CHECK(render("{{ x | int }}") == "340282366920938463463374607431768211455");
  CHECK(render("{{ x | float }}") == "3.402823669209385e+38");
}

TEST_CASE("a long integer is a number, true, and equal to itself alone") {
  CHECK(render("{{ x is number }} {{ x is integer }} {{ x is float }} {{ x is string }}") ==
        "True True False False");
  CHECK(render("{{ 'yes' if u else 'no' }}") == "yes");
  CHECK(render("{{ x == x }} {{ x == u }} {{ x != 1 }} {{ x == 'x' }} {{ u == 18446744073709551615.0 }}") ==
        "True False True False False");
  CHECK(render("{{ power == 18446744073709551616.0 }} {{ power in [1, power] }}") == "True True");
  CHECK(render("{{ {x: 1}[x] }}") == "1");
}

TEST_CASE("calculating with a long integer is refused by name") {
  for (const char* source :
       {"{{ x + 1 }}", "{{ 1 - u }}", "{{ -x }}", "{{ x < 1 }}", "{{ 1.5 >= u }}", "{{ x | abs }}",
        "{{ x | round }}", "{{ x % 2 }}", "{{ 'a' * u }}", "{{ x // 3 }}", "{{ [3, x] | sort }}"}) {
    CAPTURE(source);
    CHECK_THROWS_WITH_AS(render(source), doctest::Contains("beyond 64 bits"), Error);
  }
}
