// What JSONL records and the command line ask for, and answers as records.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/json_value.h"
#include "infer/engine.h"
#include "infer/generate.h"
#include "infer/records.h"

namespace ds::infer {

struct RecordRequest {
  Json id;
  GenerateRequest generate;  // its stream is the record's index, or 0 with a seed of its own
  bool return_ids = false;   // put output_ids into the answer
};

// What holds for every record unless it says otherwise.
struct RequestDefaults {
  GenerationSettings settings;
  std::string system;  // put before conversations that do not begin with a system message; empty: none
  std::optional<bool> thinking;  // unset: as the template does by itself
  bool raw = false;              // prompts are completed as they are, without the chat template
  bool return_ids = false;
};

// `own` and the members that describe a conversation: what is in front of it, what goes with it, how it ends.
MemberNames and_chat_members(MemberNames own);

// Where a rendered conversation ends unless the record says otherwise; "prefix": true on its last message
// says that this one is gone on with.
enum class ChatEnd {
  kAnswer,  // where an answer begins, or goes on where the last message is one that was begun
  kWhole    // behind the last message
};
// Throws Error{kBadData} naming the member.
RenderRequest chat_of(const Record& record, const Json& messages, const RequestDefaults& defaults,
                      ChatEnd end);

MemberNames request_members();
// What a record says of its own about generation. Throws Error{kBadData}.
GenerationOverrides overrides_of(const Record& record);
// Exactly one of "prompt", "messages" and "input_ids". Throws Error{kBadData}.
RecordRequest make_request(const Engine& engine, const Record& record, const RequestDefaults& defaults);

Json make_message(const std::string& role, const std::string& text);
bool has_role(const Json& message, std::string_view role);

// The prompt of a conversation, rendered and encoded.
std::vector<int32_t> encode_chat(const ModelText& text, const RenderRequest& chat, const std::string& where);

// {"prompt_tokens", "completion_tokens", "total_tokens"}
Json token_usage(const Generation& answer);
// {"id", "text", "reasoning", "finish_reason", "usage"[, "output_ids"]}; text and reasoning are null when the
// model folder has no tokenizer.
Json answer_record(const Engine& engine, const RecordRequest& request, const Generation& answer);
// {"id", "prompt_tokens", "cached_tokens", "completion_tokens", "ttft_ns", "token_ns": [time of each token
// after the start]}
Json timing_record(const RecordRequest& request, const Generation& answer);

}  // namespace ds::infer
