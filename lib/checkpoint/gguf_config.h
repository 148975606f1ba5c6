// What a model folder would hold beside its weights, made from the metadata of a GGUF file: config.json,
// tokenizer.json and tokenizer_config.json are members of it as of a folder ("FILE.gguf/config.json").
#pragma once
#include <optional>
#include <string>

#include "checkpoint/gguf_file.h"

namespace ds::checkpoint {

// The GGUF file that `path` leads into; empty when it leads into none.
std::string gguf_above(const std::string& path);
bool gguf_member_exists(const std::string& gguf, const std::string& member);
// The text of a member that exists. Throws Error{kBadModel} naming the key that makes no sense.
std::string gguf_member_text(const std::string& gguf, const std::string& member);

Json gguf_config(const GgufParts& parts);
// Byte-level BPE ("gpt2") or SentencePiece ("llama") as tokenizer.json says it.
std::string gguf_tokenizer_json(const Json& metadata, const std::string& where);
Json gguf_tokenizer_config(const Json& metadata);

}  // namespace ds::checkpoint
