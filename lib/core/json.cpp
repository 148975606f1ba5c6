#include "core/json.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/json_value.h"
#include "core/utf8.h"

namespace ds {
namespace {

template <class Float>
void append_float(std::string& out, Float value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out.append(buffer, end);
  // A whole number keeps its kind: 2.0 reads back as a double, and 1e20 as no integer that is too large.
  if (std::string_view(buffer, end - buffer).find_first_of(".e") == std::string_view::npos) out += ".0";
}

constexpr uint64_t kLongInteger = 1;  // subtype of a binary value that holds decimal digits

template <class Integer>
void append_integer(std::string& out, Integer value) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void append_value(std::string& out, const Json& v) {
  switch (v.type()) {
    case Json::value_t::null:
    case Json::value_t::discarded:
      out += "null";
      return;
    case Json::value_t::boolean:
      out += v.get<bool>() ? "true" : "false";
      return;
    case Json::value_t::number_integer:
      return append_integer(out, v.get<int64_t>());
    case Json::value_t::number_unsigned:
      return append_integer(out, v.get<uint64_t>());
    case Json::value_t::number_float:
      return append_json_number(out, v.get<double>());
    case Json::value_t::binary:
      out += long_integer_digits(v);
      return;
    case Json::value_t::string:
      return append_json_string(out, as_string(v));
    case Json::value_t::array: {
      char separator = '[';
      for (const Json& item : v) {
        out += std::exchange(separator, ',');
        append_value(out, item);
      }
      out += v.empty() ? "[]" : "]";
      return;
    }
    case Json::value_t::object: {
      char separator = '{';
      for (const auto& [key, value] : v.items()) {
        out += std::exchange(separator, ',');
        append_json_string(out, key);
        out += ':';
        append_value(out, value);
      }
      out += v.empty() ? "{}" : "}";
      return;
    }
  }
}

}  // namespace

const Json* find(const Json& value, std::string_view key) {
  if (!value.is_object()) return nullptr;
  for (const auto& [name, member] : value.get_ref<const Json::object_t&>())
    if (name == key) return &member;
  return nullptr;
}

bool is_int(const Json& value) {
  if (value.is_number_unsigned()) return value.get<uint64_t>() <= std::numeric_limits<int64_t>::max();
  return value.is_number_integer();
}

bool is_any_integer(const Json& value) {
  return value.is_number_integer() || !long_integer_digits(value).empty();
}

int64_t as_int(const Json& value) {
  DS_CHECK(is_int(value));
  return value.get<int64_t>();
}
const std::string& as_string(const Json& value) { return value.get_ref<const std::string&>(); }

Json long_integer(std::string_view digits) {
  return Json::binary(std::vector<uint8_t>(digits.begin(), digits.end()), kLongInteger);
}

std::string_view long_integer_digits(const Json& value) {
  if (!value.is_binary() || value.get_binary().subtype() != kLongInteger) return {};
  return {reinterpret_cast<const char*>(value.get_binary().data()), value.get_binary().size()};
}

std::string dump(const Json& value) {
  std::string out;
  append_value(out, value);
  return out;
}

namespace {
bool is_plain(uint8_t b) { return b >= 0x20 && b < 0x7F && b != '"' && b != '\\'; }
}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (size_t i = 0; i < text.size();) {
    // What needs no escape is copied in one piece.
    size_t end = i;
    Utf8Char c;
    while (end < text.size()) {
      const uint8_t b = static_cast<uint8_t>(text[end]);
      if (b >= 0x80) {
        c = decode_utf8(text.substr(end));
        if (c.length == 0) break;
        end += c.length;
      } else if (is_plain(b)) {
        ++end;
      } else {
        break;
      }
    }
    out.append(text, i, end - i);
    i = end;
    if (i == text.size()) break;
    const uint8_t b = static_cast<uint8_t>(text[i]);
    if (b >= 0x80) {
      out += "\xEF\xBF\xBD";
      i += c.invalid_length;
      continue;
    }
    ++i;
    switch (b) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        out += "\\u00";
        out += kHex[b >> 4];
        out += kHex[b & 15];
    }
  }
  out += '"';
}

void append_json_number(std::string& out, double value) { append_float(out, value); }
void append_json_number(std::string& out, float value) { append_float(out, value); }

}  // namespace ds
