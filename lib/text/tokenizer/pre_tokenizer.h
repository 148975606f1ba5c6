// Cuts text into the pieces that BPE works on: the "pre_tokenizer" of tokenizer.json.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace ds::text {

class PreTokenizer {
 public:
  using Sink = std::function<void(std::string_view piece)>;

  // One step. Pieces are independent: a step sees one piece of the step before and nothing around it.
  class Step {
   public:
    virtual ~Step() = default;
    // `text` is valid UTF-8 and not empty; pieces may be empty (they are dropped) and live until sink
    // returns.
    virtual void split(std::string_view text, const Sink& sink) const = 0;
  };

  PreTokenizer() = default;  // the text is one piece
  // Throws Error{kBadModel} when a step is unknown, malformed or missing (ByteLevel must be there).
  static PreTokenizer from_json(const Json& json, const std::string& where);

  void split(std::string_view text, const Sink& sink) const { run(0, text, sink); }

 private:
  void run(size_t step, std::string_view text, const Sink& sink) const;
  std::vector<std::shared_ptr<const Step>> steps_;
};

// Steps, made from what the JSON says (pre_tokenizer_steps.cpp).
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
std::shared_ptr<const PreTokenizer::Step> make_regex_step(std::string_view regex, SplitBehavior behavior,
                                                          bool invert, const std::string& where);
std::shared_ptr<const PreTokenizer::Step> make_literal_step(std::string_view literal, SplitBehavior behavior,
                                                            bool invert);
std::shared_ptr<const PreTokenizer::Step> make_digits_step(bool individual);
std::shared_ptr<const PreTokenizer::Step> make_punctuation_step(SplitBehavior behavior);
std::shared_ptr<const PreTokenizer::Step> make_prefix_space_step();
// The general engine for a regex that the fast one would also take; tests compare the two.
std::shared_ptr<const PreTokenizer::Step> make_pcre_step(std::string_view regex, SplitBehavior behavior,
                                                         bool invert, const std::string& where);

}  // namespace ds::text
