#include "filter/stages/urls.h"

#include <unicode/uidna.h>

#include <algorithm>
#include <memory>

#include "io/lines.h"

namespace ds::filter {
namespace {

// A host of other letters as DNS knows it: bücher.example is xn--bcher-kva.example. As it is where it is
// none.
std::string in_ascii(std::string host) {
  if (std::all_of(host.begin(), host.end(), [](char c) { return static_cast<signed char>(c) >= 0; }))
    return host;
  UErrorCode error = U_ZERO_ERROR;
  static const std::unique_ptr<UIDNA, void (*)(UIDNA*)> idna(
      uidna_openUTS46(UIDNA_NONTRANSITIONAL_TO_ASCII, &error), uidna_close);
  if (!idna) return host;
  char out[256];
  UIDNAInfo info = UIDNA_INFO_INITIALIZER;
  error = U_ZERO_ERROR;
  const int32_t n = uidna_nameToASCII_UTF8(idna.get(), host.data(), static_cast<int32_t>(host.size()), out,
                                           sizeof out, &info, &error);
  return U_FAILURE(error) || info.errors || n > static_cast<int32_t>(sizeof out) ? host : std::string(out, n);
}

// scheme, user and port away, host in lower case and without the root's dot, no trailing slash.
std::string normal(std::string_view url) {
  if (url.starts_with("//")) url.remove_prefix(2);  // the scheme is the page's
  const size_t scheme = url.find("://");
  if (scheme != url.npos && scheme < 16) url.remove_prefix(scheme + 3);
  const size_t host_end = std::min(url.find_first_of("/?#"), url.size());
  std::string_view host = url.substr(0, host_end);
  if (const size_t at = host.rfind('@'); at != host.npos) host.remove_prefix(at + 1);
  if (const size_t port = host.rfind(':'); port != host.npos) host = host.substr(0, port);
  std::string out(host);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  while (!out.empty() && out.back() == '.') out.pop_back();
  out = in_ascii(std::move(out));
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
