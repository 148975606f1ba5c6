#include "text/tokenizer/pcre_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/error.h"
#include "core/utf8.h"

namespace ds::text {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Error(ErrorKind::kBadModel, what, where, "the pre-tokenizer regex cannot be used");
}

constexpr const char* kWord =
    "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xB2\\xB3\\xB9\\xBC-\\xBE";  // CharSet::word()

// Oniguruma (Ruby syntax) to PCRE2.
std::string translate(std::string_view in, const std::string& where) {
  std::string out;
  out.reserve(in.size() + 16);
  bool in_class = false;
  size_t class_begin = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    const char c = in[i];
    if (c == '\\' && i + 1 < in.size()) {
      const char e = in[++i];
      switch (e) {
        case 's':
          out += "\\p{White_Space}";
          break;  // PCRE2's \s adds U+180E
        case 'S':
          out += "\\P{White_Space}";
          break;
        case 'v':
          out += "\\x{0B}";
          break;  // a whole class in PCRE2
        case 'w':
          out += in_class ? kWord : "[" + std::string(kWord) + "]";
          break;
        case 'b':  // where a word begins or ends, by the same letters; a backspace in a class
          if (in_class) {
            out += "\\x08";
          } else {
            out += "(?:(?<=[W])(?![W])|(?<![W])(?=[W]))";
            for (size_t at; (at = out.find("[W]")) != out.npos;) out.replace(at + 1, 1, kWord);
          }
          break;
        case 'u':  // \uHHHH
          if (i + 4 >= in.size() ||
              in.substr(i + 1, 4).find_first_not_of("0123456789abcdefABCDEF") != in.npos)
            refuse("\\u needs four hexadecimal digits", where);
          out += "\\x{" + std::string(in.substr(i + 1, 4)) + "}";
          i += 4;
          break;
        case 'x':  // \x{...} likewise
          out += "\\x";
          if (in.substr(i + 1, 1) == "{") {
            const size_t close = in.find('}', i);
            if (close == in.npos) refuse("\\x{ is not closed", where);
            out += in.substr(i + 1, close - i);
            i = close;
          }
          break;
        case 'h':
        case 'H':
        case 'W':
        case 'B':
        case 'R':
        case 'X':
        case 'K':
        case 'G':
        case 'C':
        case 'E':
        case 'Q':
        case 'N':
          refuse(std::string("escape \\") + e + " is not supported", where);
        case 'p':
        case 'P': {
          // Copied whole, so that its closing brace is not taken for the end of a count.
          const size_t close = in.find('}', i);
          if (in.substr(i + 1, 1) != "{" || close == in.npos) refuse("\\p needs a name in braces", where);
          out += c;
          out += in.substr(i, close + 1 - i);
          i = close;
          break;
        }
        default:
          out += c, out += e;
      }
      continue;
    }
    if (in_class) {
      if (c == '[' || in.substr(i, 2) == "&&") refuse("nested character classes are not supported", where);
      // ']' right after the opening is a literal in PCRE2 and an error in Ruby.
      if (c == ']') {
        if (i == class_begin) refuse("empty character class", where);
        in_class = false;
      }
    } else if (c == '[') {
      in_class = true;
      class_begin = i + 1 + (in.substr(i + 1, 1) == "^" ? 1 : 0);
    } else if (c == '}' && in.substr(i + 1, 1) == "+") {
      refuse("a count followed by + means different things in different engines", where);
    } else if (c == '(' && (in.substr(i + 1, 1) == "*" || in.substr(i + 1, 2) == "?R")) {
      refuse("control verbs and recursion are not supported", where);
    } else if (in.substr(i, 2) == "{,") {
      refuse("a count without a lower bound is not supported", where);
    }
    out += c;
  }
  return out;
}

}  // namespace

struct PcrePattern::Code {
  pcre2_code* code = nullptr;
  pcre2_match_context* limits = nullptr;
  ~Code() {
    pcre2_match_context_free(limits);
    pcre2_code_free(code);
  }
};

PcrePattern PcrePattern::compile(std::string_view regex, const std::string& where) {
  if (find_invalid_utf8(regex) != std::string_view::npos || regex.size() > 65536)
    refuse("the regex is not UTF-8 or longer than 64 KiB", where);
  const std::string text = translate(regex, where);
  auto compiled = std::make_shared<Code>();
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  if (!context) throw Error(ErrorKind::kOs, "out of memory", where);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 50);
  int error = 0;
  size_t offset = 0;
  compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                                 &offset, context.get());
  if (!compiled->code) {
    char message[256];
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
    refuse(std::string("invalid regex: ") + message + " at byte " + std::to_string(offset), where);
  }
  // Without JIT (not built for this processor) the interpreter does the same work more slowly.
  pcre2_jit_compile(compiled->code, PCRE2_JIT_COMPLETE);
  compiled->limits = pcre2_match_context_create(nullptr);
  if (!compiled->limits) throw Error(ErrorKind::kOs, "out of memory", where);
  pcre2_set_match_limit(compiled->limits, 50'000'000);
  pcre2_set_depth_limit(compiled->limits, 1'000'000);
  pcre2_set_heap_limit(compiled->limits, 256 * 1024);
  PcrePattern out;
  out.code_ = std::move(compiled);
  out.where_ = where;
  return out;
}

void PcrePattern::find_all(std::string_view text, const std::function<void(size_t, size_t)>& found) const {
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(code_->code, nullptr), &pcre2_match_data_free);
  if (!data) throw Error(ErrorKind::kOs, "out of memory", where_);
  size_t at = 0, last_end = std::string_view::npos;
  while (at <= text.size()) {
    const int n = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                              PCRE2_NO_UTF_CHECK, data.get(), code_->limits);
    if (n == PCRE2_ERROR_NOMATCH) return;
    if (n < 0) {
      char message[256];
      pcre2_get_error_message(n, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
      refuse(std::string("the regex gave up on this text: ") + message, where_);
    }
    const size_t* span = pcre2_get_ovector_pointer(data.get());
    if (span[0] == span[1] && span[1] == last_end) {
      // Step over one character, as the reference library does.
      ++at;
      while (at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) ++at;
      continue;
    }
    if (span[1] < span[0] || span[0] < at) refuse("the regex moved its match start", where_);
    found(span[0], span[1]);
    at = last_end = span[1];
  }
}

}  // namespace ds::text
