#include "infer/answer_printer.h"

namespace ds::infer {

void AnswerPrinter::print(Channel channel, std::string_view text) {
  if (channel == Channel::kReasoning) {
    if (!options_.reasoning) return;
    if (!in_reasoning_ && !options_.reasoning_begin.empty()) options_.reasoning(options_.reasoning_begin);
    in_reasoning_ = true;
    return options_.reasoning(text);
  }
  leave_reasoning();
  last_ = text.back();
  if (options_.answer) options_.answer(text);
}

void AnswerPrinter::leave_reasoning() {
  if (in_reasoning_ && !options_.reasoning_end.empty()) options_.reasoning(options_.reasoning_end);
  in_reasoning_ = false;
}

void AnswerPrinter::end(bool final_newline) {
  leave_reasoning();
  if (options_.answer && final_newline && last_ != '\n') options_.answer("\n");
  last_ = 0;
}

}  // namespace ds::infer
