#include "quant/config_edit.h"

#include <algorithm>

#include "core/json_value.h"

namespace ds::quant {
namespace {

// One past the end of the JSON string that starts at text[i] == '"'.
size_t string_end(const std::string& text, size_t i) {
  for (++i; i < text.size() && text[i] != '"'; ++i)
    if (text[i] == '\\') ++i;
  return i + 1;
}

struct RawMember {
  std::string key, value;  // as written; the key with its quotes
};

// The members of the object `text`, which a parser has found valid.
std::vector<RawMember> raw_members(const std::string& text) {
  std::vector<RawMember> members;
  constexpr const char* kSpace = " \t\r\n";
  size_t i = text.find('{') + 1;
  for (;;) {
    i = text.find_first_not_of(" \t\r\n,", i);
    if (i == std::string::npos || text[i] == '}') return members;
    RawMember member;
    const size_t key_end = string_end(text, i);
    member.key = text.substr(i, key_end - i);
    i = text.find_first_not_of(kSpace, text.find(':', key_end) + 1);
    const size_t begin = i;
    for (int depth = 0; i < text.size();) {
      if (text[i] == '"') {
        i = string_end(text, i);
        continue;
      }
      if (text[i] == '{' || text[i] == '[') ++depth;
      if (depth == 0 && (text[i] == ',' || text[i] == '}')) break;
      if (text[i] == '}' || text[i] == ']') --depth;
      ++i;
    }
    const size_t end = text.find_last_not_of(kSpace, i - 1) + 1;
    member.value = text.substr(begin, end - begin);
    members.push_back(std::move(member));
  }
}

}  // namespace

std::string edit_json_members(const std::string& text,
                              const std::vector<std::pair<std::string, std::optional<std::string>>>& edits) {
  std::vector<RawMember> members = raw_members(text);
  for (const auto& [key, value] : edits) {
    std::string quoted;
    append_json_string(quoted, key);
    const auto it =
        std::find_if(members.begin(), members.end(), [&](const RawMember& m) { return m.key == quoted; });
    if (!value) {
      if (it != members.end()) members.erase(it);
    } else if (it != members.end()) {
      it->value = *value;
    } else {
      members.push_back({quoted, *value});
    }
  }
  std::string out = "{";
  for (size_t i = 0; i < members.size(); ++i)
    out += (i ? ",\n  " : "\n  ") + members[i].key + ": " + members[i].value;
  return out + "\n}\n";
}

std::string pretty_json(const Json& value, int depth) {
  const std::string inner(2 * (depth + 1), ' '), outer(2 * depth, ' ');
  std::string out;
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, member] : value.items()) {
      out += out.empty() ? "{\n" : ",\n";
      out += inner;
      append_json_string(out, key);
      out += ": " + pretty_json(member, depth + 1);
    }
    return out + "\n" + outer + "}";
  }
  if (value.is_array() && !value.empty()) {
    for (const Json& element : value)
      out += (out.empty() ? "[\n" : ",\n") + inner + pretty_json(element, depth + 1);
    return out + "\n" + outer + "]";
  }
  return dump(value);
}

}  // namespace ds::quant
