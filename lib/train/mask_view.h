// A document's tokens for a person's eye: what is trained and what is only read.
#pragma once
#include <string>

#include "text/tokenizer/tokenizer.h"
#include "train/document.h"

namespace ds::train {

struct MaskView {
  bool colour = false;     // trained text in green; else between the two marks
  const char* open = "⟦";  // of trained text
  const char* close = "⟧";
};
// The text of the document in which the trained stretches are marked; bytes that are no whole character
// become U+FFFD, control characters but tab and line feed U+00B7. Throws Error{kBadData} naming the document
// for an id that the tokenizer does not have.
std::string mask_text(const TrainingDocument& document, const Tokenizer& tokenizer, const MaskView& view);

// "12 tokens, 5 trained (41.7 %)"
std::string mask_counts(const TrainingDocument& document);

}  // namespace ds::train
