// A list of unwanted addresses: domains ("example.com", its subdomains too) or address beginnings
// ("example.com/x"). Hosts of other letters and their punycode are the same.
#pragma once
#include <string>
#include <string_view>
#include <unordered_set>

namespace ds::filter {

class UrlList {
 public:
  // One entry a line; "#" starts a comment. Throws Error{kNoInput}.
  explicit UrlList(const std::string& path);
  bool empty() const { return entries_.empty(); }
  // The entry that matches, or "".
  std::string match(std::string_view url) const;

 private:
  std::unordered_set<std::string> entries_;
};

}  // namespace ds::filter
