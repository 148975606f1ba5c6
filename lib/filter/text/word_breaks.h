// Where words begin and end in Chinese text, by ICU's dictionary: for a few places of a text, not for all of
// it.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "filter/text/document.h"

namespace ds::filter {

// Not thread-safe: one per thread.
class WordBreaks {
 public:
  WordBreaks();
  ~WordBreaks();
  WordBreaks(WordBreaks&&) noexcept;
  // Whether [begin, end), code points, is a word or several: false where it begins or ends inside one.
  bool whole_words(const Document& doc, uint32_t begin, uint32_t end);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ds::filter
