#include "filter/text/word_tokenizer.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/utf8.h"
#include "filter/embedded.h"
#include "filter/text/characters.h"

namespace ds::filter {
namespace {

constexpr uint32_t kMaxException = 16;

uint32_t maybe_key(const uint32_t* s, uint32_t n) {
  // First, middle and last character and the length: few chunks share all four with a table entry.
  return ((s[0] ^ s[n - 1] << 7 ^ s[n / 2] << 14 ^ n << 21) * 0x9E3779B1u) >> 16;
}

uint64_t chunk_hash(const uint32_t* s, uint32_t n) {
  uint64_t h = kHashSeed;
  for (uint32_t i = 0; i < n; ++i) h = (h ^ s[i]) * kHashPrime;
  return mix_hash(h);
}

std::u32string decode_all(std::string_view text) {
  std::u32string out;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (c.length == 0) break;
    out.push_back(static_cast<char32_t>(c.code_point));
    text.remove_prefix(c.length);
  }
  return out;
}

bool is_currency(uint32_t c) {
  return c == '$' || c == 0xA3 || c == 0xA5 || c == 0xE3F || c == 0xFDFC || (c >= 0x20A0 && c <= 0x20BF);
}
bool is_ascii_digit(uint32_t c) { return c >= '0' && c <= '9'; }
// Scripts without case count as both, as in spaCy's classes.
bool upper_like(uint16_t f) { return (f & kUpper) || ((f & kAlpha) && !(f & kLower)); }
bool lower_like(uint16_t f) { return (f & kLower) || ((f & kAlpha) && !(f & kUpper)); }
bool is_quote(uint32_t c) {
  constexpr std::u32string_view kQuotes = U"'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧";
  return kQuotes.find(static_cast<char32_t>(c)) != kQuotes.npos;
}

constexpr std::u32string_view kUnits[] = {
    U"km", U"km²", U"km³", U"m",  U"m²",  U"m³",   U"dm",  U"dm²", U"dm³", U"cm", U"cm²",  U"cm³",
    U"mm", U"mm²", U"mm³", U"ha", U"µm",  U"nm",   U"yd",  U"in",  U"ft",  U"kg", U"g",    U"mg",
    U"µg", U"t",   U"lb",  U"oz", U"m/s", U"km/h", U"kmh", U"mph", U"hPa", U"Pa", U"mbar", U"mb",
    U"MB", U"kb",  U"KB",  U"gb", U"GB",  U"tb",   U"TB",  U"T",   U"G",   U"M",  U"K",    U"%"};
constexpr uint32_t kMaxUnit = 4;

// How many characters leave the front; 0 for none.
uint32_t prefix_length(const uint32_t* s, const uint16_t* f, uint32_t n) {
  const uint32_t c = s[0];
  if (f[0] & kPeel) return 1;
  if (c == '%' || c == '=' || c == 0xA7 || c == 0x2014 || c == 0x2013 || is_currency(c)) return 1;
  if (c == '+') return n > 1 && is_ascii_digit(s[1]) ? 0 : 1;
  if (c == '.' && n > 1 && s[1] == '.') {
    uint32_t k = 2;
    while (k < n && s[k] == '.') ++k;
    return k;
  }
  if (n > 2 && s[1] == 'S' && s[2] == '$' && c == 'U') return 3;
  if (n > 1 && s[1] == '$' && (c == 'C' || c == 'A')) return 2;
  return 0;
}

// How many characters leave the back; the longest of what matches, as a search from the left finds it.
uint32_t suffix_length(const uint32_t* s, const uint16_t* f, uint32_t n) {
  const uint32_t c = s[n - 1];
  uint32_t best = 0;
  if ((f[n - 1] & kPeel) || c == 0x2014 || c == 0x2013) best = 1;
  if (c == 0x2026 && n > 1 && s[n - 2] == 0x2026) best = 2;
  if ((c == 's' || c == 'S') && n > 1 && (s[n - 2] == '\'' || s[n - 2] == 0x2019)) best = 2;
  if (c == '.') {
    uint32_t k = 1;
    while (k < n && s[n - 1 - k] == '.') ++k;
    if (k >= 2) return k;
    if (n >= 2) {
      const uint32_t before = s[n - 2];
      const uint16_t fb = f[n - 2];
      if (is_ascii_digit(before) || lower_like(fb) || (fb & kPeel && !(fb & kIcon)) || before == '%' ||
          before == 0xB2 || before == '-' || before == '+' || before == '|')
        best = 1;
      if (n >= 3 && upper_like(fb) && upper_like(f[n - 3])) best = 1;
      if (n >= 3 && s[n - 3] == 0xB0 && (before | 0x20) <= 'k') best = 1;
    }
  }
  if (c == '+' && n >= 2 && is_ascii_digit(s[n - 2])) best = 1;
  if (is_currency(c) && n >= 2 && is_ascii_digit(s[n - 2])) best = 1;
  // A unit behind a digit: 10km, 5%.
  for (uint32_t k = std::min(kMaxUnit, n - 1); k > best; --k) {
    if (!is_ascii_digit(s[n - 1 - k])) continue;
    for (const auto unit : kUnits)
      if (unit.size() == k && std::equal(unit.begin(), unit.end(), s + n - k)) return k;
  }
  return best;
}

// Host names and addresses stay whole: user@host.org/path?x, www.debian.org, 192.0.2.7:80/x.
bool looks_like_url(const uint32_t* s, const uint16_t* f, uint32_t n) {
  uint32_t dot = 0;  // the least a host name needs
  while (dot < n && s[dot] != '.') ++dot;
  if (dot == n) return false;
  uint32_t i = 0;
  // scheme://
  uint32_t k = 0;
  while (k < n && ((f[k] & (kAlpha | kDigit)) || s[k] == '_' || s[k] == '+' || s[k] == '-' || s[k] == '.'))
    ++k;
  if (k >= 2 && k + 3 <= n && s[k] == ':' && s[k + 1] == '/' && s[k + 2] == '/') i = k + 3;
  const auto host_from = [&](uint32_t begin) {
    const auto label_char = [&](uint32_t j) {
      return is_ascii_digit(s[j]) || (s[j] < 0x80 && (f[j] & kAlpha)) || (s[j] >= 0xA1 && s[j] <= 0xFFFF);
    };
    // Labels end with "." and the last name is two letters or more.
    uint32_t j = begin, label = begin, n_labels = 0, host_end = 0;
    bool lower = true;
    for (; j < n; ++j) {
      if (s[j] == '.') {
        if (j == label || !label_char(j - 1) || !label_char(label) || j - label > 64) break;
        ++n_labels;
        label = j + 1;
        lower = true;
        continue;
      }
      if (!label_char(j) && s[j] != '-' && s[j] != '_') break;
      lower = lower && lower_like(f[j]);
      if (n_labels > 0 && lower && j - label >= 1) host_end = j + 1;
    }
    if (host_end == 0) return false;
    // The name may be followed by a port, a path, or nothing; a shorter last name is tried by none of the
    // texts seen, so only the longest is.
    j = host_end;
    if (j < n && s[j] == ':') {
      uint32_t d = j + 1;
      while (d < n && is_ascii_digit(s[d])) ++d;
      if (d - j - 1 < 2 || d - j - 1 > 5) return false;
      j = d;
    }
    return j == n || s[j] == '/' || s[j] == '?' || s[j] == '#';
  };
  if (host_from(i)) return true;
  for (uint32_t at = i; at < n; ++at)
    if (s[at] == '@' && at > i && at + 1 < n && host_from(at + 1)) return true;
  return false;
}

}  // namespace

WordTokenizer::WordTokenizer() : maybe_(1024), maybe_joined_(1024) {
  struct Entry {
    std::u32string chunk;
    std::vector<uint8_t> pieces, parts;
    const uint32_t* chars() const { return reinterpret_cast<const uint32_t*>(chunk.data()); }
    uint32_t size() const { return static_cast<uint32_t>(chunk.size()); }
  };
  std::vector<Entry> entries;
  std::string_view rest = embedded_file("en-exceptions.tsv");
  while (!rest.empty()) {
    const size_t eol = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, eol);
    rest.remove_prefix(std::min(eol + 1, rest.size()));
    if (line.substr(0, 2) == "# ") continue;
    Entry e;
    for (bool first = true; !line.empty(); first = false) {
      const size_t tab = std::min(line.find('\t'), line.size());
      std::u32string part = decode_all(line.substr(0, tab));
      line.remove_prefix(std::min(tab + 1, line.size()));
      if (first)
        e.chunk = std::move(part);
      else
        e.pieces.push_back(static_cast<uint8_t>(part.size()));
    }
    if (!e.chunk.empty() && e.chunk.size() <= kMaxException) entries.push_back(std::move(e));
  }
  // While the table is empty the rules alone split.
  const LetterTable& table = LetterTable::instance();
  for (Entry& e : entries) {
    std::vector<uint16_t> flags;
    for (const char32_t c : e.chunk) flags.push_back(table.flags(c));
    Pieces parts;
    split_chunk(e.chars(), flags.data(), 0, e.size(), parts);
    for (const auto& [begin, end] : parts) e.parts.push_back(static_cast<uint8_t>(end - begin));
  }
  for (Entry& e : entries) {
    const uint32_t key = maybe_key(e.chars(), e.size());
    const uint64_t hash = chunk_hash(e.chars(), e.size());
    maybe_[key / 64] |= 1ull << key % 64;
    if (e.parts.size() > 1) {
      maybe_joined_[key / 64] |= 1ull << key % 64;
      most_parts_ = std::max(most_parts_, e.parts.size());
      joined_.emplace(hash, Joined{std::move(e.parts), e.pieces});
    }
    exceptions_.emplace(hash, std::move(e.pieces));
  }
}

const WordTokenizer& WordTokenizer::instance() {
  static const WordTokenizer tokenizer;
  return tokenizer;
}

const std::vector<uint8_t>* WordTokenizer::exception(const uint32_t* s, uint32_t n) const {
  if (n == 0 || n > kMaxException) return nullptr;
  const uint32_t key = maybe_key(s, n);
  if (!(maybe_[key / 64] >> key % 64 & 1)) return nullptr;
  const auto it = exceptions_.find(chunk_hash(s, n));
  return it == exceptions_.end() ? nullptr : &it->second;
}

namespace {

// A Korean syllable as the letters it is composed of, which is how some systems write it.
void fold_hangul(uint32_t c, uint64_t& hash) {
  constexpr uint32_t kFirst = 0xAC00, kLast = 0xD7A3, kVowels = 21, kTails = 28;
  const auto add = [&](uint32_t letter) { hash = (hash ^ letter) * kHashPrime; };
  if (c < kFirst || c > kLast) return add(c);
  const uint32_t s = c - kFirst;
  add(0x1100 + s / (kVowels * kTails));
  add(0x1161 + s % (kVowels * kTails) / kTails);
  if (s % kTails) add(0x11A7 + s % kTails);
}

void emit(const uint32_t* chars, const uint16_t* flags, uint32_t begin, uint32_t end,
          WordTokenizer::Words& out) {
  const LetterTable& table = LetterTable::instance();
  uint64_t hash = kHashSeed, folded = kHashSeed;
  uint16_t any = 0, all = 0xFFFF;
  bool number = true;
  for (uint32_t i = begin; i < end; ++i) {
    const uint32_t c = chars[i];
    hash = (hash ^ c) * kHashPrime;
    if (flags[i] & kHangul)
      fold_hangul(c, folded);
    else if (const uint32_t f = table.fold(c))
      folded = (folded ^ f) * kHashPrime;
    any |= flags[i];
    all &= flags[i];
    number = number && ((flags[i] & kDigit) || c == '.' || c == ',');
  }
  out.add(begin, end - begin, mix_hash(hash), any & kAlpha, all & kSymbol,
          number && (any & kDigit) ? number_unit() : mix_hash(folded));
}

// The same for one mark, no letter and no digit.
void emit_mark(const LetterTable& table, uint32_t c, uint16_t f, uint32_t at, WordTokenizer::Words& out) {
  out.add(at, 1, hash_char(c), false, f & kSymbol, hash_char(table.fold(c)));
}

void add_pieces(uint32_t begin, const std::vector<uint8_t>& lengths,
                std::vector<std::pair<uint32_t, uint32_t>>& out) {
  for (const uint8_t n : lengths) {
    out.emplace_back(begin, begin + n);
    begin += n;
  }
}

}  // namespace

void WordTokenizer::split_inside(const uint32_t* chars, const uint16_t* flags, uint32_t begin, uint32_t end,
                                 WordTokenizer::Pieces& out) const {
  uint32_t start = begin;
  const auto cut = [&](uint32_t i, uint32_t n) {
    if (start < i) out.emplace_back(start, i);
    out.emplace_back(i, i + n);
    start = i + n;
  };
  for (uint32_t i = begin; i < end;) {
    const uint32_t c = chars[i];
    const uint16_t f = flags[i];
    if ((f & (kAlpha | kDigit)) || i == begin) {
      // A match at the very start is skipped, as spaCy does; letters and digits never match.
      if (i == begin && c == '.' && i + 1 < end && chars[i + 1] == '.')
        while (i + 1 < end && chars[i + 1] == '.') ++i;
      ++i;
      continue;
    }
    const uint32_t prev = chars[i - 1], next = i + 1 < end ? chars[i + 1] : 0;
    const uint16_t fp = flags[i - 1], fn = i + 1 < end ? flags[i + 1] : 0;
    const bool prev_word = (fp & kAlpha) || is_ascii_digit(prev);
    uint32_t n = 0;
    if (c == '.') {
      uint32_t k = 1;
      while (i + k < end && chars[i + k] == '.') ++k;
      if (k >= 2)
        n = k;
      else if ((lower_like(fp) || is_quote(prev)) && next && (upper_like(fn) || is_quote(next)))
        n = 1;
    } else if (c == 0x2026 || (f & kIcon)) {
      n = 1;
    } else if ((c == '+' || c == '-' || c == '*' || c == '^') && is_ascii_digit(prev) &&
               (is_ascii_digit(next) || next == '-')) {
      n = 1;
    } else if (c == ',') {
      n = (fp & kAlpha) && (fn & kAlpha) ? 1 : 0;
    } else if (c == '-' || c == 0x2013 || c == 0x2014 || c == '~') {
      if (prev_word) {
        uint32_t k = 1;
        const uint32_t most = c == '-' ? 3 : c == 0x2014 ? 2 : 1;
        while (k < most && i + k < end && chars[i + k] == c) ++k;
        // The hyphen run must end before a letter.
        if (i + k < end && (flags[i + k] & kAlpha)) n = k;
      }
    } else if (c == ':' || c == '<' || c == '>' || c == '=' || c == '/') {
      n = prev_word && (fn & kAlpha) ? 1 : 0;
    }
    if (n) {
      cut(i, n);
      i += n;
    } else {
      ++i;
    }
  }
  if (start < end) out.emplace_back(start, end);
}

void WordTokenizer::split_chunk(const uint32_t* chars, const uint16_t* flags, uint32_t begin, uint32_t end,
                                Pieces& out) const {
  thread_local Pieces suffixes;  // scratch
  suffixes.clear();
  bool open = true;
  if (const auto* pieces = exception(chars + begin, end - begin)) {
    add_pieces(begin, *pieces, out);
    return;
  }
  while (begin < end) {
    const uint32_t prefix = prefix_length(chars + begin, flags + begin, end - begin);
    if (prefix) {
      out.emplace_back(begin, begin + prefix);
      begin += prefix;
      if (begin == end) break;
      if (const auto* pieces = exception(chars + begin, end - begin)) {
        add_pieces(begin, *pieces, out);
        open = false;
        break;
      }
    }
    const uint32_t suffix = suffix_length(chars + begin, flags + begin, end - begin);
    if (suffix) {
      suffixes.emplace_back(end - suffix, end);
      end -= suffix;
      if (begin == end) break;
      if (const auto* pieces = exception(chars + begin, end - begin)) {
        add_pieces(begin, *pieces, out);
        open = false;
        break;
      }
    }
    if (!prefix && !suffix) break;
  }
  if (open && begin < end) {
    if (looks_like_url(chars + begin, flags + begin, end - begin))
      out.emplace_back(begin, end);
    else
      split_inside(chars, flags, begin, end, out);
  }
  out.insert(out.end(), suffixes.rbegin(), suffixes.rend());
  join(chars, out);
}

const WordTokenizer::Joined* WordTokenizer::joined(const uint32_t* chars, const Pieces& pieces, size_t first,
                                                   size_t n_parts) const {
  const uint32_t* s = chars + pieces[first].first;
  const uint32_t n = pieces[first + n_parts - 1].second - pieces[first].first;
  if (n > kMaxException) return nullptr;
  const uint32_t key = maybe_key(s, n);
  if (!(maybe_joined_[key / 64] >> key % 64 & 1)) return nullptr;
  const auto it = joined_.find(chunk_hash(s, n));
  if (it == joined_.end() || it->second.parts.size() != n_parts) return nullptr;
  for (size_t k = 0; k < n_parts; ++k)
    if (pieces[first + k].second - pieces[first + k].first != it->second.parts[k]) return nullptr;
  return &it->second;
}

// Where the parts of a table entry stand side by side they become it again: "(see above):" ends in "):",
// which is an emoticon to spaCy. Of those that overlap the one of more parts wins, then the first.
void WordTokenizer::join(const uint32_t* chars, Pieces& pieces) const {
  struct FoundSpan {
    size_t first, n_parts;
    const Joined* entry;
  };
  thread_local std::vector<FoundSpan> found;  // scratch
  thread_local std::vector<uint8_t> taken;
  found.clear();
  taken.assign(pieces.size(), 0);
  for (size_t n = std::min(most_parts_, pieces.size()); n >= 2; --n)
    for (size_t i = 0; i + n <= pieces.size(); ++i) {
      if (taken[i] || taken[i + n - 1]) continue;
      const Joined* entry = joined(chars, pieces, i, n);
      if (!entry) continue;
      found.push_back({i, n, entry});
      std::fill_n(&taken[i], n, uint8_t{1});
    }
  if (found.empty()) return;
  std::sort(found.begin(), found.end(),
            [](const FoundSpan& a, const FoundSpan& b) { return a.first < b.first; });
  Pieces result;
  size_t at = 0;
  for (const FoundSpan& span : found) {
    result.insert(result.end(), &pieces[at], &pieces[span.first]);
    add_pieces(pieces[span.first].first, span.entry->pieces, result);
    at = span.first + span.n_parts;
  }
  result.insert(result.end(), pieces.data() + at, pieces.data() + pieces.size());
  pieces.swap(result);
}

void WordTokenizer::split(const uint32_t* chars, const uint16_t* flags, uint32_t n, Words& out) const {
  const LetterTable& table = LetterTable::instance();
  thread_local Pieces pieces;  // scratch
  for (uint32_t i = 0; i < n;) {
    while (i < n && (flags[i] & kSpace)) ++i;
    if (i == n) break;
    const uint32_t begin = i;
    uint64_t folded = kHashSeed;
    uint32_t differs = 0;
    for (; i < n && (flags[i] & (kAlpha | kHangul)) == kAlpha; ++i) {  // no letter is a space
      const uint32_t f = table.fold(chars[i]);
      differs |= f ^ chars[i];
      folded = (folded ^ f) * kHashPrime;
    }
    const uint32_t letters = i;
    while (i < n && !(flags[i] & kSpace)) ++i;
    // Most chunks are letters, with at most one mark behind them: what split_chunk would find, unless the
    // table says otherwise ("cannot", "etc.").
    const bool mark = letters > begin && i == letters + 1 &&
                      ((flags[letters] & kPeel) || (chars[letters] == '.' && lower_like(flags[letters - 1])));
    if ((mark || i == letters) && !exception(chars + begin, i - begin) &&
        (!mark || !exception(chars + begin, letters - begin))) {
      folded = mix_hash(folded);
      const uint64_t hash = differs ? chunk_hash(chars + begin, letters - begin) : folded;
      out.add(begin, letters - begin, hash, true, false, folded);
      if (mark) emit_mark(table, chars[letters], flags[letters], letters, out);
    } else {
      pieces.clear();
      split_chunk(chars, flags, begin, i, pieces);
      for (const auto& [first, last] : pieces) emit(chars, flags, first, last, out);
    }
  }
}

}  // namespace ds::filter
