#include "train/mask_view.h"

#include <algorithm>
#include <span>

#include "core/error.h"
#include "core/utf8.h"
#include "report/words.h"

namespace ds::train {
namespace {

// Data must not move a terminal's cursor.
std::string harmless(const std::string& text) {
  std::string out;
  for (const char c : replace_invalid_utf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F)
      out += "\u00B7";
    else
      out += c;
  }
  return out;
}

std::string text_of(std::span<const int32_t> ids, const Tokenizer& tokenizer, const std::string& where) {
  for (const int32_t id : ids)
    if (id < 0 || id >= tokenizer.vocab_size())
      throw Error(ErrorKind::kBadData,
                  "has the token " + std::to_string(id) + ", the tokenizer " +
                      std::to_string(tokenizer.vocab_size()) + " ids",
                  where, "these tokens were made with another tokenizer");
  return harmless(tokenizer.decode(ids));
}

}  // namespace

std::string mask_text(const TrainingDocument& d, const Tokenizer& tokenizer, const MaskView& view) {
  const char* const open = view.colour ? "\033[32m" : view.open;
  const char* const close = view.colour ? "\033[0m" : view.close;
  std::string out;
  for (size_t begin = 0, end = 0; begin < d.input_ids.size(); begin = end) {
    const bool trained = d.labels[begin] != kNotTrained;
    while (end < d.input_ids.size() && (d.labels[end] != kNotTrained) == trained) ++end;
    const std::string text = text_of(std::span(d.input_ids).subspan(begin, end - begin), tokenizer, d.id);
    out += trained ? open + text + close : text;
  }
  return out;
}

std::string mask_counts(const TrainingDocument& d) {
  const auto n = d.input_ids.size();
  const auto trained = static_cast<size_t>(
      std::count_if(d.labels.begin(), d.labels.end(), [](int32_t label) { return label != kNotTrained; }));
  return std::to_string(n) + (n == 1 ? " token, " : " tokens, ") + std::to_string(trained) + " trained" +
         (n ? " (" + report::percent(static_cast<double>(trained) / static_cast<double>(n)) + ")"
            : std::string());
}

}  // namespace ds::train
