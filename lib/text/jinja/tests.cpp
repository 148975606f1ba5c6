// Tests: what stands after `is`.
#include <unicode/uchar.h>

#include <algorithm>

#include "core/utf8.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/lexer.h"

namespace ds::text::jinja {
namespace {

int64_t integer(const Value& v, const char* test) {
  if (v.is_undefined()) fail(v.text());
  if (!v.is_integral()) fail(std::string(test) + " needs an integer, not " + type_name(v));
  return v.as_int();
}

// str.isdigit and its like: every character passes and there is one.
template <class Test>
bool all_chars(const std::string& s, Test&& test) {
  for (const std::string_view c : characters(s))
    if (!test(static_cast<UChar32>(decode_utf8(c).code_point))) return false;
  return !s.empty();
}

bool is_alpha(UChar32 c) { return (U_GET_GC_MASK(c) & U_GC_L_MASK) != 0; }
bool is_digit(UChar32 c) {
  const int32_t type = u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE);
  return type == U_NT_DECIMAL || type == U_NT_DIGIT;
}
bool is_numeric(UChar32 c) { return u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE) != U_NT_NONE; }

// At least one cased character and none of the other case.
bool is_case(const std::string& s, bool want_upper) {
  bool any = false;
  for (const std::string_view c : characters(s)) {
    const UChar32 u = static_cast<UChar32>(decode_utf8(c).code_point);
    const bool up = u_hasBinaryProperty(u, UCHAR_UPPERCASE), low = u_hasBinaryProperty(u, UCHAR_LOWERCASE);
    if ((want_upper && (low || u_charType(u) == U_TITLECASE_LETTER)) ||
        (!want_upper && (up || u_charType(u) == U_TITLECASE_LETTER)))
      return false;
    any = any || (want_upper ? up : low);
  }
  return any;
}

}  // namespace

bool Interpreter::apply_test(const std::string& name, const Value& v, const Arguments& args) {
  const auto argument = [&]() -> const Value& {
    if (args.size() != 1) fail("the test '" + name + "' takes one argument");
    return args[0];
  };
  if (name == "defined") return !v.is_undefined();
  if (name == "undefined") return v.is_undefined();
  if (name == "none") return v.is(Kind::kNone);
  if (name == "string") return v.is_string();
  if (name == "mapping") return v.is(Kind::kDict);
  if (name == "number") return v.is_number() || v.is(Kind::kLongInt);
  if (name == "integer") return v.is(Kind::kInt) || v.is(Kind::kLongInt);
  if (name == "float") return v.is(Kind::kFloat);
  if (name == "boolean") return v.is(Kind::kBool);
  if (name == "true") return v.is(Kind::kBool) && v.as_int() == 1;
  if (name == "false") return v.is(Kind::kBool) && v.as_int() == 0;
  // Undefined can be gone through and measured, so jinja2 counts it among both.
  if (name == "iterable")
    return v.is_sequence() || v.is_string() || v.is(Kind::kDict) || v.is_undefined() || v.is(Kind::kLoop) ||
           v.is(Kind::kView);
  if (name == "sequence")
    return v.is_sequence() || v.is_string() || v.is(Kind::kDict) || v.is_undefined() || v.is_range();
  if (name == "callable") return v.is(Kind::kMacro) || v.is(Kind::kMethod) || v.is(Kind::kFunction);
  if (name == "odd") return integer(v, "odd") % 2 != 0;
  if (name == "even") return integer(v, "even") % 2 == 0;
  if (name == "divisibleby") {
    const int64_t by = integer(argument(), "divisibleby");
    if (by == 0) fail("division by zero");
    return by == -1 || integer(v, "divisibleby") % by == 0;
  }
  if (name == "eq" || name == "equalto" || name == "==") return equal(v, argument());
  if (name == "ne" || name == "!=") return !equal(v, argument());
  if (name == "lt" || name == "lessthan" || name == "<") return less(v, argument());
  if (name == "gt" || name == "greaterthan" || name == ">") return less(argument(), v);
  if (name == "le" || name == "<=") return !less(argument(), v);
  if (name == "ge" || name == ">=") return !less(v, argument());
  if (name == "in") return contains(argument(), v);
  if (name == "sameas") {
    const Value& other = argument();
    if (v.kind() != other.kind()) return false;
    const bool by_value = v.is_number() || v.is_string() || v.is(Kind::kNone) || v.is_undefined();
    return by_value ? equal(v, other) : v.identity() == other.identity();
  }
  if (name == "upper" || name == "isupper") return is_case(to_text(v), true);
  if (name == "lower" || name == "islower") return is_case(to_text(v), false);
  if (name == "escaped") return false;
  if (name == "isdigit") return all_chars(v.text(), is_digit);
  if (name == "isnumeric") return all_chars(v.text(), is_numeric);
  if (name == "isalpha") return all_chars(v.text(), is_alpha);
  if (name == "isalnum") return all_chars(v.text(), [](UChar32 c) { return is_alpha(c) || is_numeric(c); });
  if (name == "isspace")
    return all_chars(v.text(), [](UChar32 c) { return is_space(static_cast<uint32_t>(c)); });
  fail_unsupported("the test '" + name + "' is unknown or not supported");
}

}  // namespace ds::text::jinja
