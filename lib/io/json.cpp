#include "io/json.h"

#include <simdjson.h>

namespace ds {
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

}  // namespace

Json parse_json(std::string_view text, const std::string& where, ErrorKind kind) {
  simdjson::dom::parser parser;
  simdjson::error_code error = parser.allocate(text.size() + 1, kMaxDepth);
  simdjson::dom::element root;
  if (!error) error = parser.parse(text.data(), text.size()).get(root);
  if (error) {
    throw Error(kind, std::string("not valid JSON: ") + simdjson::error_message(error), where,
                "check the file with a JSON validator; it must be UTF-8");
  }
  return convert(root);
}

}  // namespace ds
