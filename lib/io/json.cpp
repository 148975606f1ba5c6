#include "io/json.h"

#include <simdjson.h>

namespace ds::io {
namespace {

constexpr size_t kMaxDepth = 500;

Json convert(simdjson::dom::element e) {
  using simdjson::dom::element_type;
  switch (e.type()) {
    case element_type::ARRAY: {
      const simdjson::dom::array in = e;
      Json::Array out;
      out.reserve(in.size());
      for (const auto item : in) out.push_back(convert(item));
      return out;
    }
    case element_type::OBJECT: {
      const simdjson::dom::object in = e;
      Json::Object out;
      out.reserve(in.size());
      for (const auto field : in) out.emplace_back(std::string(field.key), convert(field.value));
      return out;
    }
    case element_type::INT64:
      return Json(int64_t(e));
    case element_type::UINT64:
      return Json(static_cast<double>(uint64_t(e)));  // beyond 2^63
    case element_type::DOUBLE:
      return Json(double(e));
    case element_type::STRING:
      return Json(std::string_view(e));
    case element_type::BOOL:
      return Json(bool(e));
    case element_type::NULL_VALUE:
      return Json();
  }
  return Json();
}

// Integers of any length are JSON, and checkpoints have them ("model_max_length":
// 1000000000000000019884624838656). Written with ".0" they are read as the nearest double, as beyond 2^63
// anyway.
std::string with_long_integers_as_doubles(std::string_view text) {
  constexpr size_t kSafeDigits = 18;
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\' && i + 1 < text.size()) {
      out.append(text, i++, 2);
      continue;
    }
    if (c == '"') in_string = !in_string;
    out += c;
    const bool is_digit = c >= '0' && c <= '9';
    if (in_string || !is_digit) continue;
    size_t end = i;  // the run of digits, and what follows it
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    out.append(text, i + 1, end - i - 1);
    const char before = i > 0 ? text[i - 1] : ' ', after = end < text.size() ? text[end] : ' ';
    const bool is_fraction = before == '.' || before == 'e' || before == 'E' || before == '+' ||
                             after == '.' || after == 'e' || after == 'E';
    if (end - i > kSafeDigits && !is_fraction) out += ".0";
    i = end - 1;
  }
  return out;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where, ErrorKind kind) {
  simdjson::dom::parser parser;
  simdjson::error_code error = parser.allocate(text.size() + 1, kMaxDepth);
  simdjson::dom::element root;
  if (!error) error = parser.parse(text.data(), text.size()).get(root);
  if (error == simdjson::NUMBER_ERROR) {
    const std::string rewritten = with_long_integers_as_doubles(text);
    error = parser.allocate(rewritten.size() + 1, kMaxDepth);
    if (!error) error = parser.parse(rewritten).get(root);
  }
  if (error) {
    throw Error(kind, std::string("not valid JSON: ") + simdjson::error_message(error), where,
                "check the file with a JSON validator; it must be UTF-8");
  }
  return convert(root);
}

}  // namespace ds::io
