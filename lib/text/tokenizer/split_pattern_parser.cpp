#include "text/tokenizer/split_pattern_parser.h"

#include <algorithm>

#include "core/utf8.h"

namespace ds::text {
namespace {

bool same(const CharSet& a, const CharSet& b) {
  return std::equal(
      a.ranges().begin(), a.ranges().end(), b.ranges().begin(), b.ranges().end(),
      [](CharSet::Range x, CharSet::Range y) { return x.first == y.first && x.last == y.last; });
}

// Case variants of the ASCII letters as Unicode simple folding has them; other letters are not handled here.
bool add_case_variants(CharSet& set) {
  CharSet more;
  for (const CharSet::Range& r : set.ranges()) {
    if (r.last >= 0x80) return false;
    for (uint32_t c = r.first; c <= r.last; ++c) {
      const uint32_t lower = c | 0x20;
      if (lower < 'a' || lower > 'z') continue;
      more.add(lower, lower);
      more.add(lower ^ 0x20, lower ^ 0x20);
      if (lower == 's') more.add(0x17F, 0x17F);
      if (lower == 'k') more.add(0x212A, 0x212A);
    }
  }
  set.add(more);
  return true;
}

}  // namespace

bool SplitPatternParser::parse() {
  Sequences all;
  constexpr size_t kMaxBytes = 65536;  // of a hostile class, which is inserted range by range
  if (text_.size() > kMaxBytes || find_invalid_utf8(text_) != std::string_view::npos) return false;
  if (!alternatives(all, false, false, 0) || !at_end()) return false;
  if (all.empty() || all.size() > SplitPattern::kMaxAlternatives) return false;
  for (auto& ops : all) {
    if (ops.empty() || ops.size() > 64) return false;
    alternatives_.push_back({std::move(ops), 0});
  }
  return true;
}

bool SplitPatternParser::alternatives(Sequences& out, bool in_group, bool ignore_case, int depth) {
  do {
    Sequences some;
    if (!sequence(some, in_group, ignore_case, depth)) return false;
    out.insert(out.end(), some.begin(), some.end());
    if (out.size() > SplitPattern::kMaxAlternatives) return false;
  } while (eat("|"));
  return true;
}

bool SplitPatternParser::sequence(Sequences& out, bool in_group, bool ignore_case, int depth) {
  Sequences current(1);
  while (!at_end() && peek() != '|') {
    if (peek() == ')') {
      if (!in_group) return false;
      break;
    }
    if (eat("(?!") || eat("(?=")) {
      Op op;
      op.kind = text_[at_ - 1] == '!' ? Op::kNotAhead : Op::kAhead;
      CharSet set;
      if (!atom(set, ignore_case) || !eat(")") || !set_bit(set, op.set)) return false;
      if (std::string_view("?+*{").find(peek()) != std::string_view::npos && !at_end()) return false;
      for (auto& ops : current) ops.push_back(op);
      continue;
    }
    if (peek() == '(') {
      if (!group(current, ignore_case, depth)) return false;
      continue;
    }
    Op op;
    if (eat("$")) {
      op.kind = Op::kLineEnd;
    } else {
      CharSet set;
      if (!atom(set, ignore_case) || !set_bit(set, op.set) || !quantifier(op)) return false;
    }
    for (auto& ops : current) ops.push_back(op);
  }
  out = std::move(current);
  return true;
}

// A group without a count is spelled out: a(b|c)d becomes abd|acd. That keeps the order of attempts only when
// what stands before it has one way to match.
bool SplitPatternParser::group(Sequences& current, bool ignore_case, int depth) {
  if (depth >= 4) return false;
  bool inner_case = ignore_case;
  if (eat("(?i:")) {
    inner_case = true;
  } else if (!eat("(?:")) {
    // A plain group captures, which nothing here looks at; other (? forms are not supported.
    if (!eat("(") || peek() == '?') return false;
  }
  for (const auto& ops : current) {
    for (const Op& op : ops)
      if (op.kind == Op::kSet && op.min != op.max && !op.possessive) return false;
  }
  Sequences inside;
  if (!alternatives(inside, true, inner_case, depth + 1) || !eat(")")) return false;
  if (!at_end() && std::string_view("?+*{").find(peek()) != std::string_view::npos) return false;
  if (current.size() * inside.size() > SplitPattern::kMaxAlternatives) return false;
  Sequences product;
  for (const auto& head : current) {
    for (const auto& tail : inside) {
      product.push_back(head);
      product.back().insert(product.back().end(), tail.begin(), tail.end());
    }
  }
  current = std::move(product);
  return true;
}

bool SplitPatternParser::atom(CharSet& set, bool ignore_case) {
  if (at_end()) return false;
  if (eat("[")) return char_class(set, ignore_case);
  std::optional<uint32_t> single;
  if (eat("\\")) {
    if (!escape(set, single)) return false;
  } else if (eat(".")) {
    set = CharSet('\n', '\n').negated();
  } else {
    if (std::string_view("?+*{}^$()|]").find(peek()) != std::string_view::npos) return false;
    uint32_t c = 0;
    if (!one_char(c)) return false;
    single = c;
  }
  if (single) set = CharSet(*single, *single);
  if (ignore_case && !add_case_variants(set)) return false;
  return true;
}

bool SplitPatternParser::char_class(CharSet& set, bool ignore_case) {
  const bool negated = eat("^");
  bool first = true;
  while (!eat("]")) {
    if (at_end() || peek() == '[' || text_.substr(at_, 2) == "&&")
      return false;  // nested classes, intersections
    if (first && peek() == '-') {
      set.add('-', '-');
      ++at_;
      first = false;
      continue;
    }
    first = false;
    std::optional<uint32_t> low;
    CharSet part;
    if (eat("\\")) {
      if (!escape(part, low)) return false;
    } else {
      uint32_t c = 0;
      if (!one_char(c)) return false;
      low = c;
    }
    if (!low) {
      set.add(part);
      continue;
    }
    uint32_t high = *low;
    if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
      ++at_;
      std::optional<uint32_t> last;
      if (eat("\\")) {
        if (!escape(part, last) || !last) return false;
      } else {
        uint32_t c = 0;
        if (peek() == '[' || !one_char(c)) return false;
        last = c;
      }
      high = *last;
      if (high < *low) return false;
    }
    set.add(*low, high);
  }
  if (first) return false;
  if (ignore_case && !add_case_variants(set)) return false;
  if (negated) set = set.negated();
  return true;
}

bool SplitPatternParser::escape(CharSet& set, std::optional<uint32_t>& single) {
  if (at_end()) return false;
  const char c = text_[at_++];
  const auto is = [&](const CharSet& value, bool negated) {
    set = negated ? value.negated() : value;
    return true;
  };
  switch (c) {
    case 'n':
      single = '\n';
      return true;
    case 'r':
      single = '\r';
      return true;
    case 't':
      single = '\t';
      return true;
    case 'f':
      single = '\f';
      return true;
    case 'v':
      single = '\v';
      return true;
    case 's':
      return is(CharSet::white_space(), false);
    case 'S':
      return is(CharSet::white_space(), true);
    case 'd':
      return is(*CharSet::property("Nd"), false);
    case 'D':
      return is(*CharSet::property("Nd"), true);
    case 'w':
      return is(CharSet::word(), false);
    case 'W':
      return is(CharSet::word(), true);
    case 'p':
    case 'P': {
      if (!eat("{")) return false;
      bool negated = c == 'P';
      if (eat("^")) negated = !negated;
      const size_t close = text_.find('}', at_);
      if (close == std::string_view::npos) return false;
      const auto property = CharSet::property(text_.substr(at_, close - at_));
      at_ = close + 1;
      return property && is(*property, negated);
    }
    case 'u': {
      uint32_t value = 0;
      if (!hex(4, 4, value)) return false;
      single = value;
      return true;
    }
    case 'x': {
      uint32_t value = 0;
      if (eat("{")) {
        if (!hex(1, 6, value) || !eat("}") || value > kMaxCodePoint) return false;
      } else if (!hex(2, 2, value) || value >= 0x80) {
        return false;  // a raw byte, not a code point
      }
      single = value;
      return true;
    }
    default:
      break;
  }
  const uint8_t b = static_cast<uint8_t>(c);
  const bool alnum = (b >= '0' && b <= '9') || ((b | 0x20) >= 'a' && (b | 0x20) <= 'z');
  if (alnum || b >= 0x80) return false;  // anchors, back references and the like
  single = b;
  return true;
}

bool SplitPatternParser::quantifier(Op& op) {
  constexpr uint32_t kMax = 1000;
  if (eat("?")) {
    op.min = 0;
  } else if (eat("*")) {
    op.min = 0, op.max = SplitPattern::kUnbounded;
  } else if (eat("+")) {
    op.max = SplitPattern::kUnbounded;
  } else if (eat("{")) {
    const auto number = [&](uint32_t& value) {
      const size_t begin = at_;
      for (value = 0; peek() >= '0' && peek() <= '9' && value <= kMax; ++at_)
        value = value * 10 + static_cast<uint32_t>(peek() - '0');
      return at_ > begin && value <= kMax;
    };
    if (!number(op.min)) return false;
    op.max = op.min;
    if (eat(",") && !number(op.max)) op.max = SplitPattern::kUnbounded;
    if (!eat("}") || op.max == 0 || op.max < op.min) return false;
    // Ruby reads {1,3}+ as a repeated group and {1,3}? as lazy.
    return at_end() || std::string_view("?+*{").find(peek()) == std::string_view::npos;
  } else {
    return true;
  }
  if (eat("+")) op.possessive = true;
  return at_end() || std::string_view("?+*{").find(peek()) == std::string_view::npos;
}

bool SplitPatternParser::hex(size_t n_min, size_t n_max, uint32_t& value) {
  size_t n = 0;
  for (value = 0; n < n_max; ++n, ++at_) {
    const char c = peek();
    if (c >= '0' && c <= '9')
      value = value * 16 + static_cast<uint32_t>(c - '0');
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
      value = value * 16 + static_cast<uint32_t>((c | 0x20) - 'a' + 10);
    else
      break;
  }
  return n >= n_min;
}

bool SplitPatternParser::one_char(uint32_t& code_point) {
  if (at_end()) return false;
  const Utf8Char c = decode_utf8(text_.substr(at_));
  if (c.length == 0) return false;
  code_point = c.code_point;
  at_ += static_cast<size_t>(c.length);
  return true;
}

bool SplitPatternParser::set_bit(const CharSet& set, CharTable::Mask& bit) {
  size_t i = 0;
  while (i < sets_.size() && !same(sets_[i], set)) ++i;
  if (i == CharTable::kMaxSets) return false;
  if (i == sets_.size()) sets_.push_back(set);
  bit = static_cast<CharTable::Mask>(1u << i);
  return true;
}

bool SplitPatternParser::eat(std::string_view token) {
  if (text_.substr(at_, token.size()) != token) return false;
  at_ += token.size();
  return true;
}

}  // namespace ds::text
