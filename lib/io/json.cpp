#include "io/json.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/json_value.h"

namespace ds::io {
namespace {

constexpr size_t kMaxDepth = 500;
constexpr size_t kMaxReasonBytes = 300;

// Of members with one name the last counts, at the place of the first.
void merge_members_of_one_name(Json::object_t& members) {
  std::unordered_map<std::string_view, size_t> place;
  Json::object_t merged;
  for (auto& [name, value] : members) {
    const auto [it, fresh] = place.emplace(name, merged.size());
    if (fresh)
      merged.emplace_back(name, std::move(value));
    else
      merged.data()[it->second].second = std::move(value);
  }
  members = std::move(merged);
}

bool names_are_distinct(const Json::object_t& members) {
  constexpr size_t kFew = 16;  // compared with each other
  if (members.size() > kFew) {
    std::unordered_set<std::string_view> names;
    for (const auto& member : members)
      if (!names.insert(member.first).second) return false;
    return true;
  }
  for (auto member = members.begin(); member != members.end(); ++member)
    if (std::any_of(members.begin(), member, [&](const auto& m) { return m.first == member->first; }))
      return false;
  return true;
}

bool is_json_number(std::string_view s) {
  size_t i = s.starts_with('-');
  const auto digits = [&] {
    const size_t begin = i;
    while (i < s.size() && s[i] >= '0' && s[i] <= '9') ++i;
    return i - begin;
  };
  const bool zero = i < s.size() && s[i] == '0';
  if (const size_t n = digits(); n == 0 || (zero && n > 1)) return false;
  if (i < s.size() && s[i] == '.' && (++i, digits()) == 0) return false;
  if (i < s.size() && (s[i] == 'e' || s[i] == 'E')) {
    ++i;
    if (i < s.size() && (s[i] == '-' || s[i] == '+')) ++i;
    if (digits() == 0) return false;
  }
  return i == s.size();
}

// Numbers that are no finite double, by their place among all numbers.
using HugeNumbers = std::unordered_map<size_t, std::string_view>;

// The text with a zero in the place of each, which the library's parser reads.
std::string without_huge_numbers(std::string_view text, HugeNumbers& huge) {
  std::string out(text);
  size_t n_numbers = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (in_string || (c != '-' && (c < '0' || c > '9'))) {
      if (c == '"') in_string = !in_string;
      i += in_string && c == '\\' ? 2 : 1;
      continue;
    }
    const size_t end = std::min(text.find_first_not_of("0123456789+-.eE", i), text.size());
    const std::string_view number = text.substr(i, end - i);
    if (is_json_number(number) && !std::isfinite(std::strtod(std::string(number).c_str(), nullptr))) {
      huge.emplace(n_numbers, number);
      out.replace(i, number.size(), number.size(), ' ');
      out[i] = '0';
    }
    ++n_numbers;
    i = end;
  }
  return out;
}

// Builds a document from what the library's parser meets.
class Builder {
 public:
  Builder(const std::string& where, ErrorKind kind, const HugeNumbers& huge = {})
      : where_(where), kind_(kind), huge_(huge) {}
  Json take() { return std::move(root_); }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add_number(value); }
  bool number_unsigned(uint64_t value) {
    return value <= std::numeric_limits<int64_t>::max() ? add_number(static_cast<int64_t>(value))
                                                        : add_number(value);
  }
  // Also called with an integer that 64 bits do not hold: its token has neither point nor exponent.
  bool number_float(double value, const std::string& token) {
    return add_number(token.find_first_of(".eE") == token.npos ? long_integer(token) : Json(value));
  }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }  // text has none

  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool key(std::string& name) {
    auto& members = open_.back()->get_ref<Json::object_t&>();
    members.emplace_back(std::move(name), nullptr);
    member_ = &members.back().second;
    return true;
  }
  bool end_object() {
    auto& members = open_.back()->get_ref<Json::object_t&>();
    if (!names_are_distinct(members)) merge_members_of_one_name(members);
    return end_array();
  }
  bool end_array() {
    open_.pop_back();
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) {
    std::string reason = e.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    reason.erase(0, reason.find("] ") + 2);
    // A record is one line, and `where` says which.
    if (const std::string first_line = "parse error at line 1, "; reason.starts_with(first_line))
      reason.erase(0, first_line.size());
    if (reason.size() > kMaxReasonBytes) reason = reason.substr(0, kMaxReasonBytes) + "...";
    fail(reason);
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(kind_, "not valid JSON: " + reason, where_,
                "check the file with a JSON validator; it must be UTF-8");
  }

 private:
  // Values stay where they are while they are open: only the innermost one grows.
  Json& place(Json value) {
    if (open_.empty()) return root_ = std::move(value);
    if (open_.back()->is_array()) return open_.back()->emplace_back(std::move(value));
    return *member_ = std::move(value);
  }
  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool add_number(Json value) {
    const auto found = huge_.find(n_numbers_++);
    if (found == huge_.end()) return add(std::move(value));
    const std::string_view token = found->second;
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (token.find_first_of(".eE") == token.npos) return add(long_integer(token));
    return add(token.starts_with('-') ? -kInfinity : kInfinity);
  }
  bool open(Json value) {
    if (open_.size() == kMaxDepth) fail("nested deeper than " + std::to_string(kMaxDepth) + " levels");
    open_.push_back(&place(std::move(value)));
    return true;
  }

  const std::string& where_;
  ErrorKind kind_;
  const HugeNumbers huge_;
  size_t n_numbers_ = 0;
  Json root_;
  std::vector<Json*> open_;
  Json* member_ = nullptr;  // of the innermost object
};

}  // namespace

namespace {

Json build(std::string_view text, Builder& builder) {
  // To the library a zero byte is the end.
  if (text.find('\0') != text.npos) builder.fail("it holds a zero byte");
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where, ErrorKind kind) {
  Builder builder(where, kind);
  return build(text, builder);
}

Json parse_record_json(std::string_view text, const std::string& where) {
  try {
    return parse_json(text, where);
  } catch (const Error&) {
    HugeNumbers huge;
    const std::string finite = without_huge_numbers(text, huge);
    if (huge.empty()) throw;
    Builder builder(where, ErrorKind::kBadData, huge);
    return build(finite, builder);
  }
}

Json members_before_error(std::string_view text) {
  Builder builder("", ErrorKind::kBadData);
  try {
    build(text, builder);
  } catch (const Error&) {
  }
  Json json = builder.take();
  if (!json.is_object()) return {};
  // The last one may be cut, or not have its value yet.
  auto& members = json.get_ref<Json::object_t&>();
  if (!members.empty()) members.pop_back();
  return json;
}

}  // namespace ds::io
