// The "normalizer" of tokenizer.json: what happens to text before it is cut.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace ds::text {

class Normalizer {
 public:
  Normalizer() = default;
  // null means none. Throws Error{kBadModel} for a kind that is not supported.
  static Normalizer from_json(const Json& json, const std::string& where);

  bool empty() const { return steps_.empty(); }
  // The text itself when nothing changes, else a view of `buffer`.
  std::string_view apply(std::string_view text, std::string& buffer) const;

 private:
  // Returns false when the text stays as it is.
  using Step = std::function<bool(std::string_view text, std::string& out)>;
  void add(const Json& json, const std::string& where, int depth);
  std::vector<Step> steps_;
};

}  // namespace ds::text
