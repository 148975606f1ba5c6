#include "core/json_members.h"

#include <cmath>

#include "core/json_value.h"

namespace ds {
namespace {

constexpr const char* kRange = "a whole number of 63 bits and a sign, up to 9223372036854775807";

// A whole number, also written as some languages do: 2.0.
std::optional<int64_t> whole(const Json& value) {
  if (is_int(value)) return as_int(value);
  constexpr double kExact = int64_t{1} << 53;
  const double x = value.is_number_float() ? value.get<double>() : 0.5;
  if (std::trunc(x) != x || std::fabs(x) > kExact) return std::nullopt;
  return static_cast<int64_t>(x);
}

}  // namespace

const Json* JsonMembers::find(std::string_view name) const {
  const auto present = [&](std::string_view key) {
    const Json* value = ds::find(object_, key);
    return value && !value->is_null() ? value : nullptr;
  };
  const Json* found = present(name);
  std::string_view found_as = name;
  for (const JsonSynonym& synonym : synonyms_) {
    const Json* value = synonym.name == name ? present(synonym.other) : nullptr;
    if (!value) continue;
    if (found && dump(*found) != dump(*value))
      throw Error(kind_,
                  "\"" + std::string(found_as) + "\" and \"" + std::string(synonym.other) +
                      "\" mean the same and differ",
                  where_, "give one of them");
    found = value;
    found_as = synonym.other;
  }
  return found;
}

const std::string* JsonMembers::string(std::string_view name) const {
  const Json* value = find(name);
  if (value && !value->is_string()) refuse(name, "a string");
  return value ? &as_string(*value) : nullptr;
}

std::optional<bool> JsonMembers::boolean(std::string_view name) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_boolean()) refuse(name, "true or false");
  return value->get<bool>();
}

std::optional<double> JsonMembers::number(std::string_view name) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_number()) refuse(name, "a number");
  return value->get<double>();
}

std::optional<int64_t> JsonMembers::integer(std::string_view name) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  const std::optional<int64_t> n = whole(*value);
  if (!n) refuse(name, is_any_integer(*value) ? kRange : "a whole number");
  return n;
}

std::optional<int64_t> JsonMembers::count(std::string_view name) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  const std::optional<int64_t> n = whole(*value);
  if (!n && is_any_integer(*value)) refuse(name, kRange);
  if (!n || *n < 0) refuse(name, "a whole number, 0 or more");
  return n;
}

const Json* JsonMembers::list(std::string_view name) const {
  const Json* value = find(name);
  if (value && !value->is_array()) refuse(name, "a list");
  return value;
}

const Json* JsonMembers::object(std::string_view name) const {
  const Json* value = find(name);
  if (value && !value->is_object()) refuse(name, "an object");
  return value;
}

void JsonMembers::refuse(std::string_view name, const std::string& wanted) const {
  throw Error(kind_, "\"" + std::string(name) + "\" must be " + wanted, where_);
}

}  // namespace ds
