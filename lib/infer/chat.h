// A chat at a terminal: what is typed goes to the model, or, where it begins with a slash, says what to do.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "infer/answer_printer.h"
#include "infer/conversation.h"

namespace ds::infer {

// What is typed next after `prompt`, of one line or pasted lines; `begin` stands there already and can be
// changed. Nothing: the end.
using AskPerson =
    std::function<std::optional<std::string>(const std::string& prompt, const std::string& begin)>;

struct ChatStreams {
  AskPerson ask;
  AnswerPrinterOptions printer;
  std::function<void(std::string_view)> show;    // what a command asks for
  std::function<void(const std::string&)> note;  // words beside the answers
  std::function<void(const std::string&)> warn;  // why something was not done
  std::function<bool()> stop;                    // ends an answer
  std::function<void(const Json&)> on_timing;    // timing_record of each answer
};

// Until its end, /bye or a stop between answers. Throws Errors that no other message could mend.
void chat(const Engine& engine, const RequestDefaults& defaults, const ChatStreams& streams);

}  // namespace ds::infer
