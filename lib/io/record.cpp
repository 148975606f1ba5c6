#include "io/record.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

#include "core/json.h"
#include "core/utf8.h"

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

// Walking over a line that is known to be JSON. Each returns the offset behind what starts at `i`.
size_t skip_string(std::string_view s, size_t i) {
  for (++i; i < s.size(); ++i) {
    if (s[i] == '\\')
      ++i;
    else if (s[i] == '"')
      return i + 1;
  }
  return s.size();
}
size_t skip_blanks(std::string_view s, size_t i) {
  while (i < s.size() && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n')) ++i;
  return i;
}
size_t skip_value(std::string_view s, size_t i) {
  size_t depth = 0;
  while (i < s.size()) {
    const char c = s[i];
    if (c == '"') {
      i = skip_string(s, i);
    } else if (c == '{' || c == '[') {
      ++depth, ++i;
      continue;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return i;
      --depth, ++i;
    } else if (depth == 0 && c != ',' && c != ':') {
      while (i < s.size() && !std::strchr(",]} \t\r\n", s[i])) ++i;
    } else {
      ++i;
      continue;
    }
    if (depth == 0) return i;
  }
  return i;
}

// The members of the object that starts at `i`: visit(name as written, value's offset).
template <class Visit>
void each_member(std::string_view s, size_t i, Visit&& visit) {
  for (i = skip_blanks(s, i + 1); i < s.size() && s[i] == '"';) {
    const size_t name_end = skip_string(s, i);
    const std::string_view name = s.substr(i + 1, name_end - i - 2);
    const size_t value = skip_blanks(s, skip_blanks(s, name_end) + 1);
    visit(name, value);
    i = skip_blanks(s, skip_value(s, value));
    if (i < s.size() && s[i] == ',') i = skip_blanks(s, i + 1);
  }
}
// The items of the array that starts at `i`.
template <class Visit>
void each_item(std::string_view s, size_t i, Visit&& visit) {
  for (i = skip_blanks(s, i + 1); i < s.size() && s[i] != ']';) {
    visit(i);
    i = skip_blanks(s, skip_value(s, i));
    if (i < s.size() && s[i] == ',') i = skip_blanks(s, i + 1);
  }
}

// What JSON writers escape in a string; the string is known to be sound.
std::string unescaped(std::string_view s) {
  std::string out;
  const auto hex = [&](size_t at) {
    uint32_t v = 0;
    for (size_t k = 0; k < 4; ++k) {
      const char c = s[at + k];
      v = v << 4 | static_cast<uint32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
  };
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '\\') {
      out += s[i];
      continue;
    }
    constexpr std::string_view kLetters = "bfnrt", kControls = "\b\f\n\r\t";
    const char c = s[++i];
    if (c == 'u') {
      uint32_t v = hex(i + 1);
      i += 4;
      if (v >= 0xD800 && v < 0xDC00) {
        v = 0x10000 + ((v - 0xD800) << 10) + (hex(i + 3) - 0xDC00);
        i += 6;
      }
      append_utf8(out, v);
    } else {
      const size_t letter = kLetters.find(c);
      out += letter == kLetters.npos ? c : kControls[letter];
    }
  }
  return out;
}

// Finds the strings of a line that make up its text.
class PieceFinder {
 public:
  using Place = std::pair<size_t, size_t>;
  PieceFinder(std::string_view line, const std::vector<std::string>& paths)
      : line_(line), paths_(paths), found_(paths.size()), has_(paths.size()), seen_(paths.size()) {}

  void run() { object(skip_blanks(line_, 0), ""); }
  // Any of the paths led to a text, if an empty one.
  bool any() const { return std::find(has_.begin(), has_.end(), true) != has_.end(); }
  const std::vector<Place>& superseded() const { return superseded_; }
  // In the order of the paths.
  std::vector<Place> places() const {
    std::vector<Place> all;
    for (const auto& some : found_) all.insert(all.end(), some.begin(), some.end());
    return all;
  }

 private:
  void object(size_t at, const std::string& prefix) {
    each_member(line_, at, [&](std::string_view raw, size_t value) {
      const std::string path = prefix + (raw.find('\\') == raw.npos ? std::string(raw) : unescaped(raw));
      bool below = false;
      for (size_t p = 0; p < paths_.size(); ++p) {
        if (paths_[p] == path) take(p, value);
        below |= paths_[p].size() > path.size() && paths_[p].compare(0, path.size(), path) == 0 &&
                 paths_[p][path.size()] == '.';
      }
      if (below && line_[value] == '{') object(value, path + ".");
    });
  }
  void take(size_t path, size_t value) {
    if (const char kind = line_[seen_[path]]; seen_[path] && (kind == '"' || kind == '['))
      superseded_.emplace_back(seen_[path], skip_value(line_, seen_[path]));
    seen_[path] = value;
    found_[path].clear();
    has_[path] = line_[value] == '"';
    if (line_[value] == '"')
      string(path, value);
    else if (line_[value] == '[')
      list(path, value);
  }
  void string(size_t path, size_t value) {
    found_[path].emplace_back(value, skip_string(line_, value));
    has_[path] = true;
  }
  // Strings, or messages: {"role": ..., "content": text or [{"type": "text", "text": ...}]}, ShareGPT's
  // {"value": ...}.
  void list(size_t path, size_t at) {
    each_item(line_, at, [&](size_t item) {
      if (line_[item] == '"') string(path, item);
      if (line_[item] != '{') return;
      each_member(line_, item, [&](std::string_view name, size_t value) {
        if (name != "content" && name != "value" && name != "text") return;
        if (line_[value] == '"') string(path, value);
        if (line_[value] == '[') list(path, value);
      });
    });
  }

  std::string_view line_;
  const std::vector<std::string>& paths_;
  std::vector<std::vector<Place>> found_;
  std::vector<bool> has_;
  std::vector<size_t> seen_;  // where the value of a path's last member begins; 0: none yet
  std::vector<Place> superseded_;
};

std::vector<std::string> split_paths(const std::string& list) {
  std::vector<std::string> paths;
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    if (comma > at) paths.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return paths;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// End of the JSON number at `i`; `i` when there is none.
size_t number_end(std::string_view s, size_t i) {
  const size_t begin = i;
  const auto digits = [&] {
    const size_t from = i;
    while (i < s.size() && is_digit(s[i])) ++i;
    return i > from;
  };
  if (i < s.size() && s[i] == '-') ++i;
  const bool zero = i < s.size() && s[i] == '0';
  if (!digits() || (zero && i - begin > (s[begin] == '-' ? 2u : 1u))) return begin;
  if (i < s.size() && s[i] == '.') {
    ++i;
    if (!digits()) return begin;
  }
  if (i < s.size() && (s[i] | 0x20) == 'e') {
    ++i;
    if (i < s.size() && (s[i] == '+' || s[i] == '-')) ++i;
    if (!digits()) return begin;
  }
  return i;
}

// Numbers that JSON allows and no 64 bits hold become zeros of the same length: what they are is nobody's
// business here, and the line's bytes stay as they came. False when there is none.
bool blank_large_numbers(std::string& line) {
  bool any = false;
  for (size_t i = 0; i < line.size();) {
    if (line[i] == '"') {
      i = skip_string(line, i);
      continue;
    }
    const size_t end = line[i] == '-' || is_digit(line[i]) ? number_end(line, i) : i;
    if (end == i) {
      ++i;
      continue;
    }
    constexpr size_t kSurelyHeld = 15;
    const bool exponent = line.substr(i, end - i).find_first_of("eE") != std::string::npos;
    if (end - i > kSurelyHeld || exponent) {
      line[i] = '0';
      std::fill(line.begin() + static_cast<ptrdiff_t>(i) + 1, line.begin() + static_cast<ptrdiff_t>(end),
                ' ');
      any = true;
    }
    i = end;
  }
  return any;
}

// Of a line that is no JSON: what it looks like instead.
const char* explain_line(std::string_view line, const char* otherwise) {
  const size_t begin = skip_blanks(line, 0);
  if (begin < line.size() && line[begin] == '{') {
    size_t next = skip_blanks(line, skip_value(line, begin));
    if (next < line.size() && line[next] == ',') next = skip_blanks(line, next + 1);
    if (next < line.size() && line[next] == '{') return "more than one JSON object on the line";
  }
  for (size_t i = 0; i < line.size();) {
    if (line[i] == '"') {
      i = skip_string(line, i);
      continue;
    }
    for (const std::string_view word : {"NaN", "Infinity"})
      if (line.substr(i, word.size()) == word) return "NaN or Infinity, which JSON does not know";
    ++i;
  }
  return otherwise;
}

}  // namespace

struct FieldReader::State {
  RecordFields fields;
  std::vector<std::string> paths;
  std::vector<std::string> conversation = {
      "messages"};  // where the text is when nobody said where and there is none
  bool plain;       // the text is one member of the top level
  simdjson::dom::parser parser;
  std::string copy;  // of a line with numbers beyond 64 bits
  std::string joined;

  simdjson::error_code parse(std::string_view line, simdjson::dom::element& root) {
    if (parser.capacity() < line.size() || parser.max_depth() != kMaxDepth)
      if (const auto error = parser.allocate(line.size() + line.size() / 2 + 1024, kMaxDepth)) return error;
    return parser.parse(line.data(), line.size(), false).get(root);
  }
  bool join_pieces(std::string_view line, const std::vector<std::string>& where, FieldRecord& out) {
    PieceFinder finder(line, where);
    finder.run();
    out.superseded.insert(out.superseded.end(), finder.superseded().begin(), finder.superseded().end());
    if (!finder.any()) return false;
    joined.clear();
    for (const auto& [begin, end] : finder.places()) {
      if (!joined.empty()) joined += '\n';
      const size_t at = joined.size();
      joined += unescaped(line.substr(begin + 1, end - begin - 2));
      out.pieces.push_back({begin, end, at, joined.size()});
    }
    out.has_text = true;
    out.text = joined;
    return true;
  }
};

FieldReader::FieldReader(RecordFields fields) : state_(std::make_unique<State>()) {
  state_->fields = std::move(fields);
  state_->paths = split_paths(state_->fields.text_field);
  state_->plain = state_->paths.size() == 1;
}
FieldReader::~FieldReader() = default;
FieldReader::FieldReader(FieldReader&&) noexcept = default;

void FieldReader::parse(std::string_view line, FieldRecord& out) {
  out.ok = out.has_text = false;
  out.error = nullptr;
  out.text = out.url = {};
  out.pieces.clear();
  out.superseded.clear();
  out.id.clear();
  simdjson::dom::element root;
  simdjson::error_code error = state_->parse(line, root);
  if (error) {
    state_->copy.assign(line);
    if (blank_large_numbers(state_->copy)) {
      state_->copy.resize(line.size() + kRecordPadding);
      error = state_->parse(std::string_view(state_->copy).substr(0, line.size()), root);
    }
  }
  if (error) {
    out.error = explain(error);
    if (error == simdjson::TAPE_ERROR || error == simdjson::NUMBER_ERROR)
      out.error = explain_line(line, out.error);
    return;
  }
  simdjson::dom::object object;
  if (root.get(object)) {
    out.error = "not a JSON object";
    return;
  }
  out.ok = true;
  const RecordFields& f = state_->fields;
  bool seen = false, again = false, id_is_number = false;
  for (const auto field : object) {
    if (state_->plain && field.key == state_->paths[0]) {
      again |= seen;
      seen = true;
      std::string_view value;
      out.has_text = !field.value.get(value);
      out.text = out.has_text ? value : std::string_view();
    } else if (field.key == f.id_field) {
      std::string_view value;
      id_is_number = field.value.is_number();
      out.id = field.value.get(value) ? std::string_view() : value;
    } else if (field.key == f.url_field) {
      std::string_view value;
      if (!field.value.get(value)) out.url = value;
    }
  }
  if (id_is_number) {  // its digits as they are written
    const auto [begin, end] = find_member(line, f.id_field);
    out.id = line.substr(begin, end - begin);
  }
  if (out.has_text) {
    if (!again) return;
    PieceFinder finder(line, state_->paths);
    finder.run();
    out.superseded = finder.superseded();
    return;
  }
  const bool found = state_->join_pieces(line, state_->paths, out);
  if (!found && f.text_field == RecordFields().text_field)
    state_->join_pieces(line, state_->conversation, out);
}

void each_text_member(std::string_view line, const std::function<void(const std::string&)>& visit) {
  const auto member = [&](const std::string& path, size_t value) {
    const bool messages = line[value] == '[' && skip_blanks(line, value + 1) < line.size() &&
                          line[skip_blanks(line, value + 1)] == '{';
    if (line[value] == '"' || messages) visit(path);
  };
  each_member(line, skip_blanks(line, 0), [&](std::string_view name, size_t value) {
    const std::string path = unescaped(name);
    member(path, value);
    if (line[value] == '{')
      each_member(line, value, [&](std::string_view below, size_t inner) {
        member(path + "." + unescaped(below), inner);
      });
  });
}

std::string replace_strings(std::string_view line, const std::vector<StringEdit>& edits) {
  std::string out;
  size_t at = 0;
  for (const StringEdit& e : edits) {
    out += line.substr(at, e.begin - at);
    append_json_string(out, e.text);
    at = e.end;
  }
  return out += line.substr(at);
}

std::pair<size_t, size_t> find_member(std::string_view line, std::string_view key) {
  std::pair<size_t, size_t> found{0, 0};
  each_member(line, skip_blanks(line, 0), [&](std::string_view name, size_t value) {
    if (name == key || (name.find('\\') != name.npos && unescaped(name) == key))
      found = {value, skip_value(line, value)};
  });
  return found;
}

}  // namespace ds::io
