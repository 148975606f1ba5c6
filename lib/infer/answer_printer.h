// Sends the pieces of an answer where people want them: the answer to one place, reasoning to another.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "infer/answer_stream.h"

namespace ds::infer {

struct AnswerPrinterOptions {
  using Write = std::function<void(std::string_view)>;
  Write answer, reasoning;                     // empty: not shown
  std::string reasoning_begin, reasoning_end;  // around each stretch of reasoning, for example to dim it
};

class AnswerPrinter {
 public:
  explicit AnswerPrinter(AnswerPrinterOptions options) : options_(std::move(options)) {}
  PieceSink sink() {
    return [this](Channel channel, std::string_view text) { print(channel, text); };
  }
  // The answer is complete. final_newline: it shall end in a line feed.
  void end(bool final_newline);

 private:
  void print(Channel channel, std::string_view text);
  void leave_reasoning();

  AnswerPrinterOptions options_;
  bool in_reasoning_ = false;
  char last_ = 0;  // of the answer
};

}  // namespace ds::infer
