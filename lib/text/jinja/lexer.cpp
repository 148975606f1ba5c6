#include "text/jinja/lexer.h"

#include <algorithm>

#include "core/utf8.h"

namespace ds::text::jinja {
namespace {

std::string normalize_newlines(std::string_view in) {
  std::string out;
  out.reserve(in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i] == '\r') {
      out += '\n';
      if (i + 1 < in.size() && in[i + 1] == '\n') ++i;
    } else {
      out += in[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool name_start(char c) {
  const uint8_t b = static_cast<uint8_t>(c);
  return c == '_' || ((b | 0x20) >= 'a' && (b | 0x20) <= 'z') || b >= 0x80;
}
bool digit(char c) { return c >= '0' && c <= '9'; }

// The last bytes of `text` that are white space.
std::string_view strip_right(std::string_view text) {
  while (!text.empty()) {
    size_t p = text.size() - 1;
    while (p > 0 && (static_cast<uint8_t>(text[p]) & 0xC0) == 0x80) --p;
    const Utf8Char c = decode_utf8(text.substr(p));
    if (c.length == 0 || !is_space(c.code_point)) break;
    text = text.substr(0, p);
  }
  return text;
}

class Lexer {
 public:
  Lexer(std::string source, const std::string& where)
      : source_(std::move(source)), text_(source_), where_(where) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) data();
    push(TokenType::kEnd, "");
    return std::move(tokens_);
  }

 private:
  // Text up to the next tag, then the tag.
  void data() {
    const size_t tag = find_tag(at_);
    std::string_view text = text_.substr(at_, tag == text_.npos ? text_.npos : tag - at_);
    const size_t text_begin = at_;
    if (tag == text_.npos) {
      push(TokenType::kText, std::string(text));
      at_ = text_.size();
      return;
    }
    const char type = text_[tag + 1];
    size_t i = tag + 2;
    const char sign = i < text_.size() ? text_[i] : '\0';
    if (sign == '-') {
      text = strip_right(text);
    } else if (sign != '+' && type != '{') {
      // lstrip_blocks: white space alone between the line's start and the tag goes.
      const size_t line_begin = text.rfind('\n') == text.npos ? 0 : text.rfind('\n') + 1;
      if ((line_begin > 0 || line_starting_) && strip_right(text.substr(line_begin)).empty())
        text = text.substr(0, line_begin);
    }
    if (!text.empty()) push(TokenType::kText, std::string(text));
    line_ += count_lines(text_.substr(text_begin, tag - text_begin));
    if (sign == '-' || sign == '+') ++i;
    at_ = i;
    if (type == '#') {
      const size_t close = text_.find("#}", i);
      if (close == text_.npos) syntax_error("a comment is not closed", line_, where_);
      line_ += count_lines(text_.substr(i, close - i));
      // The sign belongs to the closing mark when it is not the opening one's own.
      const bool minus = close > i && text_[close - 1] == '-', plus = close > i && text_[close - 1] == '+';
      close_tag(close + 2, minus, plus, true);
    } else if (type == '%') {
      if (!raw_block()) block();
    } else {
      push(TokenType::kOutputBegin, "");
      expression("}}", TokenType::kOutputEnd);
    }
  }

  size_t find_tag(size_t from) const {
    for (size_t i = text_.find('{', from); i != text_.npos && i + 1 < text_.size();
         i = text_.find('{', i + 1)) {
      const char c = text_[i + 1];
      if (c == '{' || c == '%' || c == '#') return i;
    }
    return text_.npos;
  }

  void block() {
    push(TokenType::kBlockBegin, "");
    expression("%}", TokenType::kBlockEnd);
  }

  // {% raw %} ... {% endraw %}
  bool raw_block() {
    size_t i = skip_space(at_);
    if (text_.substr(i, 3) != "raw") return false;
    i = skip_space(i + 3);
    const bool minus = text_.substr(i, 1) == "-", plus = text_.substr(i, 1) == "+";
    if (minus || plus) ++i;
    if (text_.substr(i, 2) != "%}") return false;
    close_tag(i + 2, minus, plus, true);
    for (size_t tag = text_.find("{%", at_); tag != text_.npos; tag = text_.find("{%", tag + 2)) {
      size_t p = tag + 2;
      const bool strip = text_.substr(p, 1) == "-";
      if (strip || text_.substr(p, 1) == "+") ++p;
      p = skip_space(p);
      if (text_.substr(p, 6) != "endraw") continue;
      p = skip_space(p + 6);
      const bool end_minus = text_.substr(p, 1) == "-", end_plus = text_.substr(p, 1) == "+";
      if (end_minus || end_plus) ++p;
      if (text_.substr(p, 2) != "%}") continue;
      std::string_view body = text_.substr(at_, tag - at_);
      line_ += count_lines(body);
      if (strip) {
        body = strip_right(body);
      } else {
        const size_t line_begin = body.rfind('\n') == body.npos ? 0 : body.rfind('\n') + 1;
        if ((line_begin > 0 || line_starting_) && strip_right(body.substr(line_begin)).empty())
          body = body.substr(0, line_begin);
      }
      if (!body.empty()) push(TokenType::kText, std::string(body));
      close_tag(p + 2, end_minus, end_plus, true);
      return true;
    }
    syntax_error("raw block is not closed", line_, where_);
  }

  // Continues after a closing mark: '-' eats white space, trim_blocks one newline.
  void close_tag(size_t after, bool minus, bool plus, bool trim) {
    size_t i = after;
    if (minus) {
      i = skip_space(i);
    } else if (trim && !plus && i < text_.size() && text_[i] == '\n') {
      ++i;
    }
    line_ += count_lines(text_.substr(after, i - after));
    line_starting_ = i > 0 && text_[i - 1] == '\n';
    at_ = i;
  }

  void expression(std::string_view close, TokenType end) {
    std::string open;  // brackets still open: a closing mark inside them is no mark ("}}" of nested dicts)
    for (;;) {
      const size_t next = skip_space(at_);
      line_ += count_lines(text_.substr(at_, next - at_));
      at_ = next;
      if (at_ >= text_.size()) syntax_error("a tag is not closed", line_, where_);
      if (open.empty()) {
        const char sign = text_[at_];
        const bool minus = sign == '-', plus = sign == '+' && end == TokenType::kBlockEnd;
        const size_t mark = at_ + (minus || plus ? 1 : 0);
        if (text_.substr(mark, 2) == close) {
          push(end, "");
          close_tag(mark + 2, minus, plus, end == TokenType::kBlockEnd);
          return;
        }
      }
      token(open);
    }
  }

  void token(std::string& open) {
    const char c = text_[at_];
    if (name_start(c)) {
      size_t i = at_;
      while (i < text_.size() && (name_start(text_[i]) || digit(text_[i]))) ++i;
      push(TokenType::kName, std::string(text_.substr(at_, i - at_)));
      at_ = i;
    } else if (digit(c)) {
      number();
    } else if (c == '"' || c == '\'') {
      string_literal(c);
    } else {
      static constexpr std::string_view kTwo[] = {"//", "**", "==", "!=", ">=", "<="};
      for (const std::string_view op : kTwo) {
        if (text_.substr(at_, 2) == op) {
          push(TokenType::kOperator, std::string(op));
          at_ += 2;
          return;
        }
      }
      if (std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos)
        syntax_error(std::string("unexpected character '") + c + "'", line_, where_);
      if (c == '(' || c == '[' || c == '{') open += c;
      if (c == ')' || c == ']' || c == '}') {
        const char want = c == ')' ? '(' : c == ']' ? '[' : '{';
        if (open.empty() || open.back() != want)
          syntax_error(std::string("unexpected '") + c + "'", line_, where_);
        open.pop_back();
      }
      push(TokenType::kOperator, std::string(1, c));
      ++at_;
    }
  }

  void number() {
    size_t i = at_;
    bool is_float = false;
    std::string digits;
    const auto take = [&] {
      while (i < text_.size() &&
             (digit(text_[i]) || (text_[i] == '_' && i + 1 < text_.size() && digit(text_[i + 1])))) {
        if (text_[i] != '_') digits += text_[i];
        ++i;
      }
    };
    take();
    if (i + 1 < text_.size() && text_[i] == '.' && digit(text_[i + 1])) {
      is_float = true;
      digits += text_[i++];
      take();
    }
    size_t e = i;
    if (e < text_.size() && (text_[e] | 0x20) == 'e') {
      ++e;
      if (e < text_.size() && (text_[e] == '+' || text_[e] == '-')) ++e;
      if (e < text_.size() && digit(text_[e])) {
        is_float = true;
        digits += text_.substr(i, e - i);
        i = e;
        take();
      }
    }
    push(is_float ? TokenType::kFloat : TokenType::kInt, std::move(digits));
    at_ = i;
  }

  void string_literal(char quote) {
    std::string out;
    const int line = line_;
    size_t i = at_ + 1;
    for (; i < text_.size() && text_[i] != quote; ++i) {
      if (text_[i] == '\n') ++line_;
      if (text_[i] != '\\' || i + 1 >= text_.size()) {
        out += text_[i];
        continue;
      }
      escape(i, out);
    }
    if (i >= text_.size()) syntax_error("a string is not closed", line, where_);
    at_ = i + 1;
    tokens_.push_back({TokenType::kString, std::move(out), line});
  }

  // Python's escapes; i stands on the backslash and is left on the last character used.
  void escape(size_t& i, std::string& out) {
    const char c = text_[++i];
    static constexpr std::string_view kFrom = "nrtbfva\\'\"", kTo = "\n\r\t\b\f\v\a\\'\"";
    if (const size_t p = kFrom.find(c); p != kFrom.npos) {
      out += kTo[p];
      return;
    }
    if (c == '\n') {
      ++line_;
      return;
    }
    if (c == 'N') syntax_error("characters by name, \\N{...}, are not supported", line_, where_);
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits) {
      uint32_t value = 0;
      const std::string_view hex = text_.substr(i + 1, digits);
      if (hex.size() != digits || hex.find_first_not_of("0123456789abcdefABCDEF") != hex.npos)
        syntax_error("malformed escape in a string", line_, where_);
      for (const char h : hex)
        value = value << 4 | static_cast<uint32_t>(digit(h) ? h - '0' : (h | 0x20) - 'a' + 10);
      if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
        syntax_error("an escape in a string is no character", line_, where_);
      append_utf8(out, value);
      i += digits;
      return;
    }
    if (c >= '0' && c <= '7') {
      uint32_t value = 0;
      size_t n = 0;
      for (; n < 3 && i + n < text_.size() && text_[i + n] >= '0' && text_[i + n] <= '7'; ++n)
        value = value * 8 + static_cast<uint32_t>(text_[i + n] - '0');
      append_utf8(out, value);
      i += n - 1;
      return;
    }
    out += '\\';
    out += c;
  }

  size_t skip_space(size_t i) const {
    while (i < text_.size()) {
      const Utf8Char c = decode_utf8(text_.substr(i));
      if (c.length == 0 || !is_space(c.code_point)) break;
      i += static_cast<size_t>(c.length);
    }
    return i;
  }
  static int count_lines(std::string_view s) {
    return static_cast<int>(std::count(s.begin(), s.end(), '\n'));
  }
  void push(TokenType type, std::string text) { tokens_.push_back({type, std::move(text), line_}); }

  std::string source_;
  std::string_view text_;
  const std::string& where_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
};

}  // namespace

bool is_space(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

void syntax_error(const std::string& what, int line, const std::string& where) {
  throw Error(ErrorKind::kBadModel, "template line " + std::to_string(line) + ": " + what, where,
              "the chat template cannot be used");
}

std::vector<Token> tokenize(std::string_view source, const std::string& where) {
  return Lexer(normalize_newlines(source), where).run();
}

}  // namespace ds::text::jinja
