// Folders that hold a model, but not as one is read here: what is there instead, and what to do about it.
#pragma once
#include <string>

namespace ds::checkpoint {

// Throws Error{kNoInput} for a folder without config.json.
void require_config(const std::string& folder);
// Throws Error{kNoInput} for a folder without safetensors weights where it holds others.
void refuse_other_weights(const std::string& folder);
// Throws Error{kNoInput} for a folder without tokenizer.json.
void require_tokenizer(const std::string& folder);

}  // namespace ds::checkpoint
