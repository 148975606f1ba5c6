#include "text/jinja/value.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "core/json_value.h"
#include "core/utf8.h"

namespace ds::text::jinja {
namespace {

constexpr int kMaxDepth = 200;
constexpr size_t kMaxCompared = 10'000'000;  // shared sub-values can make comparisons exponential
constexpr size_t kMaxText = size_t{16} << 20;
const std::string kEmpty;

void check_depth(int depth) {
  if (depth > kMaxDepth) fail("a value is nested too deeply, or contains itself");
}

void check_size(const std::string& text) {
  if (text.size() > kMaxText) fail_unsupported("the template makes too much text");
}

// str.isprintable of one character.
bool printable(uint32_t c) {
  if (c == ' ') return true;
  constexpr uint32_t kHidden =
      U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CS_MASK | U_GC_CO_MASK | U_GC_CN_MASK | U_GC_Z_MASK;
  return !(U_GET_GC_MASK(static_cast<UChar32>(c)) & kHidden);
}

void append_hex(std::string& out, uint32_t v, int digits) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (int i = digits - 1; i >= 0; --i) out += kHex[v >> (4 * i) & 15];
}

std::string string_repr(std::string_view s) {
  const bool use_double = s.find('\'') != s.npos && s.find('"') == s.npos;
  const char quote = use_double ? '"' : '\'';
  std::string out(1, quote);
  for (size_t i = 0; i < s.size();) {
    const Utf8Char u = decode_utf8(s.substr(i));
    const uint32_t c = u.length ? u.code_point : 0xFFFD;
    i += static_cast<size_t>(u.length ? u.length : u.invalid_length);
    if (c == static_cast<uint8_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (printable(c)) {
      append_utf8(out, c);
    } else if (c < 0x100) {
      out += "\\x";
      append_hex(out, c, 2);
    } else if (c < 0x10000) {
      out += "\\u";
      append_hex(out, c, 4);
    } else {
      out += "\\U";
      append_hex(out, c, 8);
    }
  }
  return out + quote;
}

void append_json_text(std::string& out, std::string_view s, bool ensure_ascii) {
  out += '"';
  for (size_t i = 0; i < s.size();) {
    const Utf8Char u = decode_utf8(s.substr(i));
    const uint32_t c = u.length ? u.code_point : 0xFFFD;
    i += static_cast<size_t>(u.length ? u.length : u.invalid_length);
    switch (c) {
      case '"':
        out += "\\\"";
        continue;
      case '\\':
        out += "\\\\";
        continue;
      case '\n':
        out += "\\n";
        continue;
      case '\r':
        out += "\\r";
        continue;
      case '\t':
        out += "\\t";
        continue;
      case '\b':
        out += "\\b";
        continue;
      case '\f':
        out += "\\f";
        continue;
      default:
        break;
    }
    if (c < 0x20 || (ensure_ascii && c > 0x7E && c < 0x10000)) {
      if (c == 0x7F) {
        out += '\x7F';
        continue;
      }
      out += "\\u";
      append_hex(out, c, 4);
    } else if (ensure_ascii && c >= 0x10000) {
      out += "\\u";
      append_hex(out, 0xD800 + ((c - 0x10000) >> 10), 4);
      out += "\\u";
      append_hex(out, 0xDC00 + ((c - 0x10000) & 0x3FF), 4);
    } else {
      append_utf8(out, c);
    }
  }
  out += '"';
}

std::string json_key(const Value& key) {
  switch (key.kind()) {
    case Kind::kString:
      return key.text();
    case Kind::kNone:
      return "null";
    case Kind::kBool:
      return key.as_int() ? "true" : "false";
    case Kind::kInt:
      return std::to_string(key.as_int());
    case Kind::kLongInt:
      return key.text();
    case Kind::kFloat:
      return float_repr(key.as_double());
    default:
      fail(std::string("keys must be str, int, float, bool or None, not ") + type_name(key));
  }
}

// All doubles of that size are whole, and these are their digits.
bool equals_float(const Value& long_integer, const Value& real) {
  char digits[400];
  std::snprintf(digits, sizeof digits, "%.0f", real.as_double());
  return long_integer.text() == digits;
}

bool equal_values(const Value& a, const Value& b, int depth, size_t& n_left) {
  check_depth(depth);
  if (n_left-- == 0) fail("values too large to compare");
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_int() == b.as_int();
    return a.as_double() == b.as_double();
  }
  if (a.is(Kind::kLongInt) && b.is(Kind::kFloat)) return equals_float(a, b);
  if (b.is(Kind::kLongInt) && a.is(Kind::kFloat)) return equals_float(b, a);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
    case Kind::kLongInt:
    case Kind::kFunction:
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple: {
      const auto &x = a.as_list().items, &y = b.as_list().items;
      return x.size() == y.size() &&
             std::equal(x.begin(), x.end(), y.begin(), [&](const Value& p, const Value& q) {
               return equal_values(p, q, depth + 1, n_left);
             });
    }
    case Kind::kDict: {
      const Dict &x = a.as_dict(), &y = b.as_dict();
      if (x.items.size() != y.items.size()) return false;
      for (const auto& [key, value] : x.items) {
        const Value* other = y.find(key);
        if (!other || !equal_values(value, *other, depth + 1, n_left)) return false;
      }
      return true;
    }
    case Kind::kView:
      if (a.identity() == b.identity()) return true;
      fail_unsupported("comparing " + a.text() + " with " + b.text() + " is not supported");
    default:
      return a.identity() == b.identity();
  }
}

bool less_values(const Value& a, const Value& b, int depth, size_t& n_left) {
  check_depth(depth);
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_int() < b.as_int();
    return a.as_double() < b.as_double();
  }
  // UTF-8 sorts as its code points do.
  if (a.is_string() && b.is_string()) return a.text() < b.text();
  if (a.is_sequence() && a.kind() == b.kind()) {
    const auto &x = a.as_list().items, &y = b.as_list().items;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i)
      if (!equal_values(x[i], y[i], depth + 1, n_left)) return less_values(x[i], y[i], depth + 1, n_left);
    return x.size() < y.size();
  }
  fail(std::string("'<' is not supported between ") + type_name(a) + " and " + type_name(b));
}

}  // namespace

void fail(std::string what) { throw Failure{std::move(what), false, false}; }
void fail_unsupported(std::string what) { throw Failure{std::move(what), true, false}; }

Value Value::undefined(std::string name) {
  Value v;
  v.text_ = std::make_shared<const std::string>(std::move(name));
  return v;
}
Value Value::boolean(bool b) {
  Value v(Kind::kBool);
  v.as_.integer = b;
  return v;
}
Value Value::long_integer(std::string_view digits) {
  Value v(Kind::kLongInt);
  v.text_ = std::make_shared<const std::string>(digits);
  return v;
}
Value Value::integer(int64_t i) {
  Value v(Kind::kInt);
  v.as_.integer = i;
  return v;
}
Value Value::real(double d) {
  Value v(Kind::kFloat);
  v.as_.real = d;
  return v;
}
Value Value::string(std::string s) {
  Value v(Kind::kString);
  v.text_ = std::make_shared<const std::string>(std::move(s));
  return v;
}
Value Value::markup(std::string s) {
  Value v = string(std::move(s));
  v.as_.integer = 1;
  return v;
}
Value Value::function(std::string name) {
  Value v(Kind::kFunction);
  v.text_ = std::make_shared<const std::string>(std::move(name));
  return v;
}
Value Value::list(List* l, bool tuple) {
  Value v(tuple ? Kind::kTuple : Kind::kList);
  v.as_.list = l;
  return v;
}
Value Value::view(List* l, std::string name) {
  Value v(Kind::kView);
  v.as_.list = l;
  v.text_ = std::make_shared<const std::string>(std::move(name));
  return v;
}
Value Value::dict(Dict* d, bool is_namespace) {
  Value v(is_namespace ? Kind::kNamespace : Kind::kDict);
  v.as_.dict = d;
  return v;
}
Value Value::loop(Loop* l) {
  Value v(Kind::kLoop);
  v.as_.loop = l;
  return v;
}
Value Value::macro(Macro* m) {
  Value v(Kind::kMacro);
  v.as_.macro = m;
  return v;
}
Value Value::method(Method* m) {
  Value v(Kind::kMethod);
  v.as_.method = m;
  return v;
}
const std::string& Value::text() const { return text_ ? *text_ : kEmpty; }

const Value* Dict::find(const Value& key) const {
  for (const auto& [k, v] : items)
    if (equal(k, key)) return &v;
  return nullptr;
}
const Value* Dict::find(std::string_view key) const {
  for (const auto& [k, v] : items)
    if (k.is_string() && k.text() == key) return &v;
  return nullptr;
}
void Dict::set(const Value& key, Value value) {
  for (auto& [k, v] : items) {
    if (equal(k, key)) {
      v = std::move(value);
      return;
    }
  }
  items.emplace_back(key, std::move(value));
}

List* Heap::list(std::vector<Value> items) { return &lists_.emplace_back(List{std::move(items)}); }
Method* Heap::method(Value object, std::string name) {
  return &methods_.emplace_back(Method{std::move(object), std::move(name)});
}
Frame* Heap::frame(Frame* parent) { return &frames_.emplace_back(Frame{parent, {}}); }

Value Heap::from_json(const Json& json) {
  if (json.is_null()) return Value::none();
  if (json.is_boolean()) return Value::boolean(json.get<bool>());
  if (is_int(json)) return Value::integer(as_int(json));
  if (is_any_integer(json)) return Value::long_integer(dump(json));
  if (json.is_number()) return Value::real(json.get<double>());
  if (json.is_string()) return Value::string(as_string(json));
  if (json.is_array()) {
    List* out = list();
    for (const Json& item : json) out->items.push_back(from_json(item));
    return Value::list(out);
  }
  Dict* out = dict();
  for (const auto& [key, value] : json.items()) out->items.emplace_back(Value::string(key), from_json(value));
  return Value::dict(out);
}

bool truthy(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return v.as_int() != 0;
    case Kind::kFloat:
      return v.as_double() != 0;
    case Kind::kString:
      return !v.text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !v.as_list().items.empty();
    case Kind::kView:
      return v.is_generator() || !v.as_list().items.empty();
    case Kind::kDict:
      return !v.as_dict().items.empty();
    default:
      return true;
  }
}

bool equal(const Value& a, const Value& b) {
  size_t n_left = kMaxCompared;
  return equal_values(a, b, 0, n_left);
}

bool less(const Value& a, const Value& b) {
  size_t n_left = kMaxCompared;
  return less_values(a, b, 0, n_left);
}

const char* type_name(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kLongInt:
      return "int beyond 64 bits";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kView:
      return v.is_range() ? "range" : v.text().c_str();
    case Kind::kDict:
      return "dict";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kMacro:
      return "Macro";
    case Kind::kMethod:
      return "method";
    case Kind::kFunction:
      return "function";
  }
  return "?";
}

std::string float_repr(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const size_t e = text.find('e');
  const int exponent = std::stoi(std::string(text.substr(e + 1)));
  if (exponent < -4 || exponent >= 16) return std::string(text);
  // Without an exponent Python prints at least one decimal.
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::fixed).ptr;
  std::string out(buffer, static_cast<size_t>(fixed - buffer));
  if (out.find('.') == out.npos) out += ".0";
  return out;
}

std::string to_text(const Value& v) {
  if (v.is_string()) return v.text();
  if (v.is_undefined()) return "";
  return to_repr(v);
}

std::string to_repr(const Value& v, int depth) {
  check_depth(depth);
  switch (v.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return v.as_int() ? "True" : "False";
    case Kind::kInt:
      return std::to_string(v.as_int());
    case Kind::kLongInt:
      return v.text();
    case Kind::kFloat:
      return float_repr(v.as_double());
    case Kind::kString:
      return string_repr(v.text());
    case Kind::kList:
    case Kind::kTuple: {
      const bool tuple = v.is(Kind::kTuple);
      std::string out(1, tuple ? '(' : '[');
      const auto& items = v.as_list().items;
      for (size_t i = 0; i < items.size(); ++i) {
        if (i) out += ", ";
        out += to_repr(items[i], depth + 1);
        check_size(out);
      }
      if (tuple && items.size() == 1) out += ',';
      return out + (tuple ? ')' : ']');
    }
    case Kind::kView:
      if (v.is_generator()) fail_unsupported("printing a " + v.text() + " (add |list) is not supported");
      return v.is_range() ? v.text() : v.text() + "(" + to_repr(Value::list(&v.as_list()), depth + 1) + ")";
    case Kind::kDict:
    case Kind::kNamespace: {
      std::string out = v.is(Kind::kDict) ? "{" : "<Namespace {";
      bool first = true;
      for (const auto& [key, value] : v.as_dict().items) {
        if (!first) out += ", ";
        first = false;
        out += to_repr(key, depth + 1) + ": " + to_repr(value, depth + 1);
        check_size(out);
      }
      return out + (v.is(Kind::kDict) ? "}" : "}>");
    }
    default:
      fail_unsupported(std::string("printing a ") + type_name(v) + " is not supported");
  }
}

std::string to_json(const Value& v, const JsonStyle& style, int depth) {
  check_depth(depth);
  const auto new_line = [&](std::string& out, int level) {
    if (!style.has_indent) return;
    out += '\n';
    for (int i = 0; i < level; ++i) out += style.indent;
  };
  std::string out;
  switch (v.kind()) {
    case Kind::kNone:
      return "null";
    case Kind::kBool:
      return v.as_int() ? "true" : "false";
    case Kind::kInt:
      return std::to_string(v.as_int());
    case Kind::kLongInt:
      return v.text();
    case Kind::kFloat:
      if (std::isnan(v.as_double())) return "NaN";
      if (std::isinf(v.as_double())) return v.as_double() < 0 ? "-Infinity" : "Infinity";
      return float_repr(v.as_double());
    case Kind::kString:
      append_json_text(out, v.text(), style.ensure_ascii);
      return out;
    case Kind::kList:
    case Kind::kTuple: {
      const auto& items = v.as_list().items;
      if (items.empty()) return "[]";
      out = "[";
      for (size_t i = 0; i < items.size(); ++i) {
        if (i) out += style.item_separator;
        new_line(out, depth + 1);
        out += to_json(items[i], style, depth + 1);
        check_size(out);
      }
      new_line(out, depth);
      return out + "]";
    }
    case Kind::kDict: {
      if (v.as_dict().items.empty()) return "{}";
      auto items = v.as_dict().items;
      if (style.sort_keys)
        std::stable_sort(items.begin(), items.end(),
                         [](const auto& a, const auto& b) { return less(a.first, b.first); });
      out = "{";
      bool first = true;
      for (const auto& [key, value] : items) {
        if (!first) out += style.item_separator;
        first = false;
        new_line(out, depth + 1);
        append_json_text(out, json_key(key), style.ensure_ascii);
        out += style.key_separator;
        out += to_json(value, style, depth + 1);
        check_size(out);
      }
      new_line(out, depth);
      return out + "}";
    }
    default:
      fail(std::string("object of type ") + type_name(v) + " is not JSON serializable");
  }
}

}  // namespace ds::text::jinja
