#include "filter/stages/personal_data.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/numbers.h"
#include "filter/text/characters.h"
#include "filter/text/clones.h"

namespace ds::filter {
namespace {

constexpr const char* kNames[] = {"email", "phone", "ip", "id_card", "bank_card", "secret"};
constexpr const char* kMasks[] = {"<EMAIL>", "<PHONE>", "<IP>", "<ID>", "<CARD>", "<SECRET>"};
constexpr uint32_t kMaxLocal = 64, kMaxDomain = 255;

bool digit(uint32_t c) { return c >= '0' && c <= '9'; }
bool letter(uint32_t c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
bool word_char(uint32_t c) { return digit(c) || letter(c) || c == '_'; }

// Where anything starts, or around which an address lies: four signs, digits, and seven letters that begin
// a word. One byte a code point; plain loops, so that they become vector code.
DS_CLONES void mark_starts(const uint32_t* chars, const uint16_t* flags, uint32_t n, uint8_t* starts) {
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t c = chars[i];
    starts[i] = static_cast<uint8_t>(c - 0xFF10 < 10 ? '0' : c < 0x80 ? c : 0);
  }
  const auto letter_starts = [](uint8_t c) -> uint8_t {
    return (c == 'A') | (c == 'g') | (c == 's') | (c == 'x') | (c == 'h') | (c == 'n') | (c == 'e');
  };
  const auto other_starts = [](uint8_t c) -> uint8_t {
    return (static_cast<uint8_t>(c - '0') < 10) | (c == '@') | (c == '(') | (c == '+') | (c == '-');
  };
  if (n) starts[0] = letter_starts(starts[0]) | other_starts(starts[0]);
  for (uint32_t i = 1; i < n; ++i) {
    const uint8_t c = starts[i], new_word = (flags[i - 1] & (kAlpha | kDigit)) == 0;
    starts[i] = static_cast<uint8_t>((letter_starts(c) & new_word) | other_starts(c));
  }
}

// The characters as ASCII, full-width digits folded; others become 0x7F.
char ascii(uint32_t c) {
  if (c >= 0xFF10 && c <= 0xFF19) return static_cast<char>(c - 0xFF10 + '0');
  return c < 0x7F ? static_cast<char>(c) : '\x7F';
}

bool near_word(const Document& doc, uint32_t begin, uint32_t reach,
               std::initializer_list<std::u32string_view> words) {
  const uint32_t from = begin > reach ? begin - reach : 0;
  const LetterTable& table = LetterTable::instance();
  for (uint32_t i = from; i < begin; ++i)
    for (const auto word : words) {
      if (i + word.size() > begin) continue;
      bool same = true;
      for (size_t k = 0; k < word.size() && same; ++k) same = table.fold(doc.chars[i + k]) == word[k];
      if (same) return true;
    }
  return false;
}

// A last label of a domain: letters, or a punycode name.
bool top_level(const std::vector<uint32_t>& c, uint32_t b, uint32_t e) {
  if (e - b < 2 || e - b > 24) return false;
  const bool punycode =
      e - b > 4 && (c[b] | 0x20) == 'x' && (c[b + 1] | 0x20) == 'n' && c[b + 2] == '-' && c[b + 3] == '-';
  for (uint32_t i = b; i < e; ++i)
    if (!letter(c[i]) && !(punycode && (digit(c[i]) || c[i] == '-'))) return false;
  return c[e - 1] != '-';
}

// Endings of files that are no last label of a domain: logo@2x.png, x@y.js.
bool file_ending(const std::vector<uint32_t>& c, uint32_t b, uint32_t e) {
  static constexpr std::string_view kEndings[] = {
      "png", "jpg",  "jpeg", "gif", "webp", "svg",  "bmp",  "ico",   "tif", "tiff", "avif", "heic", "js",
      "jsx", "ts",   "tsx",  "css", "scss", "less", "html", "htm",   "php", "xml",  "json", "yaml", "yml",
      "txt", "toml", "csv",  "pdf", "doc",  "docx", "xls",  "xlsx",  "exe", "dll",  "jar",  "cpp",  "hpp",
      "go",  "lock", "log",  "ini", "conf", "bak",  "tmp",  "patch", "vue", "wasm", "tgz",  "whl",  "deb"};
  return std::any_of(std::begin(kEndings), std::end(kEndings), [&](std::string_view ending) {
    if (ending.size() != e - b) return false;
    for (uint32_t i = b; i < e; ++i)
      if ((c[i] | 0x20) != static_cast<uint8_t>(ending[i - b])) return false;
    return true;
  });
}

// An account on a machine, no mailbox: git@github.com:user/repo.git, ssh://git@host/, root@host.org:/var.
bool names_account(const std::vector<uint32_t>& c, uint32_t b, uint32_t at, uint32_t end) {
  if (end + 1 >= c.size() || (c[end] != ':' && c[end] != '/')) return false;
  const bool git = at - b == 3 && c[b] == 'g' && c[b + 1] == 'i' && c[b + 2] == 't';
  return git || (c[end] == ':' && (c[end + 1] == '/' || c[end + 1] == '~'));
}

// An address around doc.chars[at] == '@'.
bool email_around(const Document& doc, uint32_t at, uint32_t floor, PersonalHit& hit) {
  const auto& c = doc.chars;
  uint32_t b = at;
  while (b > floor && at - b < kMaxLocal &&
         (word_char(c[b - 1]) || c[b - 1] == '.' || c[b - 1] == '+' || c[b - 1] == '-' || c[b - 1] == '%'))
    --b;
  // o'brien@, unless the address is quoted, as in b'jo@example.org'.
  uint32_t apostrophe = 0;
  if (b > floor + 1 && at - b < kMaxLocal - 8 && c[b - 1] == '\'' && letter(c[b]) && letter(c[b - 2])) {
    uint32_t name = b - 1;
    while (name > floor && b - name < 8 && letter(c[name - 1])) --name;
    if (name == floor || !word_char(c[name - 1])) apostrophe = std::exchange(b, name);
  }
  while (b < at && (c[b] == '.' || c[b] == '-')) ++b;
  if (b == at || c[at - 1] == '.') return false;
  // Label by label; the address ends with the last one that may end a domain. What follows, a footnote's
  // number or a dash, is not its.
  uint32_t end = 0, last = 0;
  for (uint32_t label = at + 1; label < doc.size() && label - at < kMaxDomain;) {
    const bool punycode = label + 3 < doc.size() && (c[label] | 0x20) == 'x' &&
                          (c[label + 1] | 0x20) == 'n' && c[label + 2] == '-' && c[label + 3] == '-';
    uint32_t e = punycode ? label + 4 : label;
    while (e < doc.size() && e - at < kMaxDomain && (digit(c[e]) || letter(c[e]) || c[e] == '-')) {
      if (c[e] == '-' && e + 1 < doc.size() && c[e + 1] == '-') break;
      ++e;
    }
    while (e > label && c[e - 1] == '-') --e;
    if (e == label) break;
    if (label > at + 1 && top_level(c, label, e)) last = label, end = e;
    if (e >= doc.size() || c[e] != '.') break;
    label = e + 1;
  }
  if (end == 0 || file_ending(c, last, end) || names_account(c, b, at, end)) return false;
  if (apostrophe && end < doc.size() && c[end] == '\'') b = apostrophe;
  hit = {b, end, PersonalKind::kEmail};
  return true;
}

// Whether the token that begins at `from`, or ends before it when `before`, is a number with a point or two:
// what stands in lists of numbers and drawings, beside which four of them are no address.
bool number_beside(const Document& doc, uint32_t from, bool before) {
  constexpr uint32_t kMostRead = 40;
  const auto& c = doc.chars;
  const auto part = [](uint32_t x) { return digit(x) || x == '.' || x == '-' || x == '+'; };
  uint32_t n_points = 0, n_digits = 0, n = 0;
  bool signs = false;
  while (n < kMostRead) {
    if (before ? from <= n : from + n >= doc.size()) break;
    const uint32_t x = c[before ? from - 1 - n : from + n];
    if (!part(x)) break;
    n_points += x == '.';
    n_digits += digit(x);
    signs |= (x == '-' || x == '+') && n > 0;
    ++n;
  }
  const bool sentence_end =
      n > 0 && n_digits > 0 && n_points == 1 && c[before ? from - 1 : from + n - 1] == '.';
  return n_digits > 0 && !sentence_end &&
         (n_points == 1 || n_points == 2 || (n_points > 0 && (signs || n_points > 3)));
}

// A title: the number of a section at the start of a line, a word with a capital behind it.
bool heads_line(const Document& doc, uint32_t begin, uint32_t end) {
  uint32_t line = begin;
  while (line > 0 && doc.chars[line - 1] != '\n' && (doc.flags[line - 1] & kSpace)) --line;
  if (line > 0 && doc.chars[line - 1] != '\n') return false;
  return end + 1 < doc.size() && doc.chars[end] == ' ' && (doc.flags[end + 1] & (kUpper | kHan));
}

// a.b.c.d of a public address. Versions, numbers of sections and drawings have four parts, too: words beside
// it tell, and four small numbers need one that speaks for an address.
bool ip_at(const Document& doc, uint32_t i, const std::vector<PersonalHit>& before, PersonalHit& hit) {
  const auto& c = doc.chars;
  const bool range =
      !before.empty() && before.back().kind == PersonalKind::kIp && i > 0 && before.back().end + 1 == i;
  if (i > 0 && (word_char(c[i - 1]) || c[i - 1] == '.' || (c[i - 1] == '-' && !range))) return false;
  if (i > 1 && c[i - 1] == '/' && word_char(c[i - 2]) && !range) return false;  // Chrome/99.0.48.51
  uint32_t part[4], at = i;
  for (int k = 0; k < 4; ++k) {
    uint32_t value = 0, n = 0;
    while (at < doc.size() && digit(c[at]) && n < 4) value = value * 10 + (c[at] - '0'), ++at, ++n;
    if (n == 0 || n > 3 || value > 255 || (n > 1 && c[at - n] == '0')) return false;
    part[k] = value;
    if (k < 3) {
      if (at >= doc.size() || c[at] != '.') return false;
      ++at;
    }
  }
  if (at < doc.size() && (word_char(c[at]) || (c[at] == '.' && at + 1 < doc.size() && digit(c[at + 1]))))
    return false;
  const bool is_private =
      part[0] == 10 || part[0] == 127 || part[0] == 0 || part[0] >= 224 ||
      (part[0] == 192 && part[1] == 168) || (part[0] == 172 && part[1] >= 16 && part[1] < 32) ||
      (part[0] == 169 && part[1] == 254) || (part[0] == 100 && part[1] >= 64 && part[1] < 128) ||
      // documentation and benchmark nets
      (part[0] == 192 && part[1] == 0 && (part[2] == 0 || part[2] == 2)) ||
      (part[0] == 198 && (part[1] == 18 || part[1] == 19 || (part[1] == 51 && part[2] == 100))) ||
      (part[0] == 203 && part[1] == 0 && part[2] == 113);
  if (is_private) return false;
  hit = {i, at, PersonalKind::kIp};
  if (range) return true;
  constexpr uint32_t kBefore = 14, kBehind = 9, kAround = 48, kSmall = 100;
  if (near_word(
          doc, i, kBefore,
          {U"version", U"ver.", U"release", U"版本", U"section", U"sect.", U"chapter", U"§", U"clause"}) ||
      near_word(doc, i, 2, {U"第"}))
    return false;
  // "Firmware 84.112.34.201"
  if (near_word(doc, i, 9,
                {U"firmware", U"openssl", U"driver", U"kernel", U"build", U"revision", U"固件", U"驱动"}))
    return false;
  const uint32_t behind = std::min(doc.size(), at + kBehind);  // "the 2.6.1.3 version"
  const bool listed = at < doc.size() && c[at] == ',';         // "8.8.8.8, version 2" speaks of two things
  if (!listed && near_word(doc, behind, behind - at, {U" version", U" release", U" 版本", U"版本"}))
    return false;
  if (i > 0 && (c[i - 1] == ' ' || c[i - 1] == ',') && number_beside(doc, i - 1, true)) return false;
  if (at + 1 < doc.size() && (c[at] == ' ' || c[at] == ',' || c[at] == '-') &&
      number_beside(doc, at + 1, false))
    return false;
  // 1.1.1.101 is a version where nothing else is said, 84.112.34.201 an address.
  const bool three_small = std::max({part[0], part[1], part[2]}) < 10;
  if (!three_small && part[3] >= kSmall) return true;
  if (*std::max_element(part, part + 3) >= kSmall) return true;
  if (heads_line(doc, i, at)) return false;
  const uint32_t around = std::min(doc.size(), at + kAround);
  return near_word(
      doc, around, around - i + kAround,
      {U"ip",       U"server",  U"host",   U"address", U"dns",   U"ping",   U"router", U"gateway",
       U"firewall", U"network", U"subnet", U"client",  U"login", U"log in", U"://",    U"deny",
       U"block",    U"地址",    U"服务器", U"主机",    U"网关",  U"来源",   U"访问"});
}

// An address of the public net 2000::/3: eight groups, or fewer around a "::". 2001:db8:: is for examples.
bool ipv6_at(const Document& doc, uint32_t i, PersonalHit& hit) {
  const auto& c = doc.chars;
  const auto hex = [&](uint32_t at) {
    return at < doc.size() && (digit(c[at]) || ((c[at] | 0x20) >= 'a' && (c[at] | 0x20) <= 'f'));
  };
  const auto colon = [&](uint32_t at) { return at < doc.size() && c[at] == ':'; };
  if (!colon(i + 4) || (c[i] != '2' && c[i] != '3')) return false;
  if (i > 0 && (word_char(c[i - 1]) || c[i - 1] == '.' || c[i - 1] == ':')) return false;
  uint32_t at = i, n_groups = 0, second = 0;
  bool gap = false, letters = false;
  while (hex(at)) {
    uint32_t n = 0, value = 0;
    for (; hex(at) && n < 5; ++at, ++n) {
      letters = letters || letter(c[at]);
      value = value * 16 + (digit(c[at]) ? c[at] - '0' : (c[at] | 0x20) - 'a' + 10);
    }
    if (n > 4 || (n_groups == 0 && n != 4)) return false;
    if (n_groups == 1) second = value;
    if (++n_groups == 8 || !colon(at)) break;
    if (colon(at + 1)) {
      if (gap) return false;
      gap = true;
      ++at;
      if (!hex(at + 1)) {  // "2a02::" ends so
        ++at;
        break;
      }
    } else if (!hex(at + 1)) {
      break;  // a colon of the sentence
    }
    ++at;
  }
  if (gap ? n_groups < 2 || n_groups > 7 || !letters : n_groups != 8) return false;
  if (at < doc.size() && (word_char(c[at]) || (c[at] == ':' && hex(at + 1)))) return false;
  const bool example =
      c[i] == '2' && c[i + 1] == '0' && c[i + 2] == '0' && c[i + 3] == '1' && second == 0xDB8;
  if (example) return false;
  hit = {i, at, PersonalKind::kIp};
  return true;
}

// Groups of digits, set off by single blanks or hyphens, from i on.
struct DigitGroups {
  std::string digits;         // of all groups, full-width ones folded
  std::vector<uint32_t> end;  // of each group, in the text
  std::vector<uint32_t> n;    // digits of all groups up to and with it
  uint32_t size(size_t g) const { return n[g] - (g ? n[g - 1] : 0); }
};
DigitGroups groups_at(const Document& doc, uint32_t i) {
  constexpr size_t kMostDigits = 48, kMostGroups = 8;
  const auto number = [&](uint32_t at) {
    return at < doc.size() && ascii(doc.chars[at]) >= '0' && ascii(doc.chars[at]) <= '9';
  };
  DigitGroups g;
  for (uint32_t e = i; g.end.size() < kMostGroups && g.digits.size() < kMostDigits;) {
    while (number(e) && g.digits.size() < kMostDigits) g.digits.push_back(ascii(doc.chars[e++]));
    g.end.push_back(e);
    g.n.push_back(static_cast<uint32_t>(g.digits.size()));
    const bool gap = e < doc.size() && (doc.chars[e] == ' ' || doc.chars[e] == '-');
    if (!gap || !number(e + 1)) break;
    ++e;
  }
  return g;
}

// A card's number as printed: in one, by fours, or 4-6-5.
bool grouped_as_card(const DigitGroups& g, size_t n_groups) {
  if (n_groups == 3 && g.size(0) == 4 && g.size(1) == 6 && g.size(2) == 5) return true;
  for (size_t k = 0; k < n_groups; ++k)
    if (g.size(k) != 4 && (k + 1 < n_groups || g.size(k) > 4)) return false;
  return true;
}

bool card_digits(std::string_view d) {
  const size_t n = d.size();
  if (n < 13 || n > 19 || !valid_luhn(d)) return false;
  const int two = (d[0] - '0') * 10 + (d[1] - '0');
  const int four = two * 100 + (d[2] - '0') * 10 + (d[3] - '0');
  return (two == 62 && n >= 16) || (d[0] == '4' && (n == 13 || n == 16 || n == 19)) ||
         (n == 16 && ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720))) ||
         (n == 15 && (two == 34 || two == 37));
}

// Mainland landlines, 021-5888 1234: an area code, a hyphen, seven or eight digits in one or ending in four.
bool grouped_as_landline(const Document& doc, const DigitGroups& g, size_t n_groups) {
  if (n_groups < 2 || n_groups > 3 || doc.chars[g.end[0]] != '-') return false;
  const std::string_view d = std::string_view(g.digits).substr(0, g.n[n_groups - 1]);
  const bool short_area = d[0] == '0' && (d[1] == '2' || (d[1] == '1' && d[2] == '0'));
  const size_t area = short_area ? 3 : 4, local = d.size() - std::min(d.size(), area);
  if (d[0] != '0' || g.size(0) != area || (!short_area && d[1] < '3')) return false;
  if (local < 7 || local > 8 || d[area] < '2' || d[area] > '8') return false;
  return n_groups == 2 || g.size(2) == 4;
}

// Money before it, or a unit of money or a factor behind it: a quantity.
bool is_quantity(const Document& doc, uint32_t begin, uint32_t end) {
  constexpr std::u32string_view kBefore = U"$€£¥￥", kBehind = U"円元圆€%‰×^";
  const auto& c = doc.chars;
  if (begin > 0 && kBefore.find(static_cast<char32_t>(c[begin - 1])) != kBefore.npos) return true;
  if (end < doc.size() && c[end] == ' ') ++end;
  if (end >= doc.size()) return false;
  if (kBehind.find(static_cast<char32_t>(c[end])) != kBehind.npos) return true;
  return (c[end] == '*' || c[end] == 'x') && end + 3 < doc.size() && c[end + 1] == ' ' && c[end + 2] == '1' &&
         c[end + 3] == '0';
}

// A number that starts at i. Other numbers may follow: as many groups of digits are read as one of the kinds
// has, more before fewer.
bool number_at(const Document& doc, uint32_t i, const std::vector<PersonalHit>& before, PersonalHit& hit) {
  const auto& c = doc.chars;
  const DigitGroups g = groups_at(doc, i);
  const bool second = !before.empty() && before.back().end + 1 == i;  // 13800138000/13912345678
  if (i > 0 && (word_char(c[i - 1]) || c[i - 1] == '.' || c[i - 1] == '#' || (c[i - 1] == '/' && !second)))
    return false;
  const auto glued = [&](uint32_t e) {
    return e < doc.size() && (letter(c[e]) || digit(c[e]) || c[e] == '_' ||
                              (c[e] == '.' && e + 1 < doc.size() && digit(c[e + 1])));
  };
  for (size_t n_groups = g.end.size(); n_groups > 0; --n_groups) {
    const uint32_t e = g.end[n_groups - 1];
    const std::string_view digits = std::string_view(g.digits).substr(0, g.n[n_groups - 1]);
    const size_t n = digits.size();
    const bool grouped = n_groups > 1;
    // 17 digits and a digit or X.
    const bool x =
        e < doc.size() && (c[e] == 'X' || c[e] == 'x') && (e + 1 >= doc.size() || !word_char(c[e + 1]));
    if (!grouped && n == 17 && x && valid_chinese_id(std::string(digits) + "X")) {
      hit = {i, e + 1, PersonalKind::kIdCard};
      return true;
    }
    if (glued(e)) continue;
    if (!grouped && n == 18 && valid_chinese_id(digits)) {
      hit = {i, e, PersonalKind::kIdCard};
      return true;
    }
    // A random number passes Luhn one time in ten: the grouping of a printed card or a word nearby must speak
    // for it.
    if (card_digits(digits) && (!grouped || grouped_as_card(g, n_groups)) &&
        (grouped || near_word(doc, i, 40,
                              {U"card", U"visa", U"master", U"account", U"卡", U"账号", U"帐号", U"账户"}))) {
      hit = {i, e, PersonalKind::kBankCard};
      return true;
    }
    // Mainland mobile numbers: 1[3-9] and nine digits, 86 before it or not; in one, or 3-4-4.
    std::string_view mobile = digits;
    if (n == 13 && mobile.substr(0, 2) == "86") mobile.remove_prefix(2);
    const size_t first = mobile.size() < n && g.size(0) == 2 ? 1 : 0;  // the group of 86
    const bool in_one = n_groups == first + 1;
    const bool by_fours = n_groups == first + 3 && g.size(first + 1) == 4 && g.size(first + 2) == 4;
    if (mobile.size() == 11 && mobile[0] == '1' && mobile[1] >= '3' && (in_one || by_fours) &&
        !near_word(doc, i, 20, {U"isbn", U"doi", U"订单", U"编号", U"issue", U"id:"}) &&
        !near_word(doc, i, 4, {U"id=", U"id ="}) && !is_quantity(doc, i, e)) {
      hit = {i > 0 && c[i - 1] == '+' ? i - 1 : i, e, PersonalKind::kPhone};
      return true;
    }
    // US social security number: 123-45-6789. No area 000, 666 or 9xx, no group 00, no serial 0000.
    if (n_groups == 3 && g.size(0) == 3 && g.size(1) == 2 && g.size(2) == 4 && c[g.end[0]] == '-' &&
        c[g.end[1]] == '-' && digits[0] != '9' && digits.substr(0, 3) != "000" &&
        digits.substr(0, 3) != "666" && digits.substr(3, 2) != "00" && digits.substr(5) != "0000") {
      hit = {i, e, PersonalKind::kIdCard};
      return true;
    }
    if (grouped_as_landline(doc, g, n_groups)) {
      hit = {i, e, PersonalKind::kPhone};
      return true;
    }
    // North American 3-3-4, printed with separators or behind a word that says so.
    const size_t area = n == 11 && digits[0] == '1' ? 1 : 0;
    if (n != 10 + area || digits[area] < '2' || digits[area + 3] < '2') continue;
    const bool shaped = n_groups >= 3 && g.size(n_groups - 1) == 4 && g.size(n_groups - 2) == 3;
    // Blanks alone stand between any numbers.
    const bool hyphens = shaped && c[g.end[n_groups - 2]] == '-';
    const bool said = near_word(
        doc, i, 16, {U"phone", U"tel", U"call", U"fax", U"mobile", U"cell", U"dial", U"number", U"ring"});
    if ((hyphens || said) && (n_groups == 1 || shaped) && !near_word(doc, i, 40, {U"isbn", U"doi"})) {
      hit = {i > 0 && c[i - 1] == '(' ? i - 1 : i, e, PersonalKind::kPhone};
      return true;
    }
  }
  return false;
}

// (555) 234-5678 and +44 20 7946 0958.
bool parenthesised_phone(const Document& doc, uint32_t i, PersonalHit& hit) {
  const auto& c = doc.chars;
  if (c[i] != '(' || i + 13 > doc.size()) return false;
  for (int k = 1; k <= 3; ++k)
    if (!digit(c[i + k])) return false;
  if (c[i + 4] != ')' || c[i + 1] < '2') return false;
  uint32_t e = i + 5;
  if (c[e] == ' ') ++e;
  for (int k = 0; k < 8; ++k, ++e) {
    if (e >= doc.size()) return false;
    if (k == 3 ? (c[e] != '-' && c[e] != ' ' && c[e] != '.') : !digit(c[e])) return false;
  }
  if (e < doc.size() && word_char(c[e])) return false;
  hit = {i, e, PersonalKind::kPhone};
  return true;
}
// 415.555.2671
bool dotted_phone(const Document& doc, uint32_t i, PersonalHit& hit) {
  const auto& c = doc.chars;
  constexpr uint32_t kLength = 12;
  if (i + kLength > doc.size() || c[i + 3] != '.' || c[i + 7] != '.' || c[i] < '2' || c[i + 4] < '2')
    return false;
  for (uint32_t k = 0; k < kLength; ++k)
    if (k != 3 && k != 7 && !digit(c[i + k])) return false;
  const uint32_t e = i + kLength;
  if (i > 0 && (word_char(c[i - 1]) || c[i - 1] == '.' || c[i - 1] == '$')) return false;
  if (e < doc.size() && (word_char(c[e]) || (c[e] == '.' && e + 1 < doc.size() && digit(c[e + 1]))))
    return false;
  if (near_word(doc, i, 40, {U"isbn", U"doi"}) || near_word(doc, i, 14, {U"version", U"版本"})) return false;
  hit = {i, e, PersonalKind::kPhone};
  return true;
}

// DE89 3704 0044 0532 0130 00: country, two check digits at `i`, and as much as the country has; by fours or
// in one, 1 modulo 97.
bool iban_at(const Document& doc, uint32_t i, PersonalHit& hit) {
  struct Country {
    char name[3];
    uint8_t length;
  };
  static constexpr Country kCountries[] = {
      {"AD", 24}, {"AE", 23}, {"AT", 20}, {"BE", 16}, {"BG", 22}, {"BR", 29}, {"CH", 21}, {"CY", 28},
      {"CZ", 24}, {"DE", 22}, {"DK", 18}, {"EE", 20}, {"ES", 24}, {"FI", 18}, {"FR", 27}, {"GB", 22},
      {"GR", 27}, {"HR", 21}, {"HU", 28}, {"IE", 22}, {"IL", 23}, {"IS", 26}, {"IT", 27}, {"KZ", 20},
      {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21}, {"MC", 27}, {"MT", 31}, {"NL", 18}, {"NO", 15},
      {"PL", 28}, {"PT", 25}, {"RO", 24}, {"RS", 22}, {"SA", 24}, {"SE", 24}, {"SI", 19}, {"SK", 24},
      {"SM", 27}, {"TR", 26}, {"UA", 29}};
  const auto& c = doc.chars;
  if (i < 2 || (i > 2 && word_char(c[i - 3]))) return false;
  const auto* country = std::find_if(std::begin(kCountries), std::end(kCountries), [&](const Country& k) {
    return c[i - 2] == static_cast<uint8_t>(k.name[0]) && c[i - 1] == static_cast<uint8_t>(k.name[1]);
  });
  if (country == std::end(kCountries)) return false;
  char text[40];
  uint32_t n = 0, e = i - 2;
  for (; n < country->length && e < doc.size(); ++e) {
    const uint32_t x = c[e];
    if (x == ' ' && n > 0 && n % 4 == 0 && c[e - 1] != ' ') continue;
    if (!digit(x) && !(letter(x) && x < 'a')) break;
    text[n++] = static_cast<char>(x);
  }
  if (n != country->length || (e < doc.size() && word_char(c[e]))) return false;
  uint32_t rest = 0;
  for (uint32_t k = 0; k < n; ++k) {
    const char x = text[(k + 4) % n];
    rest = (x <= '9' ? rest * 10 + static_cast<uint32_t>(x - '0')
                     : rest * 100 + static_cast<uint32_t>(x - 'A') + 10) %
           97;
  }
  if (rest != 1) return false;
  hit = {i - 2, e, PersonalKind::kBankCard};
  return true;
}

bool international_phone(const Document& doc, uint32_t i, PersonalHit& hit) {
  const auto& c = doc.chars;
  if (c[i] != '+' || i + 1 >= doc.size() || !digit(c[i + 1]) || c[i + 1] == '0') return false;
  if (i > 0 && (word_char(c[i - 1]) || c[i - 1] == '+' || c[i - 1] == ')')) return false;
  uint32_t e = i + 1, n = 0, gaps = 0;
  while (e < doc.size() && n < 16) {
    if (digit(c[e])) {
      ++n, ++e;
    } else if ((c[e] == ' ' || c[e] == '-') && e + 1 < doc.size() && digit(c[e + 1])) {
      ++gaps, ++e;
    } else if (const uint32_t b = e + (c[e] == ' ');  // +44 (0)20 7946 0958
               b + 3 < doc.size() && c[b] == '(' && c[b + 1] == '0' && c[b + 2] == ')' && n <= 3) {
      ++gaps, e = b + 3;
    } else {
      break;
    }
  }
  if (n < 10 || n > 15 || (gaps == 0 && n < 11) || gaps > 5 || (e < doc.size() && word_char(c[e])))
    return false;
  hit = {i, e, PersonalKind::kPhone};
  return true;
}

// Keys with a published shape. Letters and digits must be mixed: "AKIAXXXXXXXXXXXXXXXX" in a manual is no
// key.
bool secret_at(const Document& doc, uint32_t i, PersonalHit& hit) {
  const auto& c = doc.chars;
  struct Shape {
    const char* prefix;
    uint32_t least, most;
    bool dashes;
  };
  static constexpr Shape kShapes[] = {
      {"AKIA", 16, 16, false},  {"ASIA", 16, 16, false}, {"ghp_", 36, 40, false},
      {"gho_", 36, 40, false},  {"ghs_", 36, 40, false}, {"github_pat_", 60, 90, true},
      {"glpat-", 20, 24, true}, {"xoxb-", 24, 90, true}, {"xoxp-", 24, 90, true},
      {"sk-", 32, 170, true},   {"AIza", 35, 35, true},  {"hf_", 30, 40, false},
      {"npm_", 36, 36, false},  {"eyJ", 60, 4000, true}};
  for (const Shape& shape : kShapes) {
    uint32_t e = i;
    const char* p = shape.prefix;
    while (*p && e < doc.size() && c[e] == static_cast<uint8_t>(*p)) ++p, ++e;
    if (*p) continue;
    const uint32_t body = e;
    uint32_t n_digits = 0, n_letters = 0, distinct = 0;
    uint64_t seen = 0;
    const bool jwt = shape.prefix[0] == 'e';
    uint32_t dots = 0;
    while (e < doc.size() && e - body < shape.most &&
           (digit(c[e]) || letter(c[e]) || (shape.dashes && (c[e] == '-' || c[e] == '_')) ||
            (jwt && c[e] == '.'))) {
      n_digits += digit(c[e]);
      n_letters += letter(c[e]);
      dots += c[e] == '.';
      if (!(seen >> (c[e] & 63) & 1)) ++distinct;
      seen |= 1ull << (c[e] & 63);
      ++e;
    }
    if (e - body < shape.least || n_digits < 1 || n_letters < 4 || distinct < 8 || (jwt && dots != 2))
      continue;
    if (e < doc.size() && word_char(c[e])) continue;
    hit = {i, e, PersonalKind::kSecret};
    return true;
  }
  return false;
}

// -----BEGIN ... PRIVATE KEY----- to its end line.
bool private_key_at(const Document& doc, uint32_t i, PersonalHit& hit) {
  constexpr std::string_view kBegin = "-----BEGIN ", kPrivate = "PRIVATE KEY", kEnd = "-----END ";
  const auto same = [&](uint32_t at, std::string_view text) {
    if (at + text.size() > doc.size()) return false;
    for (size_t k = 0; k < text.size(); ++k)
      if (doc.chars[at + k] != static_cast<uint8_t>(text[k])) return false;
    return true;
  };
  if (!same(i, kBegin)) return false;
  uint32_t body = 0;
  for (uint32_t k = i + 11; k < i + 40 && k < doc.size() && !body; ++k)
    if (same(k, kPrivate))
      body = same(k + 11, "-----") ? k + 16 : same(k + 11, " BLOCK-----") ? k + 22 : 0;  // PGP's
  if (!body) return false;
  for (uint32_t k = body; k < doc.size() && k < body + 8192; ++k) {
    if (doc.chars[k] != '-' || !same(k, kEnd)) continue;
    uint32_t e = k + 9;
    while (e < doc.size() && doc.chars[e] != '\n') ++e;
    if (k - body < 64) return false;  // an example with "..." inside
    hit = {i, e, PersonalKind::kSecret};
    return true;
  }
  return false;
}

}  // namespace

const char* personal_kind_name(PersonalKind kind) { return kNames[static_cast<int>(kind)]; }
const char* personal_mask(PersonalKind kind) { return kMasks[static_cast<int>(kind)]; }

bool valid_chinese_id(std::string_view id) {
  constexpr int kWeight[] = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
  constexpr std::string_view kCheck = "10X98765432";
  if (id.size() != 18) return false;
  int sum = 0;
  for (int i = 0; i < 17; ++i) {
    if (id[i] < '0' || id[i] > '9') return false;
    sum += (id[i] - '0') * kWeight[i];
  }
  const char last = id[17] == 'x' ? 'X' : id[17];
  if (kCheck[sum % 11] != last) return false;
  const auto number = [&](int from, int n) {
    int v = 0;
    for (int i = 0; i < n; ++i) v = v * 10 + (id[from + i] - '0');
    return v;
  };
  const int province = number(0, 2), year = number(6, 4), month = number(10, 2), day = number(12, 2);
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (province < 11 || province > 82 || year < 1850 || year > 2100 || month < 1 || month > 12) return false;
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return day >= 1 && day <= kDays[month - 1] + (month == 2 && leap);
}

bool valid_luhn(std::string_view digits) {
  int sum = 0;
  bool twice = false;
  for (size_t i = digits.size(); i-- > 0; twice = !twice) {
    int d = digits[i] - '0';
    if (d < 0 || d > 9) return false;
    if (twice && (d *= 2) > 9) d -= 9;
    sum += d;
  }
  return sum % 10 == 0 && digits.find_first_not_of('0') != digits.npos;
}

void find_personal_data(const Document& doc, std::vector<PersonalHit>& out) {
  out.clear();
  uint32_t floor = 0;
  const uint32_t n = doc.size();
  thread_local std::vector<uint8_t> starts;  // scratch, kept between calls
  starts.resize(n);
  mark_starts(doc.chars.data(), doc.flags.data(), n, starts.data());
  for (uint32_t i = 0; i < n; ++i) {
    while (n - i > sizeof(uint64_t) && load_unaligned<uint64_t>(&starts[i]) == 0) i += sizeof(uint64_t);
    if (!starts[i]) continue;
    const uint32_t c = doc.chars[i];
    PersonalHit hit{};
    bool found = false;
    if (c == '@') {
      found = email_around(doc, i, floor, hit);
    } else if (digit(c) || (c >= 0xFF10 && c <= 0xFF19)) {
      if (i == 0 || !(digit(doc.chars[i - 1]) || (doc.flags[i - 1] & kDigit))) {
        const bool behind_letter = i > 0 && letter(doc.chars[i - 1]);
        found = behind_letter ? iban_at(doc, i, hit)
                              : ip_at(doc, i, out, hit) || ipv6_at(doc, i, hit) ||
                                    number_at(doc, i, out, hit) || dotted_phone(doc, i, hit);
      }
    } else if (c == '(') {
      found = parenthesised_phone(doc, i, hit);
    } else if (c == '+') {
      found = international_phone(doc, i, hit);
    } else if (c == '-') {
      found = i + 4 < n && doc.chars[i + 4] == '-' && private_key_at(doc, i, hit);
    } else if (i == 0 || !word_char(doc.chars[i - 1])) {
      // All prefixes but AKIA, ASIA and AIza go on in lower case; both need 18 characters without a blank.
      found = i + 18 < n && !(doc.flags[i + 4] & kSpace) && !(doc.flags[i + 9] & kSpace) &&
              secret_at(doc, i, hit);
    }
    if (!found) continue;
    while (!out.empty() && out.back().end > hit.begin) {
      // An address may start left of a number that was taken: the longer one stays.
      if (out.back().end - out.back().begin >= hit.end - hit.begin) break;
      out.pop_back();
    }
    if (!out.empty() && out.back().end > hit.begin) continue;
    out.push_back(hit);
    floor = hit.end;
    if (hit.end > i) i = hit.end - 1;
  }
}

}  // namespace ds::filter
