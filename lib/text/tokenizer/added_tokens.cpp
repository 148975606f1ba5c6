#include "text/tokenizer/added_tokens.h"

#include <algorithm>

#include "text/tokenizer/char_table.h"

namespace ds::text {
namespace {

size_t char_start_before(std::string_view text, size_t at) {
  do --at;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80);
  return at;
}

uint32_t char_at(std::string_view text, size_t at, size_t& length) {
  int n = 0;
  const uint32_t c = read_char(text.data() + at, n);
  length = static_cast<size_t>(n);
  return c;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher() : nodes_(1), space_(CharSet::white_space()) {}

void AddedTokenMatcher::add(const AddedToken& token, std::string_view pattern) {
  if (pattern.empty()) return;
  uint32_t node = 0;
  for (const char c : pattern) {
    const uint8_t byte = static_cast<uint8_t>(c);
    uint32_t next = child(node, byte);
    if (next == 0) {
      next = static_cast<uint32_t>(nodes_.size());
      nodes_.push_back({0, nodes_[node].first_child, -1, byte});
      nodes_[node].first_child = next;
      if (node == 0) roots_[byte] = next;
    }
    node = next;
  }
  nodes_[node].entry = static_cast<int32_t>(entries_.size());
  entries_.push_back({token.id, token.special, token.lstrip, token.rstrip, token.single_word});
  if (token.single_word && word_.ranges().empty()) word_ = CharSet::word();
}

uint32_t AddedTokenMatcher::child(uint32_t node, uint8_t byte) const {
  if (node == 0) return roots_[byte];
  uint32_t next = nodes_[node].first_child;
  while (next != 0 && nodes_[next].byte != byte) next = nodes_[next].next_sibling;
  return next;
}

const AddedTokenMatcher::Entry* AddedTokenMatcher::longest_at(std::string_view text, size_t at,
                                                              size_t& end) const {
  const Entry* found = nullptr;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    node = child(node, static_cast<uint8_t>(text[i]));
    if (node == 0) break;
    if (nodes_[node].entry >= 0) {
      found = &entries_[static_cast<size_t>(nodes_[node].entry)];
      end = i + 1;
    }
  }
  return found;
}

bool AddedTokenMatcher::word_before(std::string_view text, size_t at) const {
  size_t n = 0;
  return at > 0 && word_.contains(char_at(text, char_start_before(text, at), n));
}

bool AddedTokenMatcher::word_after(std::string_view text, size_t at) const {
  size_t n = 0;
  return at < text.size() && word_.contains(char_at(text, at, n));
}

void AddedTokenMatcher::split(std::string_view text, bool match_special,
                              const std::function<void(std::string_view)>& between,
                              const std::function<void(int32_t)>& token) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    if (roots_[static_cast<uint8_t>(text[at])] == 0) {
      ++at;
      continue;
    }
    size_t end = 0;
    const Entry* entry = longest_at(text, at, end);
    if (!entry) {
      ++at;
      continue;
    }
    size_t begin = at;
    at = end;
    if (entry->special && !match_special) continue;
    if (entry->single_word && (word_before(text, begin) || word_after(text, end))) continue;
    // Spaces that a token before this one has taken already stay with that one.
    begin = std::max(begin, done);
    while (entry->lstrip && begin > done) {
      const size_t p = char_start_before(text, begin);
      size_t n = 0;
      if (!space_.contains(char_at(text, p, n))) break;
      begin = p;
    }
    while (entry->rstrip && end < text.size()) {
      size_t n = 0;
      if (!space_.contains(char_at(text, end, n))) break;
      end += n;
    }
    if (begin > done) between(text.substr(done, begin - done));
    token(entry->id);
    done = std::max(done, end);
  }
  if (done < text.size()) between(text.substr(done));
}

}  // namespace ds::text
