// Text to token ids and back: BPE as Hugging Face tokenizer.json files describe it, byte-level or of
// SentencePiece with byte fallback (Llama 2, Mistral).
// The ids equal those of the `tokenizers` library (scripts/check/tokenizer.py compares the two).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/added_tokens.h"

namespace ds::text {

// What a tokenizer puts around a text that is not a rendered template: BOS, rarely EOS.
struct TextFrame {
  std::vector<int32_t> before, after;
  bool empty() const { return before.empty() && after.empty(); }
};

// Immutable and thread-safe once made; movable.
class Tokenizer {
 public:
  // tokenizer.json's bytes; `where` names the file in errors (Error{kBadModel} for whatever cannot be used).
  // `more`: added tokens that other files tell, in this order behind those of tokenizer.json.
  static Tokenizer from_json(std::string_view tokenizer_json, const std::string& where,
                             const std::vector<AddedToken>& more = {});

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Nothing is added (no BOS). parse_special=false: special tokens in the text are encoded as plain text;
  // added tokens that are not marked special are still matched. Invalid UTF-8 counts as U+FFFD, one per
  // maximal subpart.
  std::vector<int32_t> encode(std::string_view text, bool parse_special = true) const;

  // The ids' bytes in a row, without clean-up; may end within a character. Ids out of range throw
  // Error{kBadData}.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  // The bytes one id stands for; "" for an id that stands for nothing.
  std::string_view token_bytes(int32_t id) const;
  // By the exact text in the file, added tokens first.
  std::optional<int32_t> token_id(std::string_view content) const;
  bool is_special(int32_t id) const;
  // The frame that tokenizer.json's post_processor makes; empty when it makes none.
  const TextFrame& frame() const;
  // Highest id + 1.
  int64_t vocab_size() const;

 private:
  struct Parts;
  explicit Tokenizer(std::unique_ptr<const Parts> parts);
  std::unique_ptr<const Parts> parts_;
};

}  // namespace ds::text
