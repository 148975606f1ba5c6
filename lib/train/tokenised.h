// Records that are tokens already: {"input_ids": [..], "labels": [..]}, one to a line, as `ds-finetune prep`
// writes them.
#pragma once
#include <string>

#include "io/jsonl.h"
#include "train/document.h"

namespace ds::train {

class TokenisedSource : public DocumentSource {
 public:
  // "-" is stdin.
  explicit TokenisedSource(const std::string& path) : reader_(path) {}
  // Throws Error{kBadData} naming file and line for a record that is none, or whose labels do not fit its
  // tokens.
  bool next(TrainingDocument& document) override;

 private:
  JsonlReader reader_;
};

// `json` as a document; throws as above.
TrainingDocument tokenised_document(const Json& json, const std::string& where);

}  // namespace ds::train
