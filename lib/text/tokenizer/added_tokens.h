// The "added_tokens" of tokenizer.json and its companions: cut out of the text before anything else, longest
// match first.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/char_set.h"

namespace ds::text {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false, normalized = false, lstrip = false, rstrip = false, single_word = false;
  bool replaces = true;  // where tokens come from several files: the flags of one that is there already
};

// Finds tokens of one group. The reference library has two groups: tokens marked `normalized` are searched in
// the normalised text, after the others were cut out of the text as it came.
class AddedTokenMatcher {
 public:
  AddedTokenMatcher();
  // `pattern` is what to look for: the content, normalised where the group is.
  void add(const AddedToken& token, std::string_view pattern);
  bool empty() const { return nodes_.size() == 1; }

  // Covers the text with calls in order: text between tokens (may be "") and tokens.
  // match_special=false leaves special tokens in the text; like the reference library, what they cover is
  // then not searched for other tokens.
  void split(std::string_view text, bool match_special, const std::function<void(std::string_view)>& between,
             const std::function<void(int32_t)>& token) const;

 private:
  struct Entry {
    int32_t id;
    bool special, lstrip, rstrip, single_word;
  };
  // A byte trie; the children of a node form a linked list (there are few).
  struct Node {
    uint32_t first_child = 0, next_sibling = 0;
    int32_t entry = -1;
    uint8_t byte = 0;
  };
  uint32_t child(uint32_t node, uint8_t byte) const;
  const Entry* longest_at(std::string_view text, size_t at, size_t& end) const;
  bool word_before(std::string_view text, size_t at) const;
  bool word_after(std::string_view text, size_t at) const;

  std::vector<Node> nodes_;
  std::vector<Entry> entries_;
  std::array<uint32_t, 256> roots_{};  // by first byte; 0: no token begins with it
  CharSet word_, space_;               // word_ is filled only when a single_word token needs it
};

}  // namespace ds::text
