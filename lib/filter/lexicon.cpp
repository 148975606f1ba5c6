#include "filter/lexicon.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/utf8.h"
#include "filter/characters.h"
#include "filter/embedded.h"

namespace ds::filter {
namespace {

// Symbols of the shadow copy that stand for what is between words.
constexpr uint32_t kSeparator = ' ', kSoftSymbol = 1, kFullStop = 2;
// Symbols or blanks allowed between two ideographs of one term.
constexpr uint32_t kMaxSkipped = 2;
// How far a context word reaches, in code points.
constexpr uint32_t kContextSpaced = 300, kContextHan = 60;

bool is_word_symbol(uint32_t c) { return c > 2 && c != ' '; }
bool is_han_symbol(uint32_t c) { return c >= 0x3400 && c <= 0x9FFF; }

// Letters of other scripts that look like Latin ones.
uint32_t homoglyph(uint32_t c) {
  constexpr std::u32string_view kFrom = U"аеорсухіјѕһкмтвнԁԛԝαεορυνικτχƅɡɩⅼ";
  constexpr std::string_view kTo = "aeopcyxijshkmtbhdqwaeopuviktxbgil";
  const size_t at = kFrom.find(static_cast<char32_t>(c));
  return at == kFrom.npos ? c : static_cast<uint8_t>(kTo[at]);
}

uint32_t triple_bit(uint32_t a, uint32_t b, uint32_t c) {
  return (a * 0x9E3779B1u ^ b * 0x85EBCA77u ^ c * 0xC2B2AE3Du) >> 14;
}
uint64_t slot_hash(uint64_t key) { return mix_hash(key * 0x9E3779B97F4A7C15ull); }
uint32_t pair_bit(uint32_t a, uint32_t b) { return (a * 0x9E37u ^ b * 0x85EBu) & 0xFFFF; }

}  // namespace

int Lexicon::category_index(const std::string& name) {
  const auto it = std::find(categories_.begin(), categories_.end(), name);
  if (it != categories_.end()) return static_cast<int>(it - categories_.begin());
  categories_.push_back(name);
  enabled_.push_back(true);
  return static_cast<int>(categories_.size()) - 1;
}

void Lexicon::enable(const std::string& category, bool on) { enabled_[category_index(category)] = on; }

uint32_t Lexicon::fold(uint32_t c) const { return c < 0x10000 ? fold_[c] : c; }

void Lexicon::add(std::string_view tsv, const std::string& where) {
  if (fold_.empty()) {
    const CharTable& table = CharTable::instance();
    fold_.resize(0x10000);
    for (uint32_t c = 0; c < 0x10000; ++c) fold_[c] = static_cast<uint16_t>(homoglyph(table.fold(c)));
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
    Term term{field[2], 0, Kind::kTerm, false, false, false, 0};
    if (field[0] == "acquit") {
      term.kind = Kind::kAcquit;
      term.category = field[1] == "*" ? -1 : category_index(field[1]);
    } else if (field[0] == "allow") {
      term.kind = Kind::kAllow;
      term.category = -1;
    } else {
      if (field[1] != "hard" && field[1] != "soft")
        throw Error(ErrorKind::kBadModel, "expected hard or soft, found '" + field[1] + "'", at);
      term.hard = field[1] == "hard";
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
      const uint16_t flags = CharTable::instance().flags(f);
      symbols.push_back(flags & (kAlpha | kDigit) ? f : kSeparator);
      term.han = term.han || is_han_symbol(f);
    }
    if (symbols.size() < 2) throw Error(ErrorKind::kBadModel, "a term needs two characters", at);
    term.length = static_cast<uint32_t>(symbols.size());
    longest_ = std::max(longest_, term.length);
    if (is_han_symbol(symbols[0])) {
      const uint32_t bit = pair_bit(symbols[0], symbols[1]);
      pairs_[bit / 64] |= 1ull << bit % 64;
    } else {
      const uint32_t bit = triple_bit(symbols[0], symbols[1], symbols.size() > 2 ? symbols[2] : kSeparator);
      triples_[bit / 64] |= 1ull << bit % 64;
      if (symbols.size() == 2) short_latin_ = true;
    }
    int node = 0;
    for (const uint32_t s : symbols) {
      const uint64_t key = static_cast<uint64_t>(node) << 32 | s;
      const auto [it, added] = edges_.try_emplace(key, static_cast<int>(node_term_.size()));
      if (added) node_term_.push_back(-1);
      node = it->second;
    }
    // A later line replaces an earlier one: a gazetteer may overrule what ships.
    node_term_[node] = static_cast<int>(terms_.size());
    terms_.push_back(std::move(term));
  }
}

void Lexicon::finish() {
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

void Lexicon::shadow(const Document& doc, Work& work) const {
  auto& s = work.symbols;
  auto& at = work.position;
  s.resize(doc.size() + 1);
  at.resize(doc.size() + 1);
  size_t n = 0;
  for (uint32_t i = 0; i < doc.size(); ++i) {
    const uint32_t c = doc.chars[i];
    const uint16_t f = doc.flags[i];
    if (f & (kAlpha | kDigit)) {
      s[n] = fold(c);
      at[n++] = i;
      continue;
    }
    // Zero-width characters, soft hyphens and accents that stand alone are not there.
    if ((f & kMark) || (c >= 0x200B && c <= 0x200F) || c == 0xAD || c == 0x2060 || c == 0xFEFF) continue;
    const uint32_t kind =
        f & kSpace                                                                             ? kSeparator
        : (f & kTerminal) || c == 0xFF0C || c == 0x3001 || c == ',' || c == ';' || c == 0xFF1B ? kFullStop
                                                                                               : kSoftSymbol;
    s[n] = c == '\n' ? kFullStop : kind;
    at[n++] = i;
  }
  s.resize(n);
  at.resize(n);
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

const std::vector<Lexicon::Hit>& Lexicon::find(const Document& doc, Work& work) const {
  shadow(doc, work);
  work.hits.clear();
  const auto& s = work.symbols;
  const uint32_t n = static_cast<uint32_t>(s.size());
  std::vector<std::pair<uint32_t, int>> contexts;  // position, category
  uint32_t single_run = 0;
  const auto report = [&](uint32_t begin, uint32_t end, int term, bool spelled = false) {
    const Term& t = terms_[term];
    if (t.kind == Kind::kAcquit)
      contexts.emplace_back(begin, t.category);
    else if (t.kind == Kind::kTerm && enabled_[t.category])
      work.hits.push_back({begin, end, term, t.hard || spelled});  // nobody spells out an innocent word
  };
  for (uint32_t i = 0; i + 1 < n; ++i) {
    const uint32_t c = s[i];
    if (!is_word_symbol(c)) continue;
    const bool han = is_han_symbol(c);
    const bool word_start = han || i == 0 || !is_word_symbol(s[i - 1]) || is_han_symbol(s[i - 1]);
    if (!word_start) continue;
    // p o r n, p.o.r.n: single letters one after another are read as one word.
    if (!han && !is_word_symbol(s[i + 1]) && s[i + 1] != '\n') {
      ++single_run;
      const bool run_ends = i + 3 >= n || !is_word_symbol(s[i + 2]) || is_word_symbol(s[i + 3]);
      if (single_run >= 3 && (run_ends || i + 3 == n)) {
        work.spelled.clear();
        work.spelled_at.clear();
        for (uint32_t k = i - 2 * (single_run - 1); k <= i; k += 2) {
          work.spelled.push_back(s[k]);
          work.spelled_at.push_back(work.position[k]);
        }
        if (i + 2 < n && is_word_symbol(s[i + 2]) && (i + 3 >= n || !is_word_symbol(s[i + 3]))) {
          work.spelled.push_back(s[i + 2]);
          work.spelled_at.push_back(work.position[i + 2]);
        }
        uint32_t end = 0;
        const int term = work.spelled.size() >= 4 ? match_at(work.spelled, 0, end) : -1;
        if (term >= 0) report(work.spelled_at[0], work.spelled_at[end - 1] + 1, term, true);
      }
      if (run_ends) single_run = 0;
    } else {
      single_run = 0;
    }
    // Between two ideographs a symbol may have been put: then the pair test cannot tell.
    const bool disguised = han && !is_word_symbol(s[i + 1]);
    if (han) {
      const uint32_t bit = pair_bit(c, s[i + 1]);
      if (!disguised && !(pairs_[bit / 64] >> bit % 64 & 1)) continue;
    } else {
      const uint32_t second = is_word_symbol(s[i + 1]) ? s[i + 1] : kSeparator;
      const uint32_t third = i + 2 < n && is_word_symbol(s[i + 2]) ? s[i + 2] : kSeparator;
      const uint32_t bit = triple_bit(c, second, third);
      // A term of two letters and an open end goes on with any third one.
      if (!short_latin_ && !(triples_[bit / 64] >> bit % 64 & 1)) continue;
    }
    uint32_t end = 0;
    const int term = match_at(s, i, end);
    if (term < 0) continue;
    report(work.position[i], work.position[end - 1] + 1, term);
    i = end - 1;  // longest match wins; what it covers is not looked at again
  }
  if (!contexts.empty()) {
    const uint32_t reach = doc.script == Script::kHan ? kContextHan : kContextSpaced;
    size_t kept = 0;
    for (Hit hit : work.hits) {
      bool acquitted = false;
      for (const auto& [at, category] : contexts)
        acquitted = acquitted || ((category < 0 || category == terms_[hit.term].category) &&
                                  at + reach >= hit.begin && at <= hit.end + reach);
      if (acquitted && !hit.hard) continue;
      if (acquitted) hit.hard = false;
      work.hits[kept++] = hit;
    }
    work.hits.resize(kept);
  }
  return work.hits;
}

}  // namespace ds::filter
