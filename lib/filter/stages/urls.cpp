#include "filter/stages/urls.h"

#include <algorithm>

#include "io/lines.h"

namespace ds::filter {
namespace {

// scheme, user and port away, host in lower case, no trailing slash.
std::string normal(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme != url.npos && scheme < 16) url.remove_prefix(scheme + 3);
  const size_t host_end = std::min(url.find_first_of("/?#"), url.size());
  std::string_view host = url.substr(0, host_end);
  if (const size_t at = host.rfind('@'); at != host.npos) host.remove_prefix(at + 1);
  if (const size_t port = host.rfind(':'); port != host.npos) host = host.substr(0, port);
  std::string out(host);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  if (out.rfind("www.", 0) == 0) out.erase(0, 4);
  out += url.substr(host_end);
  while (!out.empty() && out.back() == '/') out.pop_back();
  return out;
}

}  // namespace

UrlList::UrlList(const std::string& path) {
  LineReader lines(path);
  while (const auto line = lines.next()) {
    std::string_view entry = line->substr(0, line->find('#'));
    while (!entry.empty() && (entry.back() == ' ' || entry.back() == '\t')) entry.remove_suffix(1);
    while (!entry.empty() && (entry.front() == ' ' || entry.front() == '\t')) entry.remove_prefix(1);
    if (!entry.empty()) entries_.insert(normal(entry));
  }
}

std::string UrlList::match(std::string_view url) const {
  const std::string full = normal(url);
  const size_t host_end = std::min(full.find_first_of("/?#"), full.size());
  // The host, then its parents: a.b.example.com, b.example.com, example.com, com.
  for (size_t at = 0; at < host_end;) {
    const std::string host = full.substr(at, host_end - at);
    if (entries_.count(host)) return host;
    const size_t dot = full.find('.', at);
    if (dot == full.npos || dot >= host_end) break;
    at = dot + 1;
  }
  // Then the address up to each slash.
  for (size_t end = full.size(); end > host_end; end = full.rfind('/', end - 1)) {
    if (end == full.npos) break;
    const std::string head = full.substr(0, end);
    if (entries_.count(head)) return head;
  }
  return "";
}

}  // namespace ds::filter
