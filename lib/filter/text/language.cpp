#include "filter/text/language.h"

#include <cld2/public/compact_lang_det.h>
#include <cld2/public/encodings.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "filter/text/characters.h"
#include "filter/text/stopwords.h"

namespace ds::filter {
namespace {

// Fewer letters than this say nothing: short texts are "und", never "a wrong language".
constexpr uint32_t kMinLetters = 20;
// What so many letters cannot tell the detector is a language that it does not know.
constexpr uint32_t kEnoughLetters = 60;
// CLD2 sees this many bytes: its verdict hardly moves with more, its cost does.
constexpr size_t kSampleBytes = 2048;
// Eight function words make up 15 to 25 % of English prose; no other language reaches a third of that with
// at least four of them.
constexpr double kEnglishShare = 0.07;
constexpr int kEnglishDistinct = 4;

// What a share is worth where the detector itself is not sure.
constexpr double kUnreliable = 0.6;

Language certain(const char* code, double score) {
  Language language{code, score, {}};
  language.shares[0] = {code, score};
  return language;
}

const char* code_of(CLD2::Language language) {
  const char* code = CLD2::LanguageCode(language);
  return std::strncmp(code, "zh", 2) == 0 ? "zh" : code;
}

}  // namespace

Language detect_language(const Document& doc) {
  const Counts& k = doc.counts;
  if (k.alpha < kMinLetters) return {};
  const double letters = k.alpha;
  if (doc.script == Script::kHan) {
    // Ideographs without kana: the share is the evidence.
    return certain("zh", std::min(1.0, 0.65 + 0.35 * k.han / letters));
  }
  if (k.kana > 0.1 * letters) return certain("ja", 0.95);
  if (k.hangul > 0.3 * letters) return certain("ko", 0.95);
  const EnglishStopWords& stop = doc.stop_words;
  if (stop.distinct >= kEnglishDistinct &&
      stop.occurrences >= kEnglishShare * static_cast<double>(doc.words.size()))
    return certain("en", 0.99);
  // The middle of a text is less of a menu than its beginning.
  std::string_view sample = doc.text;
  if (sample.size() > kSampleBytes) {
    size_t from = (sample.size() - kSampleBytes) / 3;
    while (from < sample.size() && (sample[from] & 0xC0) == 0x80) ++from;
    size_t to = from + kSampleBytes;
    while (to > from && to < sample.size() && (sample[to] & 0xC0) == 0x80) --to;
    sample = sample.substr(from, std::min(to, sample.size()) - from);
  }
  CLD2::Language top[3];
  int percent[3], text_bytes = 0;
  double score[3];
  bool reliable = false;
  const CLD2::CLDHints hints{nullptr, nullptr, CLD2::UNKNOWN_ENCODING, CLD2::UNKNOWN_LANGUAGE};
  CLD2::ExtDetectLanguageSummary(sample.data(), static_cast<int>(sample.size()), true, &hints, 0, top,
                                 percent, score, nullptr, &text_bytes, &reliable);
  if (top[0] == CLD2::UNKNOWN_LANGUAGE) {
    Language unknown;
    if (k.alpha >= kEnoughLetters) unknown.code = "unknown";
    return unknown;
  }
  Language language;
  for (int i = 0; i < 3 && top[i] != CLD2::UNKNOWN_LANGUAGE; ++i)
    language.shares[i] = {code_of(top[i]), percent[i] / 100.0};
  language.code = language.shares[0].code;
  language.score = language.shares[0].share * (reliable ? 1.0 : kUnreliable);
  return language;
}

bool is_language_code(const std::string& code) {
  for (int i = 0; i < CLD2::NUM_LANGUAGES; ++i)
    if (code == code_of(static_cast<CLD2::Language>(i))) return true;
  return false;
}

std::string language_meant(const std::string& word) {
  std::string lower = word;
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  if (is_language_code(lower)) return lower;
  if (const size_t region = lower.find_first_of("-_"); region != lower.npos)  // en-US
    return language_meant(lower.substr(0, region));
  constexpr const char* kOthers[][2] = {{"cn", "zh"},  {"jp", "ja"},  {"kr", "ko"},  {"eng", "en"},
                                        {"zho", "zh"}, {"chi", "zh"}, {"jpn", "ja"}, {"deu", "de"},
                                        {"ger", "de"}, {"gb", "en"}};
  for (const auto& [other, code] : kOthers)
    if (lower == other) return code;
  for (int i = 0; i < CLD2::NUM_LANGUAGES; ++i) {
    std::string name = CLD2::LanguageName(static_cast<CLD2::Language>(i));
    for (char& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    if (lower == name) return code_of(static_cast<CLD2::Language>(i));
  }
  for (const std::string code : {"zh", "en"})  // one letter wrong, or both swapped
    if (lower.size() == 2 &&
        ((lower[0] == code[0]) != (lower[1] == code[1]) || (lower[0] == code[1] && lower[1] == code[0])))
      return code;
  return "";
}

}  // namespace ds::filter
