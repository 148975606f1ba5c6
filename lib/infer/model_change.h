// What a change of weights does to a model: both read the same text.
#pragma once
#include <cstdint>
#include <string>

#include "core/json.h"
#include "infer/engine.h"

namespace ds::infer {

struct ModelChange {
  int64_t n_tokens = 0;  // predicted
  double perplexity_before = 0, perplexity_after = 0;
  double top1_agreement = 0;  // share of positions where both rank the same token first
};

// Splits the text into windows of at most `window` tokens, each read from an empty context and begun as
// the tokenizer begins a text. Throws
// Error{kBadData} when the text has fewer than two tokens or the vocabularies differ.
ModelChange compare_models(const Engine& before, const Engine& after, const std::string& text, int64_t window,
                           const std::string& where);

// The same of two model folders.
ModelChange compare_folders(const std::string& before, const std::string& after, int n_threads, Isa isa,
                            const std::string& text, const std::string& where);
std::string change_text(const ModelChange& change);  // one line for people
Json change_json(const ModelChange& change);

}  // namespace ds::infer
