// What a change of weights does to a model: both read the same text.
#pragma once
#include <cstdint>
#include <string>

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

}  // namespace ds::infer
