// From token ids to the text that people see: whole UTF-8 characters, reasoning apart from the answer, cut at
// stop strings. Pure text work, no model.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/rooms.h"
#include "text/tokenizer/tokenizer.h"

namespace ds::infer {

// What the stream must know of a tokenizer.
struct TokenTexts {
  std::function<std::string_view(int32_t)> bytes;  // of one token, possibly part of a character
  std::function<bool(int32_t)> is_special;         // never printed
  int32_t think_open = -1, think_close = -1;       // -1: the model does not mark reasoning
};

enum class Channel { kAnswer, kReasoning };
using PieceSink = std::function<void(Channel, std::string_view)>;

TokenTexts token_texts(const Tokenizer& tokenizer);  // which must outlive them

// Whether a prompt ends inside an opened <think>, so that generation begins with reasoning.
bool ends_in_reasoning(const TokenTexts& texts, std::span<const int32_t> prompt);

// Lets text pass until the first of some strings, holding back what may become one.
class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops);
  // The text that is certain to come before any stop string; appends nothing more once one was found.
  void feed(std::string_view text, std::string& out);
  void finish(std::string& out);  // no more text: what was held back goes out
  bool found() const { return found_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool found_ = false;
};

class AnswerStream {
 public:
  AnswerStream(TokenTexts texts, std::vector<std::string> stops, bool starts_in_reasoning, PieceSink sink);

  // Returns true when a stop string was found: nothing more will be printed.
  bool accept(int32_t token);
  void finish();

  const std::string& answer() const { return answer_; }
  const std::string& reasoning() const { return reasoning_; }

 private:
  void enter(Channel channel);
  void print(std::string_view text);
  void flush_bytes();

  TokenTexts texts_;
  StopMatcher stop_;
  PieceSink sink_;
  Channel channel_;
  bool splits_;           // the model marks reasoning
  bool drop_newlines_;    // at the start of a channel
  std::string bytes_;     // of an unfinished character
  std::string newlines_;  // at the end of reasoning so far: printed only if more text follows
  std::string scratch_;
  std::string answer_, reasoning_;
};

}  // namespace ds::infer
