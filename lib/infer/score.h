// ds-run --score: how likely the model finds given text.
#pragma once
#include <optional>
#include <string>

#include "infer/engine.h"
#include "infer/records.h"
#include "infer/scheduler.h"

namespace ds::infer {

struct ScoreOptions {
  RecordJob job;  // flush_each is implied
  std::string
      logits_path;  // also store logits [T, V] under each record's id in this safetensors file; empty: no
};

// Records {"id", "text" | "messages" | "input_ids"} to {"id", "n_tokens", "logprobs", "sum_logprob",
// "perplexity"}. logprobs[t] is the natural logarithm of token t's probability after the tokens before it,
// null for the first. "text" becomes tokens as ModelText::encode_plain makes them;
// "messages" are rendered without opening a further turn. perplexity is exp(-mean of logprobs), null when
// there is none.
RecordCounts score_records(const Engine& engine, const ScoreOptions& options);

// Reads ids for the logits after each. Throws Error naming `where` when they cannot be read, {kInterrupted}
// when asked to stop.
void read_with_logits(Scheduler& scheduler, const std::vector<int32_t>& ids, const std::string& where,
                      const std::function<bool()>& stop_requested, LogitsSink sink);

// What the tokenizer puts in front of a text by its own rule; nothing for many. Every job that splits a text
// into windows begins each of them so.
std::optional<int32_t> begin_id(const ModelText& text);

// ln softmax(logits)[id], summed in double. Throws Error{kBadModel} when it is not a number.
double log_probability(std::span<const float> logits, int32_t id);

}  // namespace ds::infer
