#include "filter/stages/c4.h"

#include <string_view>

#include "filter/text/word_tokenizer.h"

namespace ds::filter {
namespace {

// What a line says of the phrases that the rules look for.
struct Phrases {
  bool lorem = false, javascript = false, policy = false;
};

// `text` at chars[i..], ASCII letters without case; characters before `begin` or behind `end` do not match.
bool says(const uint32_t* chars, int64_t i, int64_t end, std::string_view text) {
  if (i < 0 || i + static_cast<int64_t>(text.size()) > end) return false;
  for (size_t k = 0; k < text.size(); ++k) {
    const uint32_t c = chars[i + static_cast<int64_t>(k)];
    if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != static_cast<uint8_t>(text[k])) return false;
  }
  return true;
}

// Each phrase is looked for around its rarest letter: j, f, v, k, p.
void look(const uint32_t* chars, int64_t i, int64_t end, uint32_t c, Phrases& found) {
  switch (c | 0x20) {
    case 'j':
      found.javascript = found.javascript || says(chars, i, end, "javascript");
      break;
    case 'p':
      found.lorem = found.lorem || says(chars, i - 7, end, "lorem ipsum");
      break;
    case 'f':
      found.policy = found.policy || says(chars, i - 7, end, "terms of use");
      break;
    case 'v':
      found.policy = found.policy || says(chars, i - 3, end, "privacy policy");
      break;
    case 'k':
      found.policy = found.policy || says(chars, i - 3, end, "cookie policy") ||
                     says(chars, i - 8, end, "uses cookies") || says(chars, i - 10, end, "use of cookies") ||
                     says(chars, i - 7, end, "use cookies");
      break;
    default:
      break;
  }
}

constexpr uint32_t kRare =
    1u << ('j' - 'a') | 1u << ('p' - 'a') | 1u << ('f' - 'a') | 1u << ('v' - 'a') | 1u << ('k' - 'a');
bool rare_letter(uint32_t c) {
  const uint32_t letter = (c | 0x20) - 'a';
  return letter < 26 && (kRare >> letter & 1);
}

// Removes "[12]", "[]", "[edit]", "[citation needed]". True when anything was.
bool remove_citations(std::vector<uint32_t>& chars, std::vector<uint16_t>& flags) {
  size_t out = 0;
  bool any = false;
  for (size_t i = 0; i < chars.size(); ++i) {
    if (chars[i] == '[') {
      size_t j = i + 1;
      while (j < chars.size() && flags[j] & kDigit) ++j;
      bool hit = j < chars.size() && chars[j] == ']';
      for (const std::string_view word : {std::string_view("edit]"), std::string_view("citation needed]")}) {
        if (hit || i + 1 + word.size() > chars.size()) continue;
        hit = true;
        for (size_t k = 0; k < word.size() && hit; ++k)
          hit = chars[i + 1 + k] == static_cast<uint8_t>(word[k]);
        if (hit) j = i + word.size();
      }
      if (hit) {
        i = j;
        any = true;
        continue;
      }
    }
    chars[out] = chars[i];
    flags[out++] = flags[i];
  }
  chars.resize(out);
  flags.resize(out);
  return any;
}

// spaCy's sentencizer: a sentence begins at the first word that is no punctuation after an end mark.
int count_sentences(const uint32_t* chars, const uint16_t* flags, const Word* words, size_t n) {
  if (n == 0) return 0;
  int sentences = 1;
  bool ended = false;
  for (size_t i = 0; i < n; ++i) {
    const Word& w = words[i];
    const uint16_t first = flags[w.begin];
    const bool end_mark = w.length == 1 && first & kTerminal;
    if (end_mark) {
      ended = true;
    } else if (ended) {
      bool punctuation = true;
      for (uint32_t k = 0; k < w.length && punctuation; ++k) {
        const uint32_t c = chars[w.begin + k];
        const uint16_t f = flags[w.begin + k];
        // The symbols among the peeled characters that are no punctuation by category.
        punctuation = (f & (kPeel | kSymbol)) && !(f & (kAlpha | kDigit | kIcon | kControl)) && c != '<' &&
                      c != '>' && c != '`' && c != 0xB4 && c != '$' && c != '^' && c != '+' && c != '=' &&
                      c != '|' && c != '~';
      }
      if (!punctuation) {
        ++sentences;
        ended = false;
      }
    }
  }
  return sentences;
}

}  // namespace

C4Result C4Rules::judge(const Document& doc, const QualitySettings& settings, bool stop_at_lorem,
                        bool stop_at_curly) {
  C4Result result;
  const WordTokenizer& tokenizer = WordTokenizer::instance();
  size_t next_word = 0;  // doc.words ascend with the lines
  bool stop = false;
  for_each_splitline(doc, [&](uint32_t b, uint32_t e) {
    if (stop) return;
    while (b < e && doc.flags[b] & kSpace) ++b;
    while (e > b && doc.flags[e - 1] & kSpace) --e;
    int n_words = 0, run = 0, longest = 0;
    bool bracket = false, curly = false;
    Phrases phrases;
    for (uint32_t i = b; i < e; ++i) {
      if (doc.flags[i] & kSpace) {
        run = 0;
        continue;
      }
      if (run++ == 0) ++n_words;
      if (run > longest) longest = run;
      const uint32_t c = doc.chars[i];
      bracket |= c == '[';
      curly |= c == '{';
      if (rare_letter(c)) look(doc.chars.data() + b, i - b, e - b, c, phrases);
    }
    if (longest > settings.c4_max_word_length) return;
    const uint32_t* chars = doc.chars.data() + b;
    const uint16_t* flags = doc.flags.data() + b;
    uint32_t n = e - b;
    bool rewritten = false;
    if (bracket) {
      chars_.assign(chars, chars + n);
      flags_.assign(flags, flags + n);
      rewritten = remove_citations(chars_, flags_);
      if (rewritten) {
        chars = chars_.data();
        flags = flags_.data();
        n = static_cast<uint32_t>(chars_.size());
        phrases = {};
        for (uint32_t i = 0; i < n; ++i)
          if (rare_letter(chars[i])) look(chars, i, n, chars[i], phrases);
      }
    }
    if (settings.c4_terminal_punctuation) {
      const uint32_t last = n ? chars[n - 1] : 0;
      const bool mark = last == '.' || last == '?' || last == '!' || last == '"' || last == '\'';
      const bool ellipsis = n >= 3 && last == '.' && chars[n - 2] == '.' && chars[n - 3] == '.';
      if (!mark || ellipsis) return;
    }
    if (n_words < settings.c4_min_words_per_line) return;
    if (phrases.lorem) {
      ++result.lorem_lines;
      stop = stop_at_lorem;
      if (stop) return;
    }
    if (phrases.javascript) return;
    if (curly) {
      ++result.curly_lines;
      stop = stop_at_curly;
      if (stop) return;
    }
    if (phrases.policy) return;
    if (rewritten) {
      words_.clear();
      units_.clear();
      WordTokenizer::Words out{words_, units_};
      tokenizer.split(chars, flags, n, out);
      result.sentences += count_sentences(chars, flags, words_.data(), words_.size());
    } else {
      while (next_word < doc.words.size() && doc.words[next_word].begin < b) ++next_word;
      size_t end_word = next_word;
      while (end_word < doc.words.size() && doc.words[end_word].begin < e) ++end_word;
      result.sentences += count_sentences(doc.chars.data(), doc.flags.data(), doc.words.data() + next_word,
                                          end_word - next_word);
      next_word = end_word;
    }
  });
  return result;
}

}  // namespace ds::filter
