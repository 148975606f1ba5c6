// A JSON value: what configs, records and template variables are made of. Parsing lives in io/json.h, this is
// data. Object members keep the order in which they were written; keys are looked up linearly (objects here
// are small).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/rooms.h"

namespace ds {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;  // null
  Json(std::nullptr_t) {}
  Json(bool v) : v_(v) {}
  Json(int v) : v_(static_cast<int64_t>(v)) {}
  Json(int64_t v) : v_(v) {}
  Json(double v) : v_(v) {}
  Json(const char* v) : v_(std::string(v)) {}
  Json(std::string v) : v_(std::move(v)) {}
  Json(std::string_view v) : v_(std::string(v)) {}
  Json(Array v) : v_(std::move(v)) {}
  Json(Object v) : v_(std::move(v)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(v_); }
  bool is_bool() const { return std::holds_alternative<bool>(v_); }
  bool is_int() const { return std::holds_alternative<int64_t>(v_); }
  bool is_number() const { return is_int() || std::holds_alternative<double>(v_); }
  bool is_string() const { return std::holds_alternative<std::string>(v_); }
  bool is_array() const { return std::holds_alternative<Array>(v_); }
  bool is_object() const { return std::holds_alternative<Object>(v_); }

  // Each throws std::bad_variant_access when the value is of another kind: ask first.
  bool as_bool() const { return std::get<bool>(v_); }
  int64_t as_int() const { return std::get<int64_t>(v_); }
  double as_double() const { return is_int() ? static_cast<double>(as_int()) : std::get<double>(v_); }
  const std::string& as_string() const { return std::get<std::string>(v_); }
  const Array& as_array() const { return std::get<Array>(v_); }
  const Object& as_object() const { return std::get<Object>(v_); }
  Array& as_array() { return std::get<Array>(v_); }
  Object& as_object() { return std::get<Object>(v_); }

  // The member of that name, or nullptr when absent or when this is no object.
  const Json* find(std::string_view key) const;
  // Replaces or appends a member; null becomes an object first.
  void set(std::string key, Json value);

  // Compact RFC 8259 text in UTF-8; shortest round-trip numbers; NaN and infinities become null.
  std::string dump() const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> v_;
};

// Appends `text` as a JSON string with its quotes. Valid UTF-8 is kept as it is, a broken byte becomes
// U+FFFD.
void append_json_string(std::string& out, std::string_view text);
// Appends a number as the shortest text that reads back the same, "2.0" for two; `null` when not finite.
void append_json_number(std::string& out, double value);
void append_json_number(std::string& out, float value);

}  // namespace ds
