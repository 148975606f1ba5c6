// Stage 2: Gopher quality and repetition, C4, FineWeb. English thresholds are the published ones; the Chinese
// column is FineWeb-2's, carried over from jieba words to characters.
#include <xxhash.h>

#include <algorithm>

#include "filter/stages/c4.h"
#include "filter/stages/ngrams.h"
#include "filter/stages/stage.h"
#include "filter/text/characters.h"
#include "filter/text/stopwords.h"

namespace ds::filter {
namespace {

enum Rule {
  kMinWords,
  kMaxWords,
  kMeanLow,
  kMeanHigh,
  kHashes,
  kEllipses,
  kBullets,
  kEllipsisLines,
  kAlphaWords,
  kStopWords,
  kLinePunctuation,
  kShortLines,
  kLineRepeats,
  kNewlines,
  kLorem,
  kCurly,
  kSentences,
  kParaFrac,
  kParaChars,
  kLineFrac,
  kLineChars,
  kTop0,
  kTop1,
  kTop2,
  kDup0,
  kDup1,
  kDup2,
  kDup3,
  kDup4,
  kDup5
};
constexpr auto kBelow = DropWhen::kBelow;
constexpr auto kAbove = DropWhen::kAbove;
const char* const kOfText = "share of the text's characters";
const RuleSpec kRules[] = {
    {"s2.gopher.min_words",
     kBelow,
     {50, 100},
     {true, true},
     "words | characters",
     "words that are no symbols"},
    {"s2.gopher.max_words",
     kAbove,
     {100000, 200000},
     {true, true},
     "words | characters",
     "words that are no symbols"},
    {"s2.gopher.mean_word_low",
     kBelow,
     {3, 1},
     {true, false},
     "characters",
     "mean length of words that are no symbols"},
    {"s2.gopher.mean_word_high",
     kAbove,
     {10, 5},
     {true, false},
     "characters",
     "mean length of words that are no symbols"},
    {"s2.gopher.hashes", kAbove, {.1, .1}, {true, true}, "per word | character", "number signs (#)"},
    {"s2.gopher.ellipses",
     kAbove,
     {.1, .1},
     {true, true},
     "per word | character",
     "ellipses (... or U+2026)"},
    {"s2.gopher.bullet_lines",
     kAbove,
     {.9, .9},
     {true, true},
     "share of lines",
     "lines that start with U+2022 or -"},
    {"s2.gopher.ellipsis_lines",
     kAbove,
     {.3, .3},
     {true, true},
     "share of lines",
     "lines that end with an ellipsis"},
    {"s2.gopher.alpha_words",
     kBelow,
     {.8, .735},
     {true, true},
     "share of words | letters, digits, symbols",
     "words with a letter; Chinese: letters among letters, digits and other non-punctuation"},
    {"s2.gopher.stop_words", kBelow, {2, 2}, {true, true}, "distinct words", "stop words present"},
    {"s2.fineweb.line_punctuation",
     kBelow,
     {.12, .106},
     {true, true},
     "share of lines",
     "lines that end with terminal punctuation"},
    {"s2.fineweb.short_lines",
     kAbove,
     {.67, .67},
     {true, false},
     "share of lines",
     "lines of at most 30 characters"},
    {"s2.fineweb.repeated_lines", kAbove, {.01, .1}, {true, true}, kOfText, "characters in repeated lines"},
    {"s2.fineweb.newlines",
     kAbove,
     {.3, .0913},
     {true, true},
     "per word | character",
     "newlines (Chinese: FineWeb-2's .178 per jieba word of 1.95 characters)"},
    {"s2.c4.lorem_ipsum", kAbove, {0, 0}, {true, false}, "lines", "lines with \"lorem ipsum\""},
    {"s2.c4.curly_bracket", kAbove, {0, 0}, {true, false}, "lines", "lines with {"},
    {"s2.c4.sentences",
     kBelow,
     {5, 5},
     {true, false},
     "sentences",
     "sentences in lines that pass the C4 line rules"},
    {"s2.rep.paragraphs", kAbove, {.3, .3}, {true, false}, "share of paragraphs", "repeated paragraphs"},
    {"s2.rep.paragraph_chars", kAbove, {.2, .2}, {true, false}, kOfText, "characters in repeated paragraphs"},
    {"s2.rep.lines", kAbove, {.3, .287}, {true, true}, "share of lines", "repeated lines"},
    {"s2.rep.line_chars", kAbove, {.2, .2}, {true, false}, kOfText, "characters in repeated lines"},
    {"s2.rep.top2",
     kAbove,
     {.2, .256},
     {true, true},
     kOfText,
     "most frequent 2-gram (Chinese: 3 characters)"},
    {"s2.rep.top3",
     kAbove,
     {.18, .201},
     {true, true},
     kOfText,
     "most frequent 3-gram (Chinese: 5 characters)"},
    {"s2.rep.top4",
     kAbove,
     {.16, .171},
     {true, true},
     kOfText,
     "most frequent 4-gram (Chinese: 7 characters)"},
    {"s2.rep.dup5", kAbove, {.15, .198}, {true, true}, kOfText, "repeated 5-grams (Chinese: 10 characters)"},
    {"s2.rep.dup6", kAbove, {.14, .182}, {true, true}, kOfText, "repeated 6-grams (Chinese: 12 characters)"},
    {"s2.rep.dup7", kAbove, {.13, .167}, {true, true}, kOfText, "repeated 7-grams (Chinese: 14 characters)"},
    {"s2.rep.dup8", kAbove, {.12, .154}, {true, true}, kOfText, "repeated 8-grams (Chinese: 16 characters)"},
    {"s2.rep.dup9", kAbove, {.11, .14}, {true, true}, kOfText, "repeated 9-grams (Chinese: 18 characters)"},
    {"s2.rep.dup10", kAbove, {.1, .127}, {true, true}, kOfText, "repeated 10-grams (Chinese: 20 characters)"},
};

// Repeats among segments of the text, each compared by a hash of its characters.
class SegmentRepeats {
 public:
  void clear() {
    result_ = {};
    seen_.clear();
  }
  void add(const uint32_t* chars, uint32_t n) {
    seen_.emplace_back(XXH3_64bits(chars, n * sizeof *chars), n);
    ++result_.n;
  }
  const RepeatedElements& finish() {
    // Sorted by hash, each group but its first counts: which one is first does not matter, all have one
    // length.
    std::sort(seen_.begin(), seen_.end());
    for (size_t i = 1; i < seen_.size(); ++i) {
      if (seen_[i] != seen_[i - 1]) continue;
      ++result_.repeated;
      result_.chars += seen_[i].second;
    }
    return result_;
  }

 private:
  RepeatedElements result_;
  std::vector<std::pair<uint64_t, uint32_t>> seen_;
};

// Without overlap, from the left.
uint64_t occurrences(std::string_view text, std::string_view what) {
  uint64_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += what.size()) ++n;
  return n;
}

class Quality : public Stage {
 public:
  explicit Quality(const QualitySettings& settings) : settings_(settings) {}

  void judge(Document& doc, Scorecard& j, std::vector<Edit>&) override {
    if (gopher(doc, j) || fineweb(doc, j) || c4(doc, j)) return;
    repetition(doc, j);
  }

 private:
  bool gopher(const Document& doc, Scorecard& j) {
    uint64_t n_real = 0, real_chars = 0, n_alpha = 0;
    for (const Word& w : doc.words) {
      n_real += !w.symbol;
      real_chars += w.symbol ? 0 : w.length;
      n_alpha += w.alpha;
    }
    if (j.test(kMinWords, n_real) || j.test(kMaxWords, n_real)) return true;
    // Zero words never divide: only reached with the length rule off, then the ratios below are 0.
    const double per_real = n_real ? 1.0 / static_cast<double>(n_real) : 0;
    const double per_word = doc.words.empty() ? 0 : 1.0 / static_cast<double>(doc.words.size());
    const double mean = static_cast<double>(real_chars) * per_real;
    if (n_real && (j.test(kMeanLow, mean) || j.test(kMeanHigh, mean))) return true;
    const auto hashes = std::count(doc.text.begin(), doc.text.end(), '#');
    const uint64_t ellipses =
        occurrences(doc.text, "...") + (doc.size() < doc.text.size() ? occurrences(doc.text, "\u2026") : 0);
    // Compared in double from integers: 5 / 50 must not exceed 0.1.
    const double n_words = static_cast<double>(doc.words.size());
    if (n_words > 0 && (j.test(kHashes, static_cast<double>(hashes) / n_words) ||
                        j.test(kEllipses, static_cast<double>(ellipses) / n_words)))
      return true;
    if (gopher_lines(doc, j)) return true;
    double alpha = static_cast<double>(n_alpha) * per_word;
    if (doc.script == Script::kHan) {
      // Punctuation is a third of nothing in Chinese words but a tenth of its characters: leave it out.
      uint64_t solid = 0;
      for (const Word& w : doc.words) solid += !w.symbol;
      alpha = solid ? static_cast<double>(doc.counts.alpha) / static_cast<double>(solid) : 0;
    } else if (n_words > 0) {
      alpha = static_cast<double>(n_alpha) / n_words;
    }
    if (j.test(kAlphaWords, alpha)) return true;
    if (!j.wants(kStopWords)) return false;
    return j.test(kStopWords,
                  doc.script == Script::kHan ? count_chinese_stop_words(doc) : doc.stop_words.distinct);
  }

  bool gopher_lines(const Document& doc, Scorecard& j) {
    uint64_t n = 0, bullets = 0, ellipses = 0;
    const auto line = [&](uint32_t b, uint32_t e) {
      ++n;
      while (b < e && doc.flags[b] & kSpace) ++b;
      while (e > b && doc.flags[e - 1] & kSpace) --e;
      if (b == e) return;
      bullets += doc.chars[b] == 0x2022 || doc.chars[b] == '-';
      ellipses += doc.chars[e - 1] == 0x2026 || (e - b >= 3 && doc.chars[e - 1] == '.' &&
                                                 doc.chars[e - 2] == '.' && doc.chars[e - 3] == '.');
    };
    for_each_splitline(doc, line);
    const double per = n ? static_cast<double>(n) : 1;
    return j.test(kBullets, static_cast<double>(bullets) / per) ||
           j.test(kEllipsisLines, static_cast<double>(ellipses) / per);
  }

  bool fineweb(const Document& doc, Scorecard& j) {
    uint64_t n = 0, ended = 0, brief = 0;
    repeats_.clear();
    for (const Line& l : doc.lines) {
      uint32_t b = l.begin;
      while (b < l.end && doc.flags[b] & kSpace) ++b;
      if (b == l.end) continue;  // blank
      ++n;
      ended += doc.flags[l.end - 1] >> 9 & 1;  // kTerminal; the line is not stripped, as in the reference
      brief += l.end - l.begin <= 30;
      repeats_.add(doc.chars.data() + l.begin, l.end - l.begin);
    }
    const double lines = static_cast<double>(n);
    if (n && (j.test(kLinePunctuation, static_cast<double>(ended) / lines) ||
              j.test(kShortLines, static_cast<double>(brief) / lines)))
      return true;
    if (j.wants(kLineRepeats)) {
      const uint32_t without_newlines = doc.size() - doc.counts.newline;
      if (without_newlines &&
          j.test(kLineRepeats, static_cast<double>(repeats_.finish().chars) / without_newlines))
        return true;
    }
    return !doc.words.empty() &&
           j.test(kNewlines, doc.counts.newline / static_cast<double>(doc.words.size()));
  }

  bool c4(const Document& doc, Scorecard& j) {
    if (!j.wants(kLorem) && !j.wants(kCurly) && !j.wants(kSentences)) return false;
    const C4Result r =
        c4_.judge(doc, settings_, !j.score_all() && j.wants(kLorem), !j.score_all() && j.wants(kCurly));
    return j.test(kLorem, r.lorem_lines) || j.test(kCurly, r.curly_lines) || j.test(kSentences, r.sentences);
  }

  void repetition(const Document& doc, Scorecard& j) {
    const double chars = doc.size();
    if (chars == 0) return;
    if (j.wants(kParaFrac) || j.wants(kParaChars)) {
      const RepeatedElements r = paragraphs(doc);
      if (j.test(kParaFrac, static_cast<double>(r.repeated) / r.n) ||
          j.test(kParaChars, static_cast<double>(r.chars) / chars))
        return;
    }
    if (j.wants(kLineFrac) || j.wants(kLineChars)) {
      // Split at runs of newlines; an empty element stays before a leading or behind a trailing run.
      repeats_.clear();
      for (size_t i = 0; i < doc.lines.size(); ++i) {
        const Line& l = doc.lines[i];
        const bool edge = i == 0 || i + 1 == doc.lines.size();
        if (l.begin == l.end && !edge) continue;
        repeats_.add(doc.chars.data() + l.begin, l.end - l.begin);
      }
      const RepeatedElements& r = repeats_.finish();
      if (j.test(kLineFrac, static_cast<double>(r.repeated) / r.n) ||
          j.test(kLineChars, static_cast<double>(r.chars) / chars))
        return;
    }
    const RepetitionSizes& sizes = repetition_sizes(doc.script);
    counter_.start(doc.words, sizes);
    for (int i = 0; i < kTopSizes; ++i)
      if (j.test(kTop0 + i, counter_.top_chars(i, settings_.count_guard) / chars)) return;
    const bool covered = settings_.repetition_formula == kCovered;
    for (int i = 0; i < kDuplicateSizes; ++i) {
      const double n = covered ? counter_.covered_chars(i) : counter_.duplicate_chars(i);
      if (j.test(kDup0 + i, n / (covered ? solid_chars(doc) : chars))) return;
    }
  }

  static double solid_chars(const Document& doc) {
    return std::max<double>(1, doc.size() - doc.counts.space);
  }

  // Paragraphs of the stripped text: split at two newlines or more.
  RepeatedElements paragraphs(const Document& doc) {
    uint32_t b = 0, e = doc.size();
    while (b < e && doc.flags[b] & kSpace) ++b;
    while (e > b && doc.flags[e - 1] & kSpace) --e;
    repeats_.clear();
    for (uint32_t i = b; i < e;) {
      if (doc.chars[i] == '\n' && i + 1 < e && doc.chars[i + 1] == '\n') {
        repeats_.add(doc.chars.data() + b, i - b);
        while (i < e && doc.chars[i] == '\n') ++i;
        b = i;
      } else {
        ++i;
      }
    }
    repeats_.add(doc.chars.data() + b, e - b);
    return repeats_.finish();
  }

  const QualitySettings& settings_;
  RepetitionCounter counter_;
  SegmentRepeats repeats_;
  C4Rules c4_;
};

LoadedStage load(const Profile& profile, const ResourceOptions&) {
  return {[&profile] { return std::make_unique<Quality>(profile.quality); }, {}, {}};
}

}  // namespace

void QualitySettings::visit(SettingVisitor& v) {
  constexpr const char* kFormulas[] = {"datatrove", "covered"};
  v.section("repetition", [&] {
    v.choice("formula", repetition_formula, kFormulas);
    v.flag("count_guard", count_guard);
  });
  v.section("c4", [&] {
    v.flag("terminal_punctuation", c4_terminal_punctuation);
    v.integer("min_words_per_line", c4_min_words_per_line, 0, 1000);
    v.integer("max_word_length", c4_max_word_length, 1, 1 << 30);
  });
}

StageRow quality_stage() {
  return {"quality", kRules, load, [](Profile& p, SettingVisitor& v) { p.quality.visit(v); }};
}

}  // namespace ds::filter
