#include "filter/text/word_breaks.h"

#include <unicode/ubrk.h>
#include <unicode/utf16.h>

#include <algorithm>

#include "core/error.h"

namespace ds::filter {

struct WordBreaks::State {
  UBreakIterator* words = nullptr;  // opened when first asked: most texts have no place to look at
  std::u16string text;
  ~State() {
    if (words) ubrk_close(words);
  }
};

WordBreaks::WordBreaks() : state_(std::make_unique<State>()) {}
WordBreaks::~WordBreaks() = default;
WordBreaks::WordBreaks(WordBreaks&&) noexcept = default;

bool WordBreaks::whole_words(const Document& doc, uint32_t begin, uint32_t end) {
  constexpr uint32_t kAround = 12;  // more than the longest words on either side
  UErrorCode error = U_ZERO_ERROR;
  State& s = *state_;
  if (!s.words) s.words = ubrk_open(UBRK_WORD, "zh", nullptr, 0, &error);
  if (U_FAILURE(error)) throw Error(ErrorKind::kOs, "ICU has no word breaks for Chinese", u_errorName(error));
  s.text.clear();
  int32_t at[2] = {0, 0};
  const uint32_t from = begin > kAround ? begin - kAround : 0, to = std::min(doc.size(), end + kAround);
  for (uint32_t i = from; i < to; ++i) {
    if (i == begin) at[0] = static_cast<int32_t>(s.text.size());
    if (i == end) at[1] = static_cast<int32_t>(s.text.size());
    const uint32_t c = doc.chars[i];
    if (c < 0x10000) {
      s.text += static_cast<char16_t>(c);
    } else {
      s.text += static_cast<char16_t>(U16_LEAD(c));
      s.text += static_cast<char16_t>(U16_TRAIL(c));
    }
  }
  if (end == to) at[1] = static_cast<int32_t>(s.text.size());
  ubrk_setText(s.words, reinterpret_cast<const UChar*>(s.text.data()), static_cast<int32_t>(s.text.size()),
               &error);
  return U_SUCCESS(error) && ubrk_isBoundary(s.words, at[0]) && ubrk_isBoundary(s.words, at[1]);
}

}  // namespace ds::filter
