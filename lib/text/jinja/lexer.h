// Template text to tokens, with transformers' settings: trim_blocks and lstrip_blocks on, one final newline
// dropped.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace ds::text::jinja {

enum class TokenType {
  kText,
  kOutputBegin,
  kOutputEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInt,
  kFloat,
  kOperator,
  kEnd
};

struct Token {
  TokenType type = TokenType::kEnd;
  std::string text;  // decoded, where it is a string
  int line = 1;
};

// Syntax errors throw Error{kBadModel} with the line in the message.
std::vector<Token> tokenize(std::string_view source, const std::string& where);

[[noreturn]] void syntax_error(const std::string& what, int line, const std::string& where);

// Python's str.isspace of one character.
bool is_space(uint32_t code_point);

}  // namespace ds::text::jinja
