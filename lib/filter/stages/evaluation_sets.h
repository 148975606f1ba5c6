// N-grams of evaluation sets: a training text that holds one has seen the test.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "filter/text/document.h"

namespace ds::filter {

class EvaluationSets {
 public:
  // JSONL (every string of a record counts) or, for other names, one item a line. Throws Error{kNoInput},
  // {kBadData}.
  void add(const std::string& path, const int (&ngram)[kScripts]);

  struct Match {
    int n_grams = 0;              // windows of the text that occur in a set
    int first_item = -1;          // item of the first
    uint32_t begin = 0, end = 0;  // units of the first, indices into shingle_units
  };
  Match find(const Document& doc, const int (&ngram)[kScripts]) const;
  // "file:line" of an item.
  const std::string& item(int i) const { return items_[i]; }
  size_t n_items() const { return items_.size(); }
  size_t n_grams() const { return grams_.size(); }
  size_t n_too_short() const { return n_too_short_; }

 private:
  void add_item(std::string_view text, const std::string& where, const int (&ngram)[kScripts]);
  std::unordered_map<uint64_t, int> grams_;
  std::vector<uint64_t> filter_ = std::vector<uint64_t>(1 << 14);  // a million bits before the table is asked
  std::vector<int> short_lengths_[kScripts];  // lengths below n that occur as whole items
  std::vector<std::string> items_;
  size_t n_too_short_ = 0;
};

}  // namespace ds::filter
