// "问题:{question}\n答案:" and its like: a text with places for members of a record.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "text/tokenizer/tokenizer.h"

namespace ds::train {

constexpr const char* kClassicPrompt = "问题:{question}\n答案:";

// {name} is a place, {a.b} one for a member of a member; other braces are text. Places are filled once:
// braces within the data stay what they are. Special tokens written in the template are tokens, their text in
// the data is text.
class PromptTemplate {
 public:
  // As a shell hands it over: "\n", "\t" and "\\" become what they stand for.
  static PromptTemplate parse(const std::string& source, const Tokenizer& tokenizer);

  // Throws Error{kBadData} naming `where` for a record that lacks a member, or has no text in it.
  // parse_special: the text of special tokens in the data, too, is tokens.
  std::vector<int32_t> encode(const Json& record, const Tokenizer& tokenizer, bool parse_special,
                              const std::string& where) const;
  bool has_places() const;

 private:
  struct Part {
    enum class Kind { kText, kPlace, kToken } kind;
    std::string text;  // or the member's path
    int32_t id = 0;
  };
  std::vector<Part> parts_;
};

}  // namespace ds::train
