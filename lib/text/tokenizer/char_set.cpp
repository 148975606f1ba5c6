#include "text/tokenizer/char_set.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/uset.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace ds::text {
namespace {

// Categories that Unicode 15.1 and 16 gave to code points which older ICU data call unassigned. The reference
// library's regex engine knows them; without this table ids would depend on the ICU version of the machine.
constexpr UCharCategory kLu = U_UPPERCASE_LETTER;
constexpr UCharCategory kLl = U_LOWERCASE_LETTER;
constexpr UCharCategory kLo = U_OTHER_LETTER;
constexpr UCharCategory kLm = U_MODIFIER_LETTER;
constexpr UCharCategory kMn = U_NON_SPACING_MARK;
constexpr UCharCategory kMc = U_COMBINING_SPACING_MARK;
constexpr UCharCategory kNd = U_DECIMAL_DIGIT_NUMBER;
constexpr UCharCategory kPo = U_OTHER_PUNCTUATION;
constexpr UCharCategory kPd = U_DASH_PUNCTUATION;
constexpr UCharCategory kSo = U_OTHER_SYMBOL;
constexpr UCharCategory kSm = U_MATH_SYMBOL;

struct Assigned {
  uint32_t first, last;
  UCharCategory category;
};
constexpr Assigned kNewlyAssigned[] = {
    {0x897, 0x897, kMn},     {0x1B4E, 0x1B4F, kPo},   {0x1B7F, 0x1B7F, kPo},   {0x1C89, 0x1C89, kLu},
    {0x1C8A, 0x1C8A, kLl},   {0x2427, 0x2429, kSo},   {0x2FFC, 0x2FFF, kSo},   {0x31E4, 0x31E5, kSo},
    {0x31EF, 0x31EF, kSo},   {0xA7CB, 0xA7CC, kLu},   {0xA7CD, 0xA7CD, kLl},   {0xA7DA, 0xA7DA, kLu},
    {0xA7DB, 0xA7DB, kLl},   {0xA7DC, 0xA7DC, kLu},   {0x105C0, 0x105F3, kLo}, {0x10D40, 0x10D49, kNd},
    {0x10D4A, 0x10D4D, kLo}, {0x10D4E, 0x10D4E, kLm}, {0x10D4F, 0x10D4F, kLo}, {0x10D50, 0x10D65, kLu},
    {0x10D69, 0x10D6D, kMn}, {0x10D6E, 0x10D6E, kPd}, {0x10D6F, 0x10D6F, kLm}, {0x10D70, 0x10D85, kLl},
    {0x10D8E, 0x10D8F, kSm}, {0x10EC2, 0x10EC4, kLo}, {0x10EFC, 0x10EFC, kMn}, {0x11380, 0x11389, kLo},
    {0x1138B, 0x1138B, kLo}, {0x1138E, 0x1138E, kLo}, {0x11390, 0x113B5, kLo}, {0x113B7, 0x113B7, kLo},
    {0x113B8, 0x113BA, kMc}, {0x113BB, 0x113C0, kMn}, {0x113C2, 0x113C2, kMc}, {0x113C5, 0x113C5, kMc},
    {0x113C7, 0x113CA, kMc}, {0x113CC, 0x113CD, kMc}, {0x113CE, 0x113CE, kMn}, {0x113CF, 0x113CF, kMc},
    {0x113D0, 0x113D0, kMn}, {0x113D1, 0x113D1, kLo}, {0x113D2, 0x113D2, kMn}, {0x113D3, 0x113D3, kLo},
    {0x113D4, 0x113D5, kPo}, {0x113D7, 0x113D8, kPo}, {0x113E1, 0x113E2, kMn}, {0x116D0, 0x116E3, kNd},
    {0x11BC0, 0x11BE0, kLo}, {0x11BE1, 0x11BE1, kPo}, {0x11BF0, 0x11BF9, kNd}, {0x11F5A, 0x11F5A, kMn},
    {0x13460, 0x143FA, kLo}, {0x16100, 0x1611D, kLo}, {0x1611E, 0x16129, kMn}, {0x1612A, 0x1612C, kMc},
    {0x1612D, 0x1612F, kMn}, {0x16130, 0x16139, kNd}, {0x16D40, 0x16D42, kLm}, {0x16D43, 0x16D6A, kLo},
    {0x16D6B, 0x16D6C, kLm}, {0x16D6D, 0x16D6F, kPo}, {0x16D70, 0x16D79, kNd}, {0x18CFF, 0x18CFF, kLo},
    {0x1CC00, 0x1CCEF, kSo}, {0x1CCF0, 0x1CCF9, kNd}, {0x1CD00, 0x1CEB3, kSo}, {0x1E5D0, 0x1E5ED, kLo},
    {0x1E5EE, 0x1E5EF, kMn}, {0x1E5F0, 0x1E5F0, kLo}, {0x1E5F1, 0x1E5FA, kNd}, {0x1E5FF, 0x1E5FF, kPo},
    {0x1F8B2, 0x1F8BB, kSo}, {0x1F8C0, 0x1F8C1, kSo}, {0x1FA89, 0x1FA89, kSo}, {0x1FA8F, 0x1FA8F, kSo},
    {0x1FABE, 0x1FABE, kSo}, {0x1FAC6, 0x1FAC6, kSo}, {0x1FADC, 0x1FADC, kSo}, {0x1FADF, 0x1FADF, kSo},
    {0x1FAE9, 0x1FAE9, kSo}, {0x1FBCB, 0x1FBEF, kSo}, {0x2EBF0, 0x2EE5D, kLo}};
constexpr CharSet::Range kExtensionI{0x2EBF0, 0x2EE5D};  // the Han characters among them

// The reference library's Punctuation step carries older tables: these were assigned later and are no
// punctuation to it.
constexpr CharSet::Range kNotPunctuation[] = {
    {0x61D, 0x61D},     {0x9FD, 0x9FD},     {0xA76, 0xA76},     {0xC77, 0xC77},     {0xC84, 0xC84},
    {0x1B4E, 0x1B4F},   {0x1B7D, 0x1B7F},   {0x2E43, 0x2E4F},   {0x2E52, 0x2E5D},   {0x10D6E, 0x10D6E},
    {0x10EAD, 0x10EAD}, {0x10F55, 0x10F59}, {0x10F86, 0x10F89}, {0x113D4, 0x113D5}, {0x113D7, 0x113D8},
    {0x1144B, 0x1144F}, {0x1145A, 0x1145B}, {0x1145D, 0x1145D}, {0x11660, 0x1166C}, {0x116B9, 0x116B9},
    {0x1183B, 0x1183B}, {0x11944, 0x11946}, {0x119E2, 0x119E2}, {0x11A3F, 0x11A46}, {0x11A9A, 0x11A9C},
    {0x11A9E, 0x11AA2}, {0x11B00, 0x11B09}, {0x11BE1, 0x11BE1}, {0x11C41, 0x11C45}, {0x11C70, 0x11C71},
    {0x11EF7, 0x11EF8}, {0x11F43, 0x11F4F}, {0x11FFF, 0x11FFF}, {0x12FF1, 0x12FF2}, {0x16D6D, 0x16D6F},
    {0x16E97, 0x16E9A}, {0x16FE2, 0x16FE2}, {0x1E5FF, 0x1E5FF}, {0x1E95E, 0x1E95F}};

struct Collector {
  uint32_t mask;
  CharSet* set;
};

UBool collect(const void* context, UChar32 start, UChar32 limit, UCharCategory type) {
  const auto* c = static_cast<const Collector*>(context);
  if (c->mask >> type & 1u) c->set->add(static_cast<uint32_t>(start), static_cast<uint32_t>(limit - 1));
  return true;
}

CharSet categories(uint32_t mask) {
  CharSet set;
  const Collector collector{mask, &set};
  u_enumCharTypes(collect, &collector);
  for (const Assigned& a : kNewlyAssigned) {
    if (u_charType(static_cast<UChar32>(a.first)) != U_UNASSIGNED) continue;
    if (mask >> a.category & 1u) set.add(a.first, a.last);
  }
  return set;
}

CharSet from_uset(USet* uset) {
  CharSet set;
  const int32_t n = uset_getItemCount(uset);
  for (int32_t i = 0; i < n; ++i) {
    UChar32 first = 0, last = 0;
    UErrorCode status = U_ZERO_ERROR;
    if (uset_getItem(uset, i, &first, &last, nullptr, 0, &status) == 0 && U_SUCCESS(status))
      set.add(static_cast<uint32_t>(first), static_cast<uint32_t>(last));
  }
  uset_close(uset);
  return set;
}

}  // namespace

void CharSet::add(uint32_t first, uint32_t last) {
  // The ranges that overlap or touch the new one become one with it.
  const auto begin = std::lower_bound(ranges_.begin(), ranges_.end(), first,
                                      [](Range r, uint32_t value) { return r.last + 1 < value; });
  auto end = begin;
  for (; end != ranges_.end() && end->first <= last + 1; ++end) {
    first = std::min(first, end->first);
    last = std::max(last, end->last);
  }
  if (begin == end) {
    ranges_.insert(begin, {first, last});
    return;
  }
  *begin = {first, last};
  ranges_.erase(begin + 1, end);
}

void CharSet::add(const CharSet& other) {
  for (const Range& r : other.ranges_) add(r.first, r.last);
}

CharSet CharSet::negated() const {
  CharSet out;
  uint32_t next = 0;
  for (const Range& r : ranges_) {
    if (r.first > next) out.add(next, r.first - 1);
    next = r.last + 1;
  }
  if (next <= kMaxCodePoint) out.add(next, kMaxCodePoint);
  return out;
}

bool CharSet::contains(uint32_t c) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), c,
                                      [](uint32_t value, Range r) { return value < r.first; });
  return after != ranges_.begin() && c <= std::prev(after)->last;
}

std::optional<CharSet> CharSet::property(std::string_view name) {
  // Two-letter names in the order of ICU's UCharCategory values.
  static constexpr char kNames[] = "CnLuLlLtLmLoMnMeMcNdNlNoZsZlZpCcCfCoCsPdPsPePcPoSmScSkSoPiPf";
  if (name.empty() || name.size() > 40) return std::nullopt;
  if (name.size() <= 2) {
    uint32_t mask = 0;
    for (size_t i = 0; 2 * i + 1 < sizeof kNames; ++i) {
      const bool same = kNames[2 * i] == name[0] && (name.size() == 1 || kNames[2 * i + 1] == name[1]);
      if (same) mask |= 1u << i;
    }
    if (mask) return categories(mask);
  }
  const std::string text(name);
  UErrorCode status = U_ZERO_ERROR;
  USet* set = uset_openEmpty();
  const int32_t script = u_getPropertyValueEnum(UCHAR_SCRIPT, text.c_str());
  const UProperty binary = u_getPropertyEnum(text.c_str());
  if (script != UCHAR_INVALID_CODE) {
    uset_applyIntPropertyValue(set, UCHAR_SCRIPT, script, &status);
  } else if (binary >= UCHAR_BINARY_START && binary < UCHAR_BINARY_LIMIT) {
    uset_applyIntPropertyValue(set, binary, 1, &status);
  } else {
    status = U_ILLEGAL_ARGUMENT_ERROR;
  }
  if (U_FAILURE(status)) {
    uset_close(set);
    return std::nullopt;
  }
  CharSet out = from_uset(set);
  if (script == USCRIPT_HAN) out.add(kExtensionI.first, kExtensionI.last);
  return out;
}

CharSet CharSet::white_space() {
  CharSet set(0x09, 0x0D);
  for (const uint32_t c : {0x20u, 0x85u, 0xA0u, 0x1680u}) set.add(c, c);
  set.add(0x2000, 0x200A);
  set.add(0x2028, 0x2029);
  for (const uint32_t c : {0x202Fu, 0x205Fu, 0x3000u}) set.add(c, c);
  return set;
}

CharSet CharSet::word() {
  CharSet set = *property("Alphabetic");
  for (const char* name : {"L", "M", "Nd", "Pc"}) set.add(*property(name));
  // The reference library's engine counts the superscripts and fractions of Latin-1, and only those.
  set.add(0xB2, 0xB3);
  set.add(0xB9, 0xB9);
  set.add(0xBC, 0xBE);
  return set;
}

CharSet CharSet::numeric() {
  CharSet set = *property("N");
  // Assigned in Unicode 17, which this step of the reference library already knows (its regexes do not).
  set.add(0x11DE0, 0x11DE9);
  set.add(0x16FF4, 0x16FF6);
  return set;
}

CharSet CharSet::punctuation() {
  CharSet others = property("P")->negated();
  for (const Range& r : kNotPunctuation) others.add(r.first, r.last);
  CharSet set = others.negated();
  set.add(0x21, 0x2F);  // all ASCII punctuation, symbols such as $ and + included
  set.add(0x3A, 0x40);
  set.add(0x5B, 0x60);
  set.add(0x7B, 0x7E);
  set.add(0x166D, 0x166D);
  set.add(0x111C9, 0x111C9);
  return set;
}

}  // namespace ds::text
