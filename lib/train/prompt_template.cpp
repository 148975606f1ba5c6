#include "train/prompt_template.h"

#include <algorithm>

#include "core/error.h"
#include "core/json_value.h"
#include "train/record_format.h"

namespace ds::train {
namespace {

std::string unescaped(const std::string& source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    const char next = source[i] == '\\' && i + 1 < source.size() ? source[i + 1] : '\0';
    if (next == 'n' || next == 't' || next == '\\') {
      out += next == 'n' ? '\n' : next == 't' ? '\t' : '\\';
      ++i;
    } else {
      out += source[i];
    }
  }
  return out;
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '-' || static_cast<unsigned char>(c) >= 0x80;
}

// The end of the place that begins at `open`, its brace included; npos where that is only a brace.
size_t end_of_place(const std::string& text, size_t open) {
  size_t i = open + 1;
  while (i < text.size() && is_name_char(text[i])) ++i;
  return i > open + 1 && i < text.size() && text[i] == '}' ? i + 1 : std::string::npos;
}

// The member at a path "a.b"; a member that has a dot in its own name comes first.
const Json* member_at(const Json& record, const std::string& path) {
  if (const Json* own = find(record, path)) return own;
  const size_t dot = path.find('.');
  if (dot == std::string::npos) return nullptr;
  const Json* inner = find(record, path.substr(0, dot));
  return inner ? member_at(*inner, path.substr(dot + 1)) : nullptr;
}

std::string text_at(const Json& record, const std::string& path, const std::string& where) {
  const Json* value = member_at(record, path);
  if (!value || value->is_null())
    throw Error(ErrorKind::kBadData, "has no \"" + path + "\", which the template names", where,
                "it has " + members_text(record));
  if (value->is_string()) return as_string(*value);
  if (value->is_number() || value->is_boolean() || is_any_integer(*value)) return dump(*value);
  throw Error(ErrorKind::kBadData, "\"" + path + "\", which the template names, is no text", where);
}

}  // namespace

PromptTemplate PromptTemplate::parse(const std::string& source, const Tokenizer& tokenizer) {
  PromptTemplate out;
  const std::string text = unescaped(source);
  // Text between places, split at the special tokens in it.
  const auto add_text = [&](std::string_view literal) {
    const auto add = [&](std::string_view part) {
      if (!part.empty()) out.parts_.push_back({Part::Kind::kText, std::string(part)});
    };
    size_t begin = 0, at = 0;
    for (const int32_t id : tokenizer.encode(literal)) {
      if (!tokenizer.is_special(id)) continue;
      const std::string_view bytes = tokenizer.token_bytes(id);
      at = literal.find(bytes, begin);
      if (at == std::string_view::npos) continue;
      add(literal.substr(begin, at - begin));
      out.parts_.push_back({Part::Kind::kToken, std::string(bytes), id});
      begin = at + bytes.size();
    }
    add(literal.substr(begin));
  };
  size_t begin = 0;
  for (size_t open = text.find('{'); open != std::string::npos;) {
    const size_t end = end_of_place(text, open);
    if (end == std::string::npos) {
      open = text.find('{', open + 1);
      continue;
    }
    add_text(std::string_view(text).substr(begin, open - begin));
    out.parts_.push_back({Part::Kind::kPlace, text.substr(open + 1, end - open - 2)});
    begin = end;
    open = text.find('{', end);
  }
  add_text(std::string_view(text).substr(begin));
  return out;
}

bool PromptTemplate::has_places() const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const Part& part) { return part.kind == Part::Kind::kPlace; });
}

std::vector<int32_t> PromptTemplate::encode(const Json& record, const Tokenizer& tokenizer,
                                            bool parse_special, const std::string& where) const {
  std::vector<int32_t> ids;
  std::string text;  // up to the next special token
  const auto flush = [&] {
    const std::vector<int32_t> more = tokenizer.encode(text, parse_special);
    ids.insert(ids.end(), more.begin(), more.end());
    text.clear();
  };
  for (const Part& part : parts_) {
    if (part.kind == Part::Kind::kText) text += part.text;
    if (part.kind == Part::Kind::kPlace) text += text_at(record, part.text, where);
    if (part.kind != Part::Kind::kToken) continue;
    flush();
    ids.push_back(part.id);
  }
  flush();
  return ids;
}

}  // namespace ds::train
