#include "filter/stages/lexicon.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/numbers.h"
#include "core/utf8.h"
#include "filter/embedded.h"
#include "filter/text/characters.h"
#include "filter/text/clones.h"

namespace ds::filter {
namespace {

// Symbols of the shadow copy that stand for what is between words.
constexpr uint32_t kSeparator = ' ', kSoftSymbol = 1, kFullStop = 2;
// No symbol: a code point that leaves none; one whose neighbours tell whether it is a disguise.
constexpr uint32_t kNothing = 0, kAskNeighbours = 0;
// Stands in a Prefix for what it does not hold.
constexpr uint32_t kAny = 3;
// Symbols or blanks allowed between two ideographs of one term.
constexpr uint32_t kMaxSkipped = 2;
// Chinese terms of at most so many ideographs come about by chance where two words meet.
constexpr uint32_t kShortHan = 3;
// How far a context word reaches, in code points.
constexpr uint32_t kContextSpaced = 300, kContextHan = 60;

// Digits and signs that stand for letters between letters; 0 for others.
uint32_t leet_letter(uint32_t c) {
  switch (c) {
    case '0':
      return 'o';
    case '1':
    case '!':
      return 'i';
    case '3':
      return 'e';
    case '4':
    case '@':
      return 'a';
    case '5':
    case '$':
      return 's';
    case '7':
      return 't';
    default:
      return 0;
  }
}
bool is_ascii_letter(uint32_t c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }

bool is_word_symbol(uint32_t c) { return c > kFullStop && c != kSeparator; }
bool is_han_symbol(uint32_t c) { return c >= 0x3400 && c <= 0x9FFF; }

// 1 where a term may start: at each ideograph, and where a word of other symbols begins. A plain loop, so
// that it becomes vector code.
DS_CLONES void mark_starts(const uint32_t* s, uint32_t n, uint8_t* starts) {
  const auto word = [](uint32_t c) -> uint8_t { return (c > kFullStop) & (c != kSeparator); };
  const auto han = [](uint32_t c) -> uint8_t { return c - 0x3400 <= 0x9FFF - 0x3400; };
  if (n) starts[0] = word(s[0]);
  for (uint32_t i = 1; i < n; ++i)
    starts[i] = static_cast<uint8_t>(han(s[i]) | (word(s[i]) & ((word(s[i - 1]) ^ 1) | han(s[i - 1]))));
}

// Letters of other scripts, small capitals and script letters that look like Latin ones.
uint32_t homoglyph(uint32_t c) {
  constexpr std::u32string_view kFrom =
      U"аеорсухіјѕһкмтвнԁԛԝαεορυνικτχƅɡɩⅼᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢℂℊℋℌℍℎℐℑℒℕℙℚℛℜℝℤℨℬℭℯℰℱℳℴ";
  constexpr std::string_view kTo =
      "aeopcyxijshkmtbhdqwaeopuviktxbgilabcdefghijklmnoprstuvwyzcghhhhiilnpqrrrzzbceefmo";
  const size_t at = kFrom.find(static_cast<char32_t>(c));
  return at == kFrom.npos ? c : static_cast<uint8_t>(kTo[at]);
}

// Letters and digits that Unicode has again in a style: mathematical bold and its like, in circles, boxes and
// parentheses. Anything else is itself.
uint32_t plain(uint32_t c) {
  const auto letter = [&](uint32_t first) { return 'a' + (c - first) % 26; };
  if (c >= 0x249C && c <= 0x24B5) return letter(0x249C);
  if (c >= 0x24B6 && c <= 0x24E9) return letter(0x24B6);
  if (c < 0x1D400) return c;
  if (c <= 0x1D6A3) return letter(0x1D400);
  if (c >= 0x1D7CE && c <= 0x1D7FF) return '0' + (c - 0x1D7CE) % 10;
  for (const uint32_t first : {0x1F110u, 0x1F130u, 0x1F150u, 0x1F170u})
    if (c >= first && c < first + 26) return letter(first);
  return c;
}

uint32_t pair_bit(uint32_t a, uint32_t b) { return (a * 0x9E37u ^ b * 0x85EBu) & 0xFFFF; }
// The first symbols of a term or text up to and with its first separator, at most four; kAny behind them.
constexpr uint32_t kPrefix = 4;
struct Prefix {
  uint32_t symbols[kPrefix] = {kAny, kAny, kAny, kAny};
  Prefix(const uint32_t* s, size_t n) {
    for (uint32_t k = 0; k < kPrefix && k < n; ++k) {
      symbols[k] = is_word_symbol(s[k]) ? s[k] : kSeparator;
      if (symbols[k] == kSeparator) break;
    }
  }
  // Bit of the first n.
  uint32_t bit(uint32_t n = kPrefix) const {
    constexpr uint32_t kFactor[kPrefix] = {0x9E3779B1u, 0x85EBCA77u, 0xC2B2AE3Du, 0x27D4EB2Fu};
    uint32_t h = 0;
    for (uint32_t k = 0; k < kPrefix; ++k) h ^= (k < n ? symbols[k] : kAny) * kFactor[k];
    return h >> 14;
  }
};
uint64_t slot_hash(uint64_t key) { return mix_hash(key * 0x9E3779B97F4A7C15ull); }

}  // namespace

int Lexicon::category_index(const std::string& name) {
  const auto it = std::find(categories_.begin(), categories_.end(), name);
  if (it != categories_.end()) return static_cast<int>(it - categories_.begin());
  if (categories_.size() == 64) throw Error(ErrorKind::kBadModel, "more than 64 categories", name);
  categories_.push_back(name);
  enabled_.push_back(true);
  return static_cast<int>(categories_.size()) - 1;
}

void Lexicon::enable(const std::string& category, bool on) { enabled_[category_index(category)] = on; }

uint32_t Lexicon::fold(uint32_t c) const { return c < 0x10000 ? fold_[c] : plain(c); }

void Lexicon::add(std::string_view tsv, const std::string& where) {
  if (fold_.empty()) {
    const LetterTable& table = LetterTable::instance();
    fold_.resize(0x10000);
    for (uint32_t c = 0; c < 0x10000; ++c) fold_[c] = static_cast<uint16_t>(homoglyph(plain(table.fold(c))));
    // One traditional and one simplified character a line.
    std::string_view han = embedded_file("han-simplify.tsv");
    while (!han.empty()) {
      const size_t eol = std::min(han.find('\n'), han.size());
      const std::string_view line = han.substr(0, eol);
      han.remove_prefix(std::min(eol + 1, han.size()));
      if (line.empty() || line[0] == '#') continue;
      const Utf8Char from = decode_utf8(line);
      if (from.length == 0 || static_cast<size_t>(from.length) + 1 >= line.size()) continue;
      const Utf8Char to = decode_utf8(line.substr(from.length + 1));
      if (from.code_point < 0x10000 && to.code_point < 0x10000)
        fold_[from.code_point] = static_cast<uint16_t>(to.code_point);
    }
  }
  int line_number = 0;
  while (!tsv.empty()) {
    const size_t eol = std::min(tsv.find('\n'), tsv.size());
    std::string_view line = tsv.substr(0, eol);
    tsv.remove_prefix(std::min(eol + 1, tsv.size()));
    ++line_number;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> field;
    for (std::string_view rest = line;;) {
      const size_t tab = rest.find('\t');
      field.emplace_back(rest.substr(0, tab));
      if (tab == rest.npos) break;
      rest.remove_prefix(tab + 1);
    }
    const std::string at = where + ":" + std::to_string(line_number);
    if (field.size() == 2) field.insert(field.begin() + 1, "hard");
    if (field.size() < 3 || field[0].empty() || field[2].empty())
      throw Error(ErrorKind::kBadModel, "expected category, hard or soft, term, separated by tabs", at);
    Term term{field[2], -1, 0, Kind::kTerm, Weight::kSoft, false, false, 0};
    if (field[0] == "acquit" || field[0] == "accuse") {
      term.kind = field[0] == "acquit" ? Kind::kAcquit : Kind::kAccuse;
      term.near = field[1] == "*" ? ~0ull : 1ull << category_index(field[1]);
    } else if (field[0] == "allow") {
      term.kind = Kind::kAllow;
    } else {
      if (field[1] != "hard" && field[1] != "soft" && field[1] != "weak")
        throw Error(ErrorKind::kBadModel, "expected hard, soft or weak, found '" + field[1] + "'", at);
      term.weight = field[1] == "hard" ? Weight::kHard : field[1] == "soft" ? Weight::kSoft : Weight::kWeak;
      term.category = category_index(field[0]);
    }
    std::string_view text = field[2];
    if (text.back() == '*') {
      term.open_end = true;
      text.remove_suffix(1);
    }
    std::vector<uint32_t> symbols;
    while (!text.empty()) {
      const Utf8Char c = decode_utf8(text);
      if (c.length == 0) throw Error(ErrorKind::kBadModel, "not valid UTF-8", at);
      text.remove_prefix(c.length);
      const uint32_t f = fold(c.code_point);
      const uint16_t flags = LetterTable::instance().flags(f);
      symbols.push_back(flags & (kAlpha | kDigit) ? f : kSeparator);
      term.han = term.han || is_han_symbol(f);
    }
    if (symbols.size() < 2) throw Error(ErrorKind::kBadModel, "a term needs two characters", at);
    term.length = static_cast<uint32_t>(symbols.size());
    longest_ = std::max(longest_, term.length);
    if (is_han_symbol(symbols[0])) {
      pairs_.set(pair_bit(symbols[0], symbols[1]));
    } else {
      prefixes_.set(Prefix(symbols.data(), symbols.size()).bit());
    }
    int node = 0;
    for (const uint32_t s : symbols) {
      const uint64_t key = static_cast<uint64_t>(node) << 32 | s;
      const auto [it, added] = edges_.try_emplace(key, static_cast<int>(node_term_.size()));
      if (added) node_term_.push_back(-1);
      node = it->second;
    }
    // A later line replaces an earlier one: a gazetteer may overrule what ships. A context word may serve
    // several categories.
    if (const int before = node_term_[node]; before >= 0 && terms_[before].kind == term.kind)
      term.near |= terms_[before].near;
    node_term_[node] = static_cast<int>(terms_.size());
    terms_.push_back(std::move(term));
  }
}

void Lexicon::finish() {
  symbols_.resize(0x10000);
  for (uint32_t c = 0; c < 0x10000; ++c) {
    const uint16_t f = LetterTable::instance().flags(c);
    const bool alone = !leet_letter(c) && c - 0x370 >= 0x1C0 && (c < 0x249C || (f & kAlpha) || plain(c) == c);
    symbols_[c] = static_cast<uint16_t>(alone ? symbol_of(c, f) : kAskNeighbours);
  }
  size_t size = 64;
  while (size < edges_.size() * 2) size *= 2;
  flat_.assign(size, {0, -1});
  for (const auto& [key, to] : edges_) {
    size_t s = slot_hash(key) & (size - 1);
    while (flat_[s].key) s = (s + 1) & (size - 1);
    flat_[s] = {key, to};
  }
}

int Lexicon::step(int node, uint32_t symbol) const {
  const uint64_t key = static_cast<uint64_t>(node) << 32 | symbol;
  const size_t mask = flat_.size() - 1;
  for (size_t s = slot_hash(key) & mask;; s = (s + 1) & mask) {
    if (flat_[s].key == key) return flat_[s].to;
    if (flat_[s].key == 0) return -1;
  }
}

// What stands for a code point with the flags f in the shadow copy.
uint32_t Lexicon::symbol_of(uint32_t c, uint16_t f) const {
  if (f & (kAlpha | kDigit)) return fold(c);
  if (c >= 0x249C && plain(c) != c) return plain(c);
  // Zero-width characters, soft hyphens and accents that stand alone are not there.
  if ((f & kMark) || (c >= 0x200B && c <= 0x200F) || c == 0xAD || c == 0x2060 || c == 0xFEFF) return kNothing;
  if (f & kSpace) return c == '\n' ? kFullStop : kSeparator;
  const bool stop = (f & kTerminal) || c == 0xFF0C || c == 0x3001 || c == ',' || c == ';' || c == 0xFF1B;
  return stop ? kFullStop : kSoftSymbol;
}

void Lexicon::shadow(const Document& doc, Work& work) const {
  auto& s = work.symbols;
  work.removed.clear();
  work.disguised.clear();
  work.leet.clear();
  s.resize(doc.size() + 1);
  size_t n = 0;
  const auto letter_at = [&](uint32_t i) { return i < doc.size() && is_ascii_letter(doc.chars[i]); };
  for (uint32_t i = 0; i < doc.size(); ++i) {
    const uint32_t c = doc.chars[i];
    if (const uint32_t known = c < 0x10000 ? symbols_[c] : kAskNeighbours; known != kAskNeighbours) {
      s[n++] = known;
      continue;
    }
    const auto disguised = [&] { work.disguised.push_back(static_cast<uint32_t>(n)); };
    const uint16_t f = doc.flags[i];
    if (!(f & kAlpha) && letter_at(i + 1) && i > 0 && leet_letter(c) &&
        (letter_at(i - 1) || leet_letter(doc.chars[i - 1])))
      work.leet.push_back(static_cast<uint32_t>(n));
    const uint32_t symbol = symbol_of(c, f);
    if (f & (kAlpha | kDigit)) {
      // A mathematical letter; a Greek or Cyrillic one beside a Latin one.
      if (c >= 0x1D400 && symbol < 0x80) disguised();
      if (c - 0x370 < 0x1C0 && symbol < 0x80 && (letter_at(i + 1) || (i > 0 && letter_at(i - 1))))
        disguised();
    } else if (c >= 0x249C && plain(c) != c) {  // a letter in a circle or box: a symbol to Unicode
      disguised();
    } else if (((c >= 0x200B && c <= 0x200D) || c == 0x2060) && i > 0 && (doc.flags[i - 1] & kAlpha)) {
      disguised();  // hidden before the symbol to come
    }
    if (symbol == kNothing)
      work.removed.push_back(static_cast<uint32_t>(n));
    else
      s[n++] = symbol;
  }
  s.resize(n);
}

uint32_t Lexicon::Work::position(uint32_t k) const {
  return k + static_cast<uint32_t>(std::upper_bound(removed.begin(), removed.end(), k) - removed.begin());
}

// The longest term that starts at s[i]; `end` is behind its last symbol. -1: none.
int Lexicon::match_at(const std::vector<uint32_t>& s, uint32_t i, uint32_t& end) const {
  const uint32_t n = static_cast<uint32_t>(s.size());
  int node = step(0, s[i]);
  int found = -1;
  bool last_han = is_han_symbol(s[i]);
  for (uint32_t k = i + 1; node >= 0 && k < n;) {
    uint32_t symbol = s[k];
    uint32_t next = k + 1;
    if (!is_word_symbol(symbol)) {
      uint32_t skipped = k;
      while (skipped < n && !is_word_symbol(s[skipped]) && s[skipped] != kFullStop) ++skipped;
      if (skipped >= n) break;
      if (last_han && skipped - k <= kMaxSkipped && is_word_symbol(s[skipped]) &&
          step(node, s[skipped]) >= 0) {
        symbol = s[skipped];
        next = skipped + 1;
      } else if (symbol != kFullStop && skipped - k <= kMaxSkipped) {
        symbol = kSeparator;  // one blank, hyphen or the like between two words
        next = skipped;
      } else {
        break;
      }
    }
    node = step(node, symbol);
    if (node < 0) break;
    last_han = is_han_symbol(symbol);
    k = next;
    const int term = node_term_[node];
    if (term >= 0) {
      const Term& t = terms_[term];
      const bool word_goes_on = !last_han && k < n && is_word_symbol(s[k]) && !is_han_symbol(s[k]);
      if (!word_goes_on || t.open_end) {
        found = term;
        end = k;
      }
    }
  }
  return found;
}

// Copies the words around the sign at symbols[at] into `spelled`, signs read as letters. False when the
// sign's word is more digits than letters: a model number, no disguise.
bool Lexicon::leet_window(const Document& doc, Work& work, uint32_t at) const {
  const auto& s = work.symbols;
  const uint32_t n = static_cast<uint32_t>(s.size());
  const auto original = [&](uint32_t k) { return doc.chars[work.position(k)]; };
  const auto in_word = [&](uint32_t k) {
    return k < n && ((is_word_symbol(s[k]) && !is_han_symbol(s[k])) || leet_letter(original(k)));
  };
  uint32_t begin = at;
  while (begin > 0 && at - begin < longest_ && in_word(begin - 1)) --begin;
  uint32_t letters = 0, signs = 0, others = 0;
  for (uint32_t k = begin; in_word(k) && k - begin <= longest_; ++k) {
    if (leet_letter(original(k)))
      ++signs;
    else if (is_ascii_letter(s[k]))
      ++letters;
    else
      ++others;
  }
  if (others || letters < 2 || letters < signs) return false;
  work.spelled.clear();
  work.spelled_at.clear();
  for (uint32_t k = begin; k < n && k - begin <= longest_; ++k) {
    const uint32_t sign = leet_letter(original(k));
    const bool beside = (k > 0 && is_ascii_letter(s[k - 1])) || (k + 1 < n && is_ascii_letter(s[k + 1]));
    work.spelled.push_back(sign && beside ? sign : s[k]);
    work.spelled_at.push_back(work.position(k));
  }
  return true;
}

const std::vector<Lexicon::Hit>& Lexicon::find(const Document& doc, Work& work) const {
  shadow(doc, work);
  work.hits.clear();
  const auto& s = work.symbols;
  const uint32_t n = static_cast<uint32_t>(s.size());
  struct Context {
    uint32_t at;
    uint64_t near;  // categories
    bool acquits;
    int term;
  };
  std::vector<Context> contexts;
  std::vector<Found> found;
  uint32_t single_run = 0, next_single = 0;
  const auto report = [&](uint32_t begin, uint32_t end, int term, bool disguised) {
    const Term& t = terms_[term];
    if (t.kind == Kind::kAcquit || t.kind == Kind::kAccuse)
      contexts.push_back({begin, t.near, t.kind == Kind::kAcquit, term});
    else if (t.kind == Kind::kTerm && enabled_[t.category])
      found.push_back({{begin, end, term, false}, disguised ? Weight::kHard : t.weight});
  };
  auto& starts = work.starts;
  const uint32_t n_starts = n ? n - 1 : 0;  // a term has two symbols
  starts.resize(n_starts);
  mark_starts(s.data(), n_starts, starts.data());
  for (uint32_t i = 0; i < n_starts; ++i) {
    while (n_starts - i > sizeof(uint64_t) && load_unaligned<uint64_t>(&starts[i]) == 0)
      i += sizeof(uint64_t);
    if (!starts[i]) continue;
    const uint32_t c = s[i];
    const bool han = is_han_symbol(c);
    // p o r n, p.o.r.n: single letters one after another are read as one word.
    if (!han && !is_word_symbol(s[i + 1])) {
      single_run = i == next_single ? single_run + 1 : 1;
      next_single = i + 2;
      const bool run_ends = i + 3 >= n || !is_word_symbol(s[i + 2]) || is_word_symbol(s[i + 3]);
      if (single_run >= 3 && (run_ends || i + 3 == n)) {
        work.spelled.clear();
        work.spelled_at.clear();
        // Where the sign between letters is another than at first, a word ends: b-u-y p-o-r-n.
        const uint32_t first = i - 2 * (single_run - 1);
        const uint32_t sign = doc.chars[work.position(first + 1)];
        const bool last_letter =
            i + 2 < n && is_word_symbol(s[i + 2]) && (i + 3 >= n || !is_word_symbol(s[i + 3]));
        for (uint32_t k = first; k <= i + (last_letter ? 2 : 0); k += 2) {
          if (k > first && doc.chars[work.position(k - 1)] != sign) {
            work.spelled.push_back(kSeparator);
            work.spelled_at.push_back(work.position(k - 1));
          }
          work.spelled.push_back(s[k]);
          work.spelled_at.push_back(work.position(k));
        }
        for (uint32_t k = 0; k + 3 < work.spelled.size(); ++k) {
          uint32_t end = 0;
          const bool begins = k == 0 || work.spelled[k - 1] == kSeparator;
          const int term = begins ? match_at(work.spelled, k, end) : -1;
          if (term >= 0 && end - k >= 4) report(work.spelled_at[k], work.spelled_at[end - 1] + 1, term, true);
        }
      }
      if (run_ends) single_run = 0;
    }
    if (han) {
      // Between two ideographs of a term up to two symbols may have been put.
      uint32_t k = i + 1;
      while (k < n && k - i <= kMaxSkipped && (s[k] == kSoftSymbol || s[k] == kSeparator)) ++k;
      const bool symbols_between = k > i + 1;
      if (k == n || !(pairs_[pair_bit(c, s[k])] || (symbols_between && pairs_[pair_bit(c, kSeparator)])))
        continue;
    } else {
      const Prefix prefix(&s[i], n - i);
      if (!prefixes_[prefix.bit()] && !prefixes_[prefix.bit(3)] && !prefixes_[prefix.bit(2)]) continue;
    }
    uint32_t end = 0;
    const int term = match_at(s, i, end);
    if (term < 0) continue;
    // 里番 is not in 锅里番茄: a short term has to be words, not the end of one and the beginning of the
    // next.
    const bool unbroken = work.position(end - 1) + 1 - work.position(i) == terms_[term].length;
    if (han && terms_[term].kind == Kind::kTerm && terms_[term].length <= kShortHan && unbroken &&
        !work.breaks.whole_words(doc, work.position(i), work.position(end - 1) + 1))
      continue;
    // What is hidden before a first ideograph is not inside the term.
    const auto hidden = std::lower_bound(work.disguised.begin(), work.disguised.end(), han ? i + 1 : i);
    report(work.position(i), work.position(end - 1) + 1, term,
           hidden != work.disguised.end() && *hidden < end);
    i = end - 1;  // longest match wins; what it covers is not looked at again
  }
  uint32_t seen_to = 0;
  for (const uint32_t at : work.leet) {
    if (at < seen_to || !leet_window(doc, work, at)) continue;
    uint32_t end = 0;
    const int term = match_at(work.spelled, 0, end);
    if (term < 0 || work.spelled_at[end - 1] < work.position(at)) continue;
    report(work.spelled_at[0], work.spelled_at[end - 1] + 1, term, true);
    while (seen_to < n && work.position(seen_to) <= work.spelled_at[end - 1]) ++seen_to;
  }
  const uint32_t reach = doc.script == Script::kHan ? kContextHan : kContextSpaced;
  const auto before = [](const Context& c, uint32_t at) { return c.at < at; };
  std::sort(contexts.begin(), contexts.end(), [](const Context& x, const Context& y) { return x.at < y.at; });
  std::vector<int> accusers;  // different ones
  const auto others = [&](const Hit& hit) {
    return std::any_of(found.begin(), found.end(), [&](const Found& f) {
      return f.hit.term != hit.term && terms_[f.hit.term].category == terms_[hit.term].category;
    });
  };
  for (auto& [hit, weight] : found) {
    bool acquitted = false;
    accusers.clear();
    const uint32_t from = hit.begin > reach ? hit.begin - reach : 0;
    for (auto c = std::lower_bound(contexts.begin(), contexts.end(), from, before);
         c != contexts.end() && c->at <= hit.end + reach; ++c) {
      if (!(c->near >> terms_[hit.term].category & 1)) continue;
      if (c->acquits)
        acquitted = true;
      else if (std::find(accusers.begin(), accusers.end(), c->term) == accusers.end())
        accusers.push_back(c->term);
    }
    // Everyday words stand beside everyday words (risk-free bills): what accuses needs a witness, a second
    // accuser or another term of the category, and over a weak term both.
    const bool several = accusers.size() > 1, another = others(hit);
    const bool accused =
        !accusers.empty() && (weight == Weight::kWeak ? several && another : several || another);
    if (!acquitted && accused) weight = Weight::kHard;
    if (acquitted && !(accused && weight == Weight::kSoft))
      weight = weight == Weight::kHard ? Weight::kSoft : Weight::kWeak;
    if (weight == Weight::kWeak) continue;
    hit.hard = weight == Weight::kHard;
    work.hits.push_back(hit);
  }
  std::sort(work.hits.begin(), work.hits.end(), [](const Hit& x, const Hit& y) {
    return x.begin != y.begin ? x.begin < y.begin : x.end < y.end;
  });
  return work.hits;
}

}  // namespace ds::filter
