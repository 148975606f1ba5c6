// Records of instruction data sets, whichever of the usual shapes they have, as one thing: a conversation, or
// a prompt and what is to follow it. Shapes are those of Alpaca, ShareGPT, OpenAI's messages, TRL's prompt
// and completion, and this house's question and answer.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/json_value.h"

namespace ds::train {

enum class RecordFormat {
  kQuestionAnswer,    // question, answer
  kAlpaca,            // instruction, input, output, system, history [[ask, answer], ..]
  kShareGpt,          // conversations [{from, value}, ..], system
  kMessages,          // messages [{role, content, loss}, ..], tools
  kPromptCompletion,  // prompt, completion: two texts, or two lists of messages
  kText,              // text
  kTokenised,         // input_ids, labels
};
const std::map<std::string, RecordFormat>& record_format_names();
std::string name_of(RecordFormat format);
// By the members it has; nothing for a record that is none of these.
std::optional<RecordFormat> detect_format(const Json& record);
// "question", "answer": the members in the record, for messages.
std::string members_text(const Json& record);

// A message and whether it is to be learnt.
struct TrainedTurn {
  Json message;          // {"role", "content", ..} without "loss"
  bool trained = false;  // assistant's turns alone
};
// One conversation, or one text after another. What is not trained is what the model is given.
struct TrainingText {
  std::vector<TrainedTurn> turns;  // empty: prompt and target
  Json tools;                      // of a conversation; null: none
  std::string prompt, target;
};

// Which replies of a conversation are learnt: all but those whose "loss" is false (and those of a prompt), or
// the last alone whatever it says.
enum class TrainOn { kAll, kLast };

// A record of this format, which is not kTokenised. as_chat: two texts, too, become a conversation. Throws
// Error{kBadData} naming `where` for a record that is not of the format.
TrainingText read_training_text(const Json& record, RecordFormat format, TrainOn train_on, bool as_chat,
                                const std::string& where);

}  // namespace ds::train
