// What JSONL records and the command line ask for, and answers as records.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "infer/engine.h"
#include "infer/generate.h"
#include "infer/records.h"

namespace ds::infer {

struct RecordRequest {
  Json id;
  GenerateRequest generate;  // its stream is the record's index
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

// Members: "prompt", "messages" or "input_ids" (exactly one); "system", "tools", "thinking", "raw",
// "return_ids", "max_tokens", "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "stop".
// Others are ignored. Throws Error{kBadData}.
RecordRequest make_request(const Engine& engine, const Record& record, const RequestDefaults& defaults);

Json make_message(const std::string& role, const std::string& text);

// The prompt of a conversation, rendered and encoded.
std::vector<int32_t> encode_chat(const ModelText& text, const RenderRequest& chat, const std::string& where);

// {"id", "text", "reasoning", "finish_reason", "usage"[, "output_ids"]}; text and reasoning are null when the
// model folder has no tokenizer.
Json answer_record(const Engine& engine, const RecordRequest& request, const Generation& answer);
// {"id", "prompt_tokens", "completion_tokens", "ttft_ns", "token_ns": [time of each token after the start]}
Json timing_record(const RecordRequest& request, const Generation& answer);

}  // namespace ds::infer
