#include <algorithm>

#include "text/jinja/filters.h"

namespace ds::text::jinja {
namespace {

// `attribute` of the filters: "a.b.0", or an index.
// With `otherwise`, whatever is undefined on the way becomes that.
Value by_path(Interpreter& in, const Value& object, const Value& path, const Value* otherwise = nullptr) {
  const auto or_default = [&](Value v) { return otherwise && v.is_undefined() ? *otherwise : v; };
  if (!path.is_string()) return or_default(in.get_item(object, path));
  Value v = object;
  size_t begin = 0;
  for (;;) {
    const size_t dot = path.text().find('.', begin);
    const std::string part = path.text().substr(begin, dot == std::string::npos ? dot : dot - begin);
    const bool number =
        !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string::npos;
    // jinja2 looks for items first here, unlike for foo.bar.
    v = or_default(in.get_item(v, number ? Value::integer(std::stoll(part)) : Value::string(part)));
    if (dot == std::string::npos) return v;
    begin = dot + 1;
  }
}

// Sort keys ignore case unless told otherwise.
Value sort_key(Interpreter& in, const Value& v, const Value* attribute, bool case_sensitive) {
  Value key = attribute && !attribute->is(Kind::kNone) ? by_path(in, v, *attribute) : v;
  if (!case_sensitive && key.is_string()) key = in.string(lower(key.text()));
  return key;
}

void sort_by(std::vector<std::pair<Value, Value>>& keyed, bool reverse) {
  // Compared once up front, since a comparison that throws inside std::sort would leave it half done.
  for (size_t i = 1; i < keyed.size(); ++i) less(keyed[i - 1].first, keyed[i].first);
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? less(b.first, a.first) : less(a.first, b.first);
  });
}

Value sorted(Interpreter& in, std::vector<Value> items, const Value* attribute, bool reverse,
             bool case_sensitive) {
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items) keyed.emplace_back(sort_key(in, item, attribute, case_sensitive), item);
  in.spend(keyed.size() * 16);
  sort_by(keyed, reverse);
  std::vector<Value> out;
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return in.list(std::move(out));
}

Value generator(Interpreter& in, std::vector<Value> items) {
  return Value::view(in.heap().list(std::move(items)), "generator");
}

// select, map and their like take whatever is false for a list of nothing: templates rely on it for `tools`
// that are none.
std::vector<Value> iterate_or_nothing(Interpreter& in, const Value& v) {
  return truthy(v) ? in.iterate(v) : std::vector<Value>();
}

Value select(Interpreter& in, const std::string& name, const Value& v, const Arguments& args) {
  const bool by_attribute = name.ends_with("attr"), keep = name.starts_with("select");
  if (by_attribute && args.empty()) fail(name + " lacks the attribute's name");
  const size_t test_at = by_attribute ? 1 : 0;
  std::vector<Value> out;
  for (const Value& item : iterate_or_nothing(in, v)) {
    const Value subject = by_attribute ? by_path(in, item, args[0]) : item;
    bool holds = false;
    if (args.size() > test_at) {
      if (!args[test_at].is_string()) fail(name + ": the test's name must be a string");
      holds = in.apply_test(args[test_at].text(), subject,
                            Arguments(args.begin() + static_cast<std::ptrdiff_t>(test_at) + 1, args.end()));
    } else {
      holds = truthy(subject);
    }
    if (holds == keep) out.push_back(item);
  }
  return generator(in, std::move(out));
}

Value map(Interpreter& in, const Value& v, const Arguments& args, const Keywords& keywords) {
  const Value *attribute = nullptr, *otherwise = nullptr;
  for (const auto& [key, value] : keywords) {
    if (key == "attribute") attribute = &value;
    if (key == "default") otherwise = &value;
  }
  std::vector<Value> out;
  if (args.empty()) {
    if (!attribute) fail("map requires a filter argument");
    for (const Value& item : iterate_or_nothing(in, v))
      out.push_back(by_path(in, item, *attribute, otherwise));
    return generator(in, std::move(out));
  }
  if (!args[0].is_string()) fail("map: the filter's name must be a string");
  const Arguments rest(args.begin() + 1, args.end());
  for (const Value& item : iterate_or_nothing(in, v)) {
    in.spend(1);
    out.push_back(in.apply_filter(args[0].text(), item, rest, keywords));
  }
  return generator(in, std::move(out));
}

Value join(Interpreter& in, const Value& v, const ArgumentReader& reader) {
  const Value* by = reader.get(0, "d");
  const Value* attribute = reader.get(1, "attribute");
  const std::string separator = by ? to_text(*by) : "";
  std::string out;
  bool first = true;
  for (const Value& item : in.iterate(v)) {
    if (!first) out += separator;
    first = false;
    out += to_text(attribute && !attribute->is(Kind::kNone) ? by_path(in, item, *attribute) : item);
    if (out.size() > (size_t{64} << 20)) fail_unsupported("the template makes too much text");
  }
  return in.string(std::move(out));
}

Value unique(Interpreter& in, const Value& v, const ArgumentReader& reader) {
  const bool case_sensitive = reader.flag(0, "case_sensitive", false);
  std::vector<Value> keys, out;
  for (const Value& item : in.iterate(v)) {
    const Value key = sort_key(in, item, reader.get(1, "attribute"), case_sensitive);
    in.spend(1 + keys.size());
    if (std::any_of(keys.begin(), keys.end(), [&](const Value& k) { return equal(k, key); })) continue;
    keys.push_back(key);
    out.push_back(item);
  }
  return generator(in, std::move(out));
}

Value dict_sorted(Interpreter& in, const Value& v, const ArgumentReader& reader) {
  if (!v.is(Kind::kDict)) fail(std::string("dictsort needs a mapping, not ") + type_name(v));
  const Value* by = reader.get(1, "by");
  const bool by_value = by && to_text(*by) == "value",
             case_sensitive = reader.flag(0, "case_sensitive", false);
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : v.as_dict().items)
    keyed.emplace_back(sort_key(in, by_value ? value : key, nullptr, case_sensitive), in.tuple({key, value}));
  in.spend(keyed.size() * 16);
  sort_by(keyed, reader.flag(2, "reverse", false));
  std::vector<Value> out;
  for (auto& [key, pair] : keyed) out.push_back(std::move(pair));
  return in.list(std::move(out));
}

Value extreme(Interpreter& in, const std::string& name, const Value& v, const ArgumentReader& reader) {
  const std::vector<Value> items = in.iterate(v);
  if (items.empty()) return Value::undefined("no aggregated item, sequence was empty");
  const bool case_sensitive = reader.flag(0, "case_sensitive", false);
  Value best = items[0], best_key = sort_key(in, best, reader.get(1, "attribute"), case_sensitive);
  for (size_t i = 1; i < items.size(); ++i) {
    const Value key = sort_key(in, items[i], reader.get(1, "attribute"), case_sensitive);
    if (name == "min" ? less(key, best_key) : less(best_key, key)) best = items[i], best_key = key;
  }
  return best;
}

}  // namespace

bool apply_list_filter(Interpreter& in, const std::string& name, const Value& v, const Arguments& args,
                       const Keywords& keywords, Value& result) {
  const ArgumentReader reader(name.c_str(), args, keywords, 1000);
  if (name == "length" || name == "count") {
    result = Value::integer(in.length_of(v));
  } else if (name == "first" || name == "last") {
    const std::vector<Value> items = in.iterate(v);
    if (items.empty())
      result = Value::undefined("no " + name + " item, sequence was empty");
    else
      result = name == "first" ? items.front() : items.back();
  } else if (name == "list") {
    result = in.list(in.iterate(v));
  } else if (name == "items") {
    // Undefined has no items; anything else must be a mapping.
    if (!v.is(Kind::kDict) && !v.is_undefined()) fail("items: can only get item pairs from a mapping");
    std::vector<Value> pairs;
    if (v.is(Kind::kDict))
      for (const auto& [key, value] : v.as_dict().items) pairs.push_back(in.tuple({key, value}));
    in.spend(pairs.size());
    result = generator(in, std::move(pairs));
  } else if (name == "reverse") {
    std::vector<Value> items = in.iterate(v);
    std::reverse(items.begin(), items.end());
    if (v.is_string()) {
      std::string text;
      for (const Value& c : items) text += c.text();
      result = in.string(std::move(text));
    } else {
      result = generator(in, std::move(items));
    }
  } else if (name == "join") {
    result = join(in, v, reader);
  } else if (name == "map") {
    result = map(in, v, args, keywords);
  } else if (name == "select" || name == "reject" || name == "selectattr" || name == "rejectattr") {
    result = select(in, name, v, args);
  } else if (name == "sort") {
    result = sorted(in, in.iterate(v), reader.get(2, "attribute"), reader.flag(0, "reverse", false),
                    reader.flag(1, "case_sensitive", false));
  } else if (name == "unique") {
    result = unique(in, v, reader);
  } else if (name == "dictsort") {
    result = dict_sorted(in, v, reader);
  } else if (name == "min" || name == "max") {
    result = extreme(in, name, v, reader);
  } else if (name == "sum") {
    const Value* start = reader.get(1, "start");
    const Value* attribute = reader.get(0, "attribute");
    Value total = start ? *start : Value::integer(0);
    for (const Value& item : in.iterate(v))
      total = in.binary("+", total,
                        attribute && !attribute->is(Kind::kNone) ? by_path(in, item, *attribute) : item);
    result = total;
  } else {
    return false;
  }
  return true;
}

}  // namespace ds::text::jinja
