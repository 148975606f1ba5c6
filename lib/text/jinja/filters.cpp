// Filters on single values; those that work through lists are in jinja_list_filters.cpp.
#include "text/jinja/filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "core/json_value.h"

namespace ds::text::jinja {
namespace {

const Value& defined(const Value& v) {
  if (v.is_undefined()) fail(v.text().empty() ? "the value is undefined" : v.text());
  return v;
}

std::string trimmed(const std::string& s) { return strip(s, nullptr, true, true); }

Value to_integer(const Value& v, int64_t base, const Value& otherwise) {
  if (v.is(Kind::kLongInt)) return v;
  if (v.is_integral()) return Value::integer(v.as_int());
  if (v.is(Kind::kFloat)) {
    if (!std::isfinite(v.as_double())) return otherwise;
    if (std::fabs(v.as_double()) >= 0x1p63) fail_unsupported("an integer beyond 64 bits is not supported");
    return Value::integer(static_cast<int64_t>(v.as_double()));
  }
  if (!v.is_string()) return otherwise;
  std::string s = trimmed(v.text());
  s.erase(std::remove(s.begin(), s.end(), '_'), s.end());
  const char *begin = s.data(), *end = begin + s.size();
  if (begin != end && *begin == '+') ++begin;
  if (base == 16 && (s.starts_with("0x") || s.starts_with("0X"))) begin += 2;
  int64_t value = 0;
  auto [p, error] = std::from_chars(begin, end, value, static_cast<int>(base));
  if (error == std::errc::result_out_of_range && p == end)
    fail_unsupported("an integer beyond 64 bits is not supported");
  if (error == std::errc() && p == end && begin != end) return Value::integer(value);
  double real = 0;  // jinja2 falls back to int(float(text))
  const auto parsed = std::from_chars(begin, end, real);
  if (parsed.ec == std::errc() && parsed.ptr == end && begin != end)
    return to_integer(Value::real(real), base, otherwise);
  return otherwise;
}

Value to_float(const Value& v, const Value& otherwise) {
  if (v.is_number()) return Value::real(v.as_double());
  if (!v.is_string() && !v.is(Kind::kLongInt)) return otherwise;
  const std::string s = trimmed(v.text());
  const char *begin = s.data(), *end = begin + s.size();
  if (begin != end && *begin == '+') ++begin;
  double value = 0;
  const auto [p, error] = std::from_chars(begin, end, value);
  return error == std::errc() && p == end && begin != end ? Value::real(value) : otherwise;
}

Value round_value(const Value& v, int64_t precision, const std::string& method) {
  if (!v.is_number()) fail(std::string("round: cannot round a ") + type_name(v));
  if (precision < -300 || precision > 300) fail_unsupported("round with this precision is not supported");
  const double x = v.as_double();
  if (method == "common") {
    // Python rounds the decimal expansion exactly, half to even; printf does the same.
    if (precision >= 0) {
      char buffer[700];
      const int n = std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), x);
      double out = x;
      if (n > 0 && n < static_cast<int>(sizeof buffer)) std::from_chars(buffer, buffer + n, out);
      return v.is_integral() ? Value::integer(v.as_int()) : Value::real(out);
    }
    const double scale = std::pow(10.0, static_cast<double>(-precision));
    const double out = std::nearbyint(x / scale) * scale;
    return v.is_integral() ? Value::integer(static_cast<int64_t>(out)) : Value::real(out);
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value::real(std::ceil(x * scale) / scale);
  if (method == "floor") return Value::real(std::floor(x * scale) / scale);
  fail("round: method must be common, ceil or floor");
}

std::string indent_text(const std::string& s, const std::string& by, bool first, bool blank) {
  std::string out;
  size_t begin = 0;
  for (bool first_line = true;; first_line = false) {
    const size_t end = std::min(s.find('\n', begin), s.size());
    const bool wanted = first_line ? first : blank || end > begin;
    if (wanted) out += by;
    out.append(s, begin, end - begin);
    if (end == s.size()) return out;
    out += '\n';
    begin = end + 1;
    if (out.size() > (size_t{64} << 20)) fail_unsupported("the template makes too much text");
  }
}

// jinja2's title: capitals after spaces, hyphens and opening brackets.
std::string title_words(const std::string& s) {
  std::string out;
  bool at_start = true;
  for (const std::string_view c : characters(s)) {
    const bool boundary =
        strip(c, nullptr, true, true).empty() || c == "-" || c == "(" || c == "{" || c == "[" || c == "<";
    out += boundary ? std::string(c) : at_start ? upper(c) : lower(c);
    at_start = boundary;
  }
  return out;
}

std::string escape_html(const std::string& s) {
  std::string out;
  for (const char c : s) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// printf-style: %s %r %d %i %f with precision, %%.
std::string format_percent(const std::string& text, const Arguments& args) {
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (++i >= text.size()) fail("incomplete format");
    if (text[i] == '%') {
      out += '%';
      continue;
    }
    int precision = 6;
    bool zero = false;
    int width = 0;
    if (text[i] == '0') zero = true, ++i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9' && width < 1000)
      width = width * 10 + (text[i++] - '0');
    if (i < text.size() && text[i] == '.') {
      precision = 0;
      for (++i; i < text.size() && text[i] >= '0' && text[i] <= '9' && precision < 100; ++i)
        precision = precision * 10 + (text[i] - '0');
    }
    if (i >= text.size()) fail("incomplete format");
    if (next >= args.size()) fail("not enough arguments for format string");
    const Value& v = args[next++];
    std::string part;
    if (text[i] == 's') {
      part = to_text(v);
    } else if (text[i] == 'r') {
      part = to_repr(v);
    } else if ((text[i] == 'd' || text[i] == 'i') && v.is(Kind::kLongInt)) {
      part = v.text();
    } else if (text[i] == 'd' || text[i] == 'i') {
      if (!v.is_number()) fail(std::string("%d format: a number is required, not ") + type_name(v));
      if (!(std::fabs(v.as_double()) < 9.2e18)) fail_unsupported("%d of this number is not supported");
      part = std::to_string(v.is(Kind::kFloat) ? static_cast<int64_t>(v.as_double()) : v.as_int());
    } else if (text[i] == 'f') {
      if (!v.is_number()) fail(std::string("%f format: a number is required, not ") + type_name(v));
      char buffer[512];
      const int n = std::snprintf(buffer, sizeof buffer, "%.*f", std::min(precision, 100), v.as_double());
      part.assign(buffer, static_cast<size_t>(std::clamp(n, 0, static_cast<int>(sizeof buffer) - 1)));
    } else {
      fail_unsupported(std::string("the format %") + text[i] + " is not supported");
    }
    const size_t n = characters(part).size();
    if (n < static_cast<size_t>(width)) {
      const bool sign = zero && !part.empty() && part[0] == '-';
      part.insert(sign ? 1 : 0, static_cast<size_t>(width) - n,
                  zero && text[i] != 's' && text[i] != 'r' ? '0' : ' ');
    }
    out += part;
    if (out.size() > (size_t{64} << 20)) fail_unsupported("the template makes too much text");
  }
  if (next < args.size()) fail("not all arguments converted during string formatting");
  return out;
}

JsonStyle json_style(const ArgumentReader& reader) {
  JsonStyle style;
  style.ensure_ascii = reader.flag(0, "ensure_ascii", false);
  style.sort_keys = reader.flag(3, "sort_keys", false);
  const Value* indent = reader.get(1, "indent");
  if (indent && !indent->is(Kind::kNone)) {
    style.has_indent = true;
    style.item_separator = ",";
    if (indent->is_string()) {
      style.indent = indent->text();
    } else {
      style.indent =
          std::string(static_cast<size_t>(std::clamp<int64_t>(reader.integer(1, "indent", 0), 0, 64)), ' ');
    }
  }
  const Value* separators = reader.get(2, "separators");
  if (separators && !separators->is(Kind::kNone)) {
    if (!separators->is_sequence() || separators->as_list().items.size() != 2)
      fail("tojson: separators must be a pair");
    style.item_separator = to_text(separators->as_list().items[0]);
    style.key_separator = to_text(separators->as_list().items[1]);
  }
  return style;
}

}  // namespace

Value Interpreter::apply_filter(const std::string& name, const Value& v, const Arguments& args,
                                const Keywords& keywords) {
  Value result;
  if (apply_list_filter(*this, name, v, args, keywords, result)) return result;
  const ArgumentReader reader(name.c_str(), args, keywords, name == "format" ? 1000 : 4);
  if (name == "tojson") return string(to_json(defined(v), json_style(reader)));
  if (name == "default" || name == "d") {
    const bool missing = v.is_undefined() || (reader.flag(1, "boolean", false) && !truthy(v));
    if (!missing) return v;
    const Value* otherwise = reader.get(0, "default_value");
    return otherwise ? *otherwise : Value::string("");
  }
  if (v.is_markup() && (name == "string" || name == "e" || name == "escape")) return v;
  if (name == "string") return string(to_text(v));
  if (name == "safe") return Value::markup(string(to_text(v)).text());
  if (name == "int")
    return to_integer(v, reader.integer(1, "base", 10),
                      reader.get(0, "default") ? *reader.get(0, "default") : Value::integer(0));
  if (name == "float")
    return to_float(v, reader.get(0, "default") ? *reader.get(0, "default") : Value::real(0));
  if (name == "abs") {
    if (!defined(v).is_number()) fail(std::string("bad operand type for abs(): '") + type_name(v) + "'");
    return v.is(Kind::kFloat) ? Value::real(std::fabs(v.as_double()))
           : v.as_int() < 0   ? binary("-", Value::integer(0), v)
                              : Value::integer(v.as_int());
  }
  if (name == "round") {
    const Value* method = reader.get(1, "method");
    return round_value(defined(v), reader.integer(0, "precision", 0), method ? to_text(*method) : "common");
  }
  if (name == "format") return string(format_percent(to_text(v), args));
  if (name == "attr") {
    const std::string& attribute = reader.text(0, "name");
    // Members of a dict are items, not attributes.
    if (v.is(Kind::kDict) && !has_method(v, attribute)) return Value::undefined("no attribute " + attribute);
    return get_attribute(v, attribute);
  }

  // The others turn their operand into text first.
  const std::string text = to_text(v);
  spend(1 + text.size() / 64);
  if (name == "trim") return string(strip(text, reader.get(0, "chars"), true, true));
  if (name == "upper") return string(upper(text));
  if (name == "lower") return string(lower(text));
  if (name == "capitalize") return string(capitalize(text));
  if (name == "title") return string(title_words(text));
  if (name == "escape" || name == "e" || name == "forceescape")
    return Value::markup(string(escape_html(text)).text());
  if (name == "replace")
    return string(replace(text, to_text(reader.need(0, "old")), to_text(reader.need(1, "new")),
                          reader.integer(2, "count", -1)));
  if (name == "indent") {
    if (!v.is_string()) fail(std::string("indent needs a string, not ") + type_name(v));
    const Value* width = reader.get(0, "width");
    const std::string by =
        width && width->is_string()
            ? width->text()
            : std::string(static_cast<size_t>(std::clamp<int64_t>(reader.integer(0, "width", 4), 0, 1000)),
                          ' ');
    return string(indent_text(text, by, reader.flag(1, "first", false), reader.flag(2, "blank", false)));
  }
  if (name == "wordcount") {
    int64_t n = 0;
    bool in_word = false;
    for (const std::string_view c : characters(text)) {
      const bool word = c == "_" || apply_test("isalnum", Value::string(std::string(c)), {});
      n += word && !in_word;
      in_word = word;
    }
    return Value::integer(n);
  }
  fail_unsupported("the filter '" + name + "' is unknown or not supported");
}

}  // namespace ds::text::jinja
