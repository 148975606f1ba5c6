#include "text/tokenizer/split_pattern.h"

#include "core/error.h"
#include "text/tokenizer/split_pattern_parser.h"

namespace ds::text {
namespace {

// The start of the character that ends at p.
const char* previous_char(const char* p) {
  do --p;
  while ((static_cast<uint8_t>(*p) & 0xC0) == 0x80);
  return p;
}

}  // namespace

std::optional<SplitPattern> SplitPattern::compile(std::string_view regex) {
  SplitPatternParser parser(regex);
  if (!parser.parse()) return std::nullopt;
  SplitPattern out;
  out.table_ = CharTable(parser.sets());
  out.alternatives_ = parser.take_alternatives();
  for (Alternative& alternative : out.alternatives_) {
    bool can_be_empty = true;
    for (const Op& op : alternative.ops) {
      if (op.kind != Op::kSet) continue;
      alternative.first = static_cast<CharTable::Mask>(alternative.first | op.set);
      if (op.min > 0) {
        can_be_empty = false;
        break;
      }
    }
    if (can_be_empty) return std::nullopt;
    out.first_ = static_cast<CharTable::Mask>(out.first_ | alternative.first);
  }
  return out;
}

const char* SplitPattern::Finder::match_from(size_t op_idx, const char* at) {
  const auto& ops = alternative_->ops;
  const CharTable& table = pattern_.table_;
  const char* const end = text_.data() + text_.size();
  for (; op_idx < ops.size(); ++op_idx) {
    const Op& op = ops[op_idx];
    if (op.kind == Op::kLineEnd) {
      if (at != end && *at != '\n') return nullptr;
      continue;
    }
    if (op.kind != Op::kSet) {
      int length = 0;
      const bool ahead = at != end && (table[read_char(at, length)] & op.set) != 0;
      if (ahead != (op.kind == Op::kAhead)) return nullptr;
      continue;
    }
    const char* p = at;
    uint32_t n = 0;
    while (p != end && n < op.max) {
      const uint8_t c = static_cast<uint8_t>(*p);
      int length = 1;
      const CharTable::Mask mask = c < 0x80 ? table.ascii(c) : table[read_char(p, length)];
      if (!(mask & op.set)) break;
      p += length;
      ++n;
    }
    if (n < op.min) return nullptr;
    if (op.possessive || n == op.min || op_idx + 1 == ops.size()) {
      at = p;
      continue;
    }
    for (;; --n, p = previous_char(p)) {
      if (const char* result = match_from(op_idx + 1, p)) return result;
      if (n == op.min) return nullptr;
      // Only a hostile expression (many unbounded runs in one sequence) gets anywhere near this.
      if (++n_steps_ > 100'000'000 + 100 * uint64_t{text_.size()})
        throw Error(ErrorKind::kBadModel, "a pre-tokenizer pattern takes too long on this text", "");
    }
  }
  return at;
}

bool SplitPattern::Finder::next(Match& match) {
  const char* const begin = text_.data();
  const char* const end = begin + text_.size();
  for (const char* p = begin + at_; p != end;) {
    const uint8_t c = static_cast<uint8_t>(*p);
    int length = 1;
    const CharTable::Mask mask = c < 0x80 ? pattern_.table_.ascii(c) : pattern_.table_[read_char(p, length)];
    if (!(mask & pattern_.first_)) {
      p += length;
      continue;
    }
    for (size_t i = 0; i < pattern_.alternatives_.size(); ++i) {
      const Alternative& alternative = pattern_.alternatives_[i];
      const size_t offset = static_cast<size_t>(p - begin);
      if (!(mask & alternative.first) || offset < fails_until_[i]) continue;
      alternative_ = &alternative;
      if (const char* stop = match_from(0, p)) {
        match = {offset, static_cast<size_t>(stop - begin)};
        at_ = match.end;
        return true;
      }
      const Op& head = alternative.ops.front();
      if (head.kind == Op::kSet && head.max == kUnbounded && head.min <= 1 && !head.possessive) {
        const char* run = p;
        while (run != end) {
          int n = 0;
          if (!(pattern_.table_[read_char(run, n)] & head.set)) break;
          run += n;
        }
        fails_until_[i] = static_cast<size_t>(run - begin);
      }
    }
    p += length;
  }
  at_ = text_.size();
  return false;
}

}  // namespace ds::text
