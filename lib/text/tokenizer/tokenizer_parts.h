// What a loaded tokenizer consists of, and the reader that fills it. Private to lib/text.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/pre_tokenizer.h"
#include "text/tokenizer/tokenizer.h"

namespace ds::text {

// The "Metaspace" pre-tokenizer of SentencePiece's tokens, which have spaces: what texts get in front, and
// where they are cut.
struct Metaspace {
  // A space before a text that begins with none: never, before the first piece of a text, or before each
  // piece between added tokens.
  enum class Prefix { kNever, kFirst, kAlways } prefix = Prefix::kNever;
  bool splits = false;  // before each space: no token has one further in
};

struct TokenizerParts {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Bpe bpe;
  AddedTokenMatcher plain_matcher;       // tokens not marked `normalized`
  AddedTokenMatcher normalized_matcher;  // those that are
  std::map<std::string, int32_t, std::less<>> added_ids;
  std::map<std::string, int32_t, std::less<>> literal_ids;  // vocabulary entries that no text can produce
  std::vector<bool> special;                                // by id
  TextFrame frame;
  bool byte_level = true;  // tokens are written in the byte-level alphabet; false: as text, U+2581 for space
  Metaspace metaspace;
  bool strips_space = false;  // the decoder takes one space from the front
};

TokenizerParts read_tokenizer_json(std::string_view json, const std::string& where,
                                   const std::vector<AddedToken>& more);
// What the "post_processor" of tokenizer.json puts around a text. Ids must be in 0..n_ids - 1. Throws
// Error{kBadModel} naming `where`.
TextFrame read_post_processor(const Json& post_processor, size_t n_ids, const std::string& where);

// The bytes that a token's text stands for in the byte-level alphabet; false when a character is not in it.
bool byte_level_to_bytes(std::string_view text, std::string& bytes);
// Where tokens are text: U+2581 is a space.
bool spaced_to_bytes(std::string_view text, std::string& bytes);

}  // namespace ds::text
