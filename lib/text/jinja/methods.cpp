// Methods of strings, dicts and lists.
#include <algorithm>
#include <array>
#include <unordered_set>

#include "core/utf8.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/lexer.h"

namespace ds::text::jinja {
namespace {

constexpr std::string_view kStringMethods[] = {
    "split",        "rsplit",       "splitlines", "strip",   "lstrip",   "rstrip",
    "startswith",   "endswith",     "upper",      "lower",   "title",    "capitalize",
    "replace",      "find",         "rfind",      "index",   "count",    "join",
    "format",       "isdigit",      "isalpha",    "isspace", "isupper",  "islower",
    "removeprefix", "removesuffix", "zfill",      "isalnum", "isnumeric"};
// What Python has besides: named in the error, where "no such attribute" would be false.
constexpr std::string_view kMissingStringMethods[] = {
    "partition", "rpartition", "center",      "ljust",     "rjust",        "rindex",
    "swapcase",  "casefold",   "expandtabs",  "encode",    "isascii",      "isdecimal",
    "istitle",   "translate",  "isprintable", "maketrans", "isidentifier", "format_map"};
constexpr std::string_view kDictMethods[] = {"items", "keys", "values", "get", "copy"};
constexpr std::string_view kListMethods[] = {"index", "count", "copy"};
constexpr std::string_view kUnsafeDictMethods[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kUnsafeListMethods[] = {"append", "clear",  "extend",  "insert",
                                                   "pop",    "remove", "reverse", "sort"};

template <size_t N>
bool in(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

std::vector<std::string> split_spaces(std::string_view s, int64_t limit, bool from_right) {
  std::vector<std::string_view> letters = characters(s);
  const auto space = [&](size_t i) { return is_space(decode_utf8(letters[i]).code_point); };
  std::vector<std::string> out;
  const auto text = [&](size_t begin, size_t end) {
    std::string t;
    for (size_t i = begin; i < end; ++i) t += letters[i];
    return t;
  };
  if (!from_right) {
    for (size_t i = 0; i < letters.size();) {
      while (i < letters.size() && space(i)) ++i;
      if (i == letters.size()) break;
      size_t end = i;
      if (limit >= 0 && static_cast<int64_t>(out.size()) >= limit) {
        out.push_back(text(i, letters.size()));
        break;
      }
      while (end < letters.size() && !space(end)) ++end;
      out.push_back(text(i, end));
      i = end;
    }
    return out;
  }
  for (size_t i = letters.size(); i > 0;) {
    while (i > 0 && space(i - 1)) --i;
    if (i == 0) break;
    if (limit >= 0 && static_cast<int64_t>(out.size()) >= limit) {
      out.push_back(text(0, i));
      break;
    }
    size_t begin = i;
    while (begin > 0 && !space(begin - 1)) --begin;
    out.push_back(text(begin, i));
    i = begin;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string> split_by(std::string_view s, std::string_view by, int64_t limit, bool from_right) {
  if (by.empty()) fail("empty separator");
  std::vector<std::string> out;
  if (!from_right) {
    size_t at = 0;
    for (size_t hit; limit != 0 && (hit = s.find(by, at)) != s.npos; --limit) {
      out.emplace_back(s.substr(at, hit - at));
      at = hit + by.size();
    }
    out.emplace_back(s.substr(at));
    return out;
  }
  size_t end = s.size();
  for (; limit != 0 && end >= by.size(); --limit) {
    const size_t hit = s.rfind(by, end - by.size());
    if (hit == s.npos) break;
    out.emplace_back(s.substr(hit + by.size(), end - hit - by.size()));
    end = hit;
  }
  out.emplace_back(s.substr(0, end));
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string> split_lines(std::string_view s, bool keep) {
  std::vector<std::string> out;
  size_t begin = 0;
  for (size_t i = 0; i < s.size();) {
    const Utf8Char u = decode_utf8(s.substr(i));
    size_t n = static_cast<size_t>(u.length ? u.length : u.invalid_length);
    const uint32_t c = u.code_point;
    const bool line_end =
        (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (!line_end || u.length == 0) {
      i += n;
      continue;
    }
    if (c == '\r' && s.substr(i + 1, 1) == "\n") n = 2;
    out.emplace_back(s.substr(begin, i - begin + (keep ? n : 0)));
    begin = i += n;
  }
  if (begin < s.size()) out.emplace_back(s.substr(begin));
  return out;
}

// startswith and endswith take a string or a tuple of strings.
bool affix(const std::string& s, const Value& what, bool front) {
  const auto one = [&](const Value& v) {
    if (!v.is_string())
      fail(std::string(front ? "startswith" : "endswith") + " first arg must be str or a tuple of str, not " +
           type_name(v));
    return front ? s.starts_with(v.text()) : s.ends_with(v.text());
  };
  if (!what.is(Kind::kTuple)) return one(what);
  const auto& items = what.as_list().items;
  return std::any_of(items.begin(), items.end(), one);
}

// str.format with {}, {0} and {name}, without format specifications.
std::string format(const std::string& text, const Arguments& args, const Keywords& keywords) {
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      out += c;
      ++i;
      continue;
    }
    if (c == '}') fail("single '}' encountered in format string");
    if (c != '{') {
      out += c;
      continue;
    }
    const size_t close = text.find('}', i);
    if (close == text.npos) fail("expected '}' before end of string");
    const std::string field = text.substr(i + 1, close - i - 1);
    i = close;
    const Value* value = nullptr;
    if (field.empty()) {
      if (next < args.size()) value = &args[next++];
    } else if (field.find_first_not_of("0123456789") == field.npos && field.size() < 6) {
      const size_t position = std::stoul(field);
      if (position < args.size()) value = &args[position];
    } else {
      if (field.find_first_of(".[:!") != field.npos)
        fail_unsupported("str.format with '{" + field + "}' is not supported");
      for (const auto& [name, v] : keywords)
        if (name == field) value = &v;
    }
    if (!value) fail("str.format has no argument for '{" + field + "}'");
    out += to_text(*value);
    if (out.size() > (size_t{64} << 20)) fail_unsupported("the template makes too much text");
  }
  return out;
}

// Offset in code points of a hit at a byte offset; -1 for none.
int64_t char_offset(const std::string& s, size_t at) {
  if (at == std::string::npos) return -1;
  return std::count_if(s.begin(), s.begin() + static_cast<std::ptrdiff_t>(at),
                       [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
}

Value string_method(Interpreter& in, const std::string& s, const std::string& name, const Arguments& args,
                    const Keywords& keywords) {
  const ArgumentReader reader(name.c_str(), args, keywords, name == "format" ? 1000 : 3);
  const auto strings = [&](const std::vector<std::string>& parts) {
    std::vector<Value> items;
    for (const std::string& part : parts) items.push_back(in.string(part));
    in.spend(items.size());
    return in.list(std::move(items));
  };
  in.spend(1 + s.size() / 64);
  if (name == "split" || name == "rsplit") {
    const Value* by = reader.get(0, "sep");
    const int64_t limit = reader.integer(1, "maxsplit", -1);
    if (!by || by->is(Kind::kNone)) return strings(split_spaces(s, limit, name == "rsplit"));
    return strings(split_by(s, reader.text(0, "sep"), limit, name == "rsplit"));
  }
  if (name == "splitlines") return strings(split_lines(s, reader.flag(0, "keepends", false)));
  if (name == "strip") return in.string(strip(s, reader.get(0, "chars"), true, true));
  if (name == "lstrip") return in.string(strip(s, reader.get(0, "chars"), true, false));
  if (name == "rstrip") return in.string(strip(s, reader.get(0, "chars"), false, true));
  if (name == "startswith" || name == "endswith") {
    if (args.size() > 1) fail_unsupported(name + " with a range is not supported");
    return Value::boolean(affix(s, reader.need(0, "prefix"), name == "startswith"));
  }
  if (name == "upper") return in.string(upper(s));
  if (name == "lower") return in.string(lower(s));
  if (name == "title") return in.string(title(s));
  if (name == "capitalize") return in.string(capitalize(s));
  if (name == "replace")
    return in.string(
        replace(s, reader.text(0, "old"), reader.text(1, "new"), reader.integer(2, "count", -1)));
  if (name == "removeprefix" || name == "removesuffix") {
    const std::string& affix_text = reader.text(0, "affix");
    const bool front = name == "removeprefix";
    if (front ? !s.starts_with(affix_text) : !s.ends_with(affix_text)) return in.string(s);
    return in.string(front ? s.substr(affix_text.size()) : s.substr(0, s.size() - affix_text.size()));
  }
  if (name == "find" || name == "rfind" || name == "index") {
    if (args.size() > 1) fail_unsupported(name + " with a range is not supported");
    const std::string& what = reader.text(0, "sub");
    const int64_t at = char_offset(s, name == "rfind" ? s.rfind(what) : s.find(what));
    if (at < 0 && name == "index") fail("substring not found");
    return Value::integer(at);
  }
  if (name == "count") {
    const std::string& what = reader.text(0, "sub");
    if (what.empty()) return Value::integer(in.length_of(Value::string(s)) + 1);
    int64_t n = 0;
    for (size_t at = 0; (at = s.find(what, at)) != s.npos; at += what.size()) ++n;
    return Value::integer(n);
  }
  if (name == "join") {
    std::string out;
    bool first = true;
    for (const Value& item : in.iterate(reader.need(0, "iterable"))) {
      if (!item.is_string())
        fail(std::string("sequence item: expected str instance, ") + type_name(item) + " found");
      if (!first) out += s;
      first = false;
      out += item.text();
      if (out.size() > (size_t{64} << 20)) fail_unsupported("the template makes too much text");
    }
    return in.string(std::move(out));
  }
  if (name == "format") return in.string(format(s, args, keywords));
  if (name == "zfill") {
    const int64_t width = reader.integer(0, "width", 0), n = in.length_of(Value::string(s));
    if (width > 10000) fail_unsupported("zfill beyond 10000 is not supported");
    const bool sign = !s.empty() && (s[0] == '-' || s[0] == '+');
    std::string zeros(width > n ? static_cast<size_t>(width - n) : 0, '0');
    return in.string(sign ? s.substr(0, 1) + zeros + s.substr(1) : zeros + s);
  }
  return Value::boolean(in.apply_test(name, Value::string(s), {}));  // isdigit and its like
}

Value dict_method(Interpreter& in, const Dict& dict, const std::string& name, const Arguments& args,
                  const Keywords& keywords) {
  const ArgumentReader reader(name.c_str(), args, keywords, 2);
  in.spend(dict.items.size());
  if (name == "get") {
    const Value* v = dict.find(reader.need(0, "key"));
    if (v) return *v;
    const Value* otherwise = reader.get(1, "default");
    return otherwise ? *otherwise : Value::none();
  }
  if (name == "copy") {
    Dict* copy = in.heap().dict();
    copy->items = dict.items;
    return Value::dict(copy);
  }
  std::vector<Value> out;
  for (const auto& [key, value] : dict.items) {
    if (name == "keys") out.push_back(key);
    if (name == "values") out.push_back(value);
    if (name == "items") out.push_back(in.tuple({key, value}));
  }
  return Value::view(in.heap().list(std::move(out)), "dict_" + name);
}

Value list_method(Interpreter& in, const List& list, const std::string& name, const Arguments& args,
                  const Keywords& keywords) {
  const ArgumentReader reader(name.c_str(), args, keywords, 1);
  const auto& items = list.items;
  in.spend(1 + items.size() / 8);
  if (name == "copy") return in.list(items);
  const Value& what = reader.need(0, "value");
  int64_t count = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!equal(items[i], what)) continue;
    if (name == "index") return Value::integer(static_cast<int64_t>(i));
    ++count;
  }
  if (name == "index") fail(to_repr(what) + " is not in list");
  return Value::integer(count);
}

}  // namespace

bool Interpreter::has_method(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kString:
      return in(kStringMethods, name);
    case Kind::kDict:
      return in(kDictMethods, name);
    case Kind::kList:
      return in(kListMethods, name);
    case Kind::kTuple:
      return name == "index" || name == "count";
    default:
      return false;
  }
}

bool Interpreter::is_unsafe_method(const Value& object, std::string_view name) {
  return object.is(Kind::kDict) ? in(kUnsafeDictMethods, name)
                                : object.is(Kind::kList) && in(kUnsafeListMethods, name);
}

bool Interpreter::lacks_method(const Value& object, std::string_view name) {
  return object.is_string() && in(kMissingStringMethods, name);
}

Value Interpreter::call_method(const Method& method, const Arguments& args, const Keywords& keywords) {
  const Value& object = method.object;
  spend(1);
  if (object.is_string()) return string_method(*this, object.text(), method.name, args, keywords);
  if (object.is(Kind::kDict)) return dict_method(*this, object.as_dict(), method.name, args, keywords);
  return list_method(*this, object.as_list(), method.name, args, keywords);
}

}  // namespace ds::text::jinja
