// The files beside tokenizer.json that have a say in tokens, read as the reference library (transformers)
// does: tokenizer_config.json, special_tokens_map.json, added_tokens.json.
#pragma once
#include <string>
#include <vector>

#include "core/json_value.h"
#include "text/tokenizer/added_tokens.h"

namespace ds::checkpoint {

struct TokenizerFiles {
  Json config;   // tokenizer_config.json: an object, empty when the file is absent
  Json special;  // object: "bos_token", "eos_token" ... and their texts, as templates see them
  std::vector<std::string> eos;   // every text that one of the files calls the EOS
  std::vector<AddedToken> added;  // in the order in which they follow those of tokenizer.json
};

// Throws Error{kBadModel} for files that make no sense.
TokenizerFiles read_tokenizer_files(const std::string& folder);

}  // namespace ds::checkpoint
