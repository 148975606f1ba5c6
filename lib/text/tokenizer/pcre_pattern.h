// Any other tokenizer regex, run by PCRE2. The expression is written for Oniguruma's Ruby syntax; what means
// something else in PCRE2 is translated, what cannot be is refused.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace ds::text {

class PcrePattern {
 public:
  // Throws Error{kBadModel} for an invalid or untranslatable expression; `where` goes into it.
  static PcrePattern compile(std::string_view regex, const std::string& where);

  // Calls found(begin, end) for successive matches; empty ones are reported, but not right after another
  // match.
  void find_all(std::string_view text, const std::function<void(size_t, size_t)>& found) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
  std::string where_;
};

}  // namespace ds::text
