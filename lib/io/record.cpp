#include "io/record.h"

#include <simdjson.h>

#include "core/json.h"

namespace ds::io {
namespace {

static_assert(kRecordPadding >= simdjson::SIMDJSON_PADDING);
constexpr size_t kMaxDepth = 256;

const char* explain(simdjson::error_code error) {
  switch (error) {
    case simdjson::UTF8_ERROR:
      return "not valid UTF-8";
    case simdjson::STRING_ERROR:
      return "bad string: a broken escape or a lone surrogate";
    case simdjson::UNESCAPED_CHARS:
      return "a control character inside a string";
    case simdjson::UNCLOSED_STRING:
      return "a string is not closed";
    case simdjson::DEPTH_ERROR:
      return "nested deeper than 256 levels";
    case simdjson::EMPTY:
      return "blank line";
    case simdjson::CAPACITY:
    case simdjson::MEMALLOC:
      return "line too long";
    default:
      return "not valid JSON";
  }
}

// End of the JSON string that starts at `i` (its opening quote): the offset behind the closing quote.
size_t skip_string(std::string_view s, size_t i) {
  for (++i; i < s.size(); ++i) {
    if (s[i] == '\\')
      ++i;
    else if (s[i] == '"')
      return i + 1;
  }
  return s.size();
}

}  // namespace

struct FieldReader::State {
  RecordFields fields;
  simdjson::dom::parser parser;
};

FieldReader::FieldReader(RecordFields fields) : state_(std::make_unique<State>()) {
  state_->fields = std::move(fields);
}
FieldReader::~FieldReader() = default;
FieldReader::FieldReader(FieldReader&&) noexcept = default;

void FieldReader::parse(std::string_view line, FieldRecord& out) {
  out.ok = out.has_text = out.duplicate_keys = false;
  out.error = nullptr;
  out.text = out.url = {};
  out.id.clear();
  simdjson::dom::parser& parser = state_->parser;
  simdjson::error_code error = simdjson::SUCCESS;
  if (parser.capacity() < line.size() || parser.max_depth() != kMaxDepth)
    error = parser.allocate(line.size() + line.size() / 2 + 1024, kMaxDepth);
  simdjson::dom::element root;
  if (!error) error = parser.parse(line.data(), line.size(), false).get(root);
  if (error) {
    out.error = explain(error);
    return;
  }
  simdjson::dom::object object;
  if (root.get(object)) {
    out.error = "not a JSON object";
    return;
  }
  out.ok = true;
  const RecordFields& f = state_->fields;
  for (const auto field : object) {
    if (field.key == f.text_field) {
      out.duplicate_keys |= out.has_text;
      std::string_view value;
      if (!out.has_text && !field.value.get(value)) {
        out.has_text = true;
        out.text = value;
      }
    } else if (field.key == f.id_field && out.id.empty()) {
      std::string_view value;
      int64_t number = 0;
      if (!field.value.get(value))
        out.id = value;
      else if (!field.value.get(number))
        out.id = std::to_string(number);
    } else if (field.key == f.url_field) {
      std::string_view value;
      if (!field.value.get(value)) out.url = value;
    }
  }
}

std::string replace_text(std::string_view line, std::string_view key, std::string_view text) {
  simdjson::dom::parser parser;
  size_t depth = 0;
  for (size_t i = 0; i < line.size();) {
    const char c = line[i];
    if (c == '{' || c == '[') {
      ++depth, ++i;
    } else if (c == '}' || c == ']') {
      --depth, ++i;
    } else if (c == '"') {
      const size_t end = skip_string(line, i);
      size_t colon = end;
      while (colon < line.size() && (line[colon] == ' ' || line[colon] == '\t')) ++colon;
      const bool is_key = depth == 1 && colon < line.size() && line[colon] == ':';
      if (is_key) {
        std::string_view name;
        const std::string quoted(line.substr(i, end - i));  // may contain escapes: decode it
        size_t value = colon + 1;
        while (value < line.size() && (line[value] == ' ' || line[value] == '\t')) ++value;
        if (!parser.parse(quoted).get(name) && name == key && value < line.size() && line[value] == '"') {
          std::string out(line.substr(0, value));
          append_json_string(out, text);
          out += line.substr(skip_string(line, value));
          return out;
        }
      }
      i = end;
    } else {
      ++i;
    }
  }
  return std::string(line);
}

}  // namespace ds::io
