#include "core/json.h"

#include <charconv>
#include <cmath>

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

void append_value(std::string& out, const Json& v) {
  if (v.is_null()) {
    out += "null";
  } else if (v.is_bool()) {
    out += v.as_bool() ? "true" : "false";
  } else if (v.is_int()) {
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, v.as_int()).ptr);
  } else if (v.is_number()) {
    append_json_number(out, v.as_double());
  } else if (v.is_string()) {
    append_json_string(out, v.as_string());
  } else if (v.is_array()) {
    out += '[';
    for (size_t i = 0; i < v.as_array().size(); ++i) {
      if (i) out += ',';
      append_value(out, v.as_array()[i]);
    }
    out += ']';
  } else {
    out += '{';
    bool first = true;
    for (const auto& [key, value] : v.as_object()) {
      if (!first) out += ',';
      first = false;
      append_json_string(out, key);
      out += ':';
      append_value(out, value);
    }
    out += '}';
  }
}

}  // namespace

const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const auto& member : as_object())
    if (member.first == key) return &member.second;
  return nullptr;
}

void Json::set(std::string key, Json value) {
  if (is_null()) v_ = Object{};
  for (auto& member : as_object()) {
    if (member.first == key) {
      member.second = std::move(value);
      return;
    }
  }
  as_object().emplace_back(std::move(key), std::move(value));
}

std::string Json::dump() const {
  std::string out;
  append_value(out, *this);
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
