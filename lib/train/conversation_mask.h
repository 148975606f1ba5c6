// A conversation as tokens, and which of them the model is to say itself. Works with the model's own chat
// template whatever it is: the template prints a mark in place of each trained reply, so that what stands
// before the reply is exactly what a prompt ends with at inference, and the reply itself, reasoning included,
// is nobody's to change. (The templates of V3.1 and R1 delete everything up to "</think>" from replies: who
// trains on what they print trains on answers without their reasoning.)
#pragma once
#include <string>

#include "checkpoint/model_text.h"
#include "train/document.h"
#include "train/record_format.h"

namespace ds::train {

struct MaskedConversation {
  std::vector<int32_t> input_ids;
  std::vector<int32_t> labels;
  // The generation prompt opens the reasoning ("<think>"), and a reply has none: at inference it is asked
  // otherwise than it was taught.
  bool unlike_inference = false;
};

// Trained are the reply and the end of turn behind it. The assistant's header and a "<think>" that the
// generation prompt ends with are prompt. A reply that is only context keeps what follows its last
// "</think>". parse_special: the text of a special token in a trained reply is that token. Throws
// Error{kBadData} naming `where` when the template refuses the conversation, or prints a reply otherwise than
// behind its own generation prompt; {kUsage} when there is no template.
MaskedConversation mask_conversation(const ModelText& text, const TrainingText& conversation,
                                     bool parse_special, const std::string& where);

}  // namespace ds::train
