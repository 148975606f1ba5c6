#include "filter/text/document.h"

#include <cstring>

#include "core/utf8.h"
#include "filter/text/characters.h"
#include "filter/text/clones.h"
#include "filter/text/stopwords.h"
#include "filter/text/word_tokenizer.h"

namespace ds::filter {
namespace {

// A text counts as Chinese when at least this share of its letters are ideographs ...
constexpr double kHanShare = 0.3;
// ... and hardly any of them are kana: Japanese is no Chinese. Where some are, a title or a word quoted in a
// Chinese text, the commonest characters of Chinese decide: each eighth to twelfth ideograph there, hardly
// one in fifty in Japanese, which says with kana what they say.
constexpr double kKanaShare = 0.01, kMostKana = 0.35, kChineseShare = 0.05;
constexpr std::u32string_view kChinese = U"的是了我在们們这這不他她就也和";

bool is_chinese(const Document& doc) {
  const Counts& k = doc.counts;
  if (k.han == 0 || k.han < kHanShare * k.alpha) return false;
  if (k.kana < kKanaShare * k.alpha + 1) return true;
  if (k.kana > kMostKana * k.alpha) return false;
  uint32_t n = 0;
  for (uint32_t i = 0; i < doc.size(); ++i)
    n += (doc.flags[i] & kHan) && kChinese.find(static_cast<char32_t>(doc.chars[i])) != kChinese.npos;
  return n >= kChineseShare * k.han;
}

void decode(Document& doc) {
  const LetterTable& table = LetterTable::instance();
  const uint16_t* flag_table = table.flag_table();
  const std::string_view text = doc.text;
  doc.chars.resize(text.size());
  doc.flags.resize(text.size());
  uint32_t* chars = doc.chars.data();
  uint16_t* flags = doc.flags.data();
  size_t n = 0;
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  const auto* const end = p + text.size();
  while (p < end) {
    // Eight ASCII bytes at a time.
    while (end - p >= 8) {
      uint64_t eight;
      std::memcpy(&eight, p, 8);
      if (eight & 0x8080808080808080ull) break;
      for (int i = 0; i < 8; ++i) chars[n + i] = p[i];
      for (int i = 0; i < 8; ++i) flags[n + i] = flag_table[p[i]];
      n += 8;
      p += 8;
    }
    if (p >= end) break;
    uint32_t c = *p;
    // The JSON parser has checked the bytes: no range tests here.
    if (c < 0x80) {
      p += 1;
    } else if (c < 0xE0) {
      c = (c & 0x1F) << 6 | (p[1] & 0x3F);
      p += 2;
    } else if (c < 0xF0) {
      // Ideographs come in runs.
      while (end - p > 3 && (p[3] & 0xF0) == 0xE0) {
        chars[n] = (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3F);
        flags[n] = flag_table[chars[n]];
        ++n;
        p += 3;
      }
      c = (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3F);
      p += 3;
    } else {
      c = (c & 0x07) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3F);
      p += 4;
    }
    chars[n] = c;
    flags[n++] = table.flags(c);
  }
  doc.chars.resize(n);
  doc.flags.resize(n);
}

// How often each of the common flags occurs, without a branch, so that the loop becomes vector code.
DS_CLONES void count_common(const uint16_t* flags, uint32_t n, Counts& k) {
  static_assert(kSpace == 1 << 0 && kAlpha == 1 << 1 && kDigit == 1 << 2 && kUpper == 1 << 3 &&
                kHan == 1 << 5);
  uint32_t space = 0, alpha = 0, digit = 0, upper = 0, han = 0;
  constexpr uint32_t kBlock = 1 << 14;  // sums of a block fit 16 bits, the width of the flags
  for (uint32_t begin = 0; begin < n; begin += kBlock) {
    const uint32_t end = std::min(n, begin + kBlock);
    uint16_t s = 0, a = 0, d = 0, u = 0, h = 0;
    for (uint32_t i = begin; i < end; ++i) {
      const uint16_t f = flags[i];
      s = static_cast<uint16_t>(s + (f & 1));
      a = static_cast<uint16_t>(a + (f >> 1 & 1));
      d = static_cast<uint16_t>(d + (f >> 2 & 1));
      u = static_cast<uint16_t>(u + (f >> 3 & 1));
      h = static_cast<uint16_t>(h + (f >> 5 & 1));
    }
    space += s, alpha += a, digit += d, upper += u, han += h;
  }
  k.space = space, k.alpha = alpha, k.digit = digit, k.upper = upper, k.han = han;
}

constexpr uint16_t kRare = kKana | kHangul | kControl | kSuspect | kLineBreak;

void count(Document& doc) {
  Counts& k = doc.counts;
  k = {};
  doc.lines.clear();
  const uint32_t n = doc.size();
  count_common(doc.flags.data(), n, k);
  uint32_t line_begin = 0;
  const auto rare = [&](uint32_t i) {
    const uint16_t f = doc.flags[i];
    if (!(f & kRare)) return;
    if (f & kKana) ++k.kana;
    if (f & kHangul) ++k.hangul;
    if (f & kControl) ++k.control;
    if (f & kSuspect) {
      if (doc.chars[i] == 0xFFFD)
        ++k.replacement;
      else
        ++k.suspect;
    }
    if (doc.chars[i] == '\n') {
      ++k.newline;
      doc.lines.push_back({line_begin, i});
      line_begin = i + 1;
    } else if (f & kLineBreak) {
      ++k.other_break;
    }
  };
  // Most stretches hold none of the rare flags.
  constexpr uint32_t kStretch = 16;
  uint32_t i = 0;
  for (; i + kStretch <= n; i += kStretch) {
    uint16_t any = 0;
    for (uint32_t j = 0; j < kStretch; ++j) any |= doc.flags[i + j];
    if (any & kRare)
      for (uint32_t j = 0; j < kStretch; ++j) rare(i + j);
  }
  for (; i < n; ++i) rare(i);
  doc.lines.push_back({line_begin, n});
}

void split_characters(Document& doc) {
  const LetterTable& table = LetterTable::instance();
  const uint32_t n = doc.size();
  doc.words.resize(n);
  doc.shingle_units.resize(n);
  Word* words = doc.words.data();
  uint64_t* units = doc.shingle_units.data();
  const uint32_t* chars = doc.chars.data();
  const uint16_t* flags = doc.flags.data();
  size_t n_words = 0, n_units = 0;
  for (uint32_t i = 0; i < n; ++i) {
    // Written in any case, counted where it counts: no branch to guess wrong.
    const uint16_t f = flags[i];
    const uint32_t c = chars[i];
    const uint64_t hash = hash_char(c);
    words[n_words] = {i, 1, (f & kAlpha) != 0, (f & kSymbol) != 0, hash};
    n_words += !(f & kSpace);
    units[n_units] = f & kHan ? hash : hash_char(table.fold(c));
    n_units += (f & (kAlpha | kDigit)) != 0;
  }
  doc.words.resize(n_words);
  doc.shingle_units.resize(n_units);
}

void split_words(Document& doc) {
  doc.words.clear();
  doc.shingle_units.clear();
  doc.words.reserve(doc.size() / 4);  // about as many as English has: a long text would double its way there
  doc.shingle_units.reserve(doc.size() / 5);
  WordTokenizer::Words out{doc.words, doc.shingle_units};
  WordTokenizer::instance().split(doc.chars.data(), doc.flags.data(), doc.size(), out);
  doc.stop_words = count_english_stop_words(doc);
}

}  // namespace

const char* script_name(Script script) { return script == Script::kHan ? "zh" : "en"; }

size_t Document::byte_length(uint32_t begin, uint32_t end) const {
  uint32_t n = end - begin;
  for (uint32_t i = begin; i < end; ++i)
    n += (chars[i] >= 0x80) + (chars[i] >= 0x800) + (chars[i] >= 0x10000);
  return n;
}

void prepare(Document& doc) {
  decode(doc);
  count(doc);
  const bool han = is_chinese(doc);
  doc.script = han ? Script::kHan : Script::kSpaced;
  if (han)
    split_characters(doc);
  else
    split_words(doc);
}

}  // namespace ds::filter
