#include "filter/stages/evaluation_sets.h"

#include <algorithm>

#include "core/json_value.h"
#include "core/utf8.h"
#include "io/json.h"
#include "io/lines.h"

namespace ds::filter {
namespace {

constexpr uint64_t kBase = 0x9E3779B97F4A7C15ull;
// Items shorter than an n-gram match as a whole, unless they are so short that any text may hold them.
constexpr int kShortest[kScripts] = {6, 10};

template <class Visit>
void windows(const std::vector<uint64_t>& units, int n, Visit&& visit) {
  if (units.size() < static_cast<size_t>(n)) return;
  uint64_t h = 0, power = 1;
  for (int i = 0; i < n; ++i) {
    h = h * kBase + units[i];
    power *= kBase;
  }
  const uint64_t length = static_cast<uint64_t>(n) << 56;
  visit(mix_hash(h ^ length), 0u);
  for (size_t i = n; i < units.size(); ++i) {
    h = h * kBase + units[i] - power * units[i - n];
    visit(mix_hash(h ^ length), static_cast<uint32_t>(i - n + 1));
  }
}

void strings_of(const Json& v, std::vector<std::string_view>& out) {
  if (v.is_string()) out.push_back(as_string(v));
  if (v.is_array())
    for (const Json& item : v) strings_of(item, out);
  if (v.is_object())
    for (const auto& [key, value] : v.items()) strings_of(value, out);
}

}  // namespace

void EvaluationSets::add_item(std::string_view text, const std::string& where, const int (&ngram)[kScripts]) {
  Document doc;
  doc.text = text;
  prepare(doc);
  const int k = static_cast<int>(doc.script);
  int n = ngram[k];
  const int length = static_cast<int>(doc.shingle_units.size());
  if (length < n) {
    if (length < kShortest[k]) {
      ++n_too_short_;
      return;
    }
    n = length;
    auto& lengths = short_lengths_[k];
    if (std::find(lengths.begin(), lengths.end(), n) == lengths.end()) lengths.push_back(n);
  }
  items_.push_back(where);
  const int item = static_cast<int>(items_.size()) - 1;
  windows(doc.shingle_units, n, [&](uint64_t h, uint32_t) {
    grams_.try_emplace(h, item);
    filter_[h >> 6 & 0x3FFF] |= 1ull << (h & 63);
  });
}

void EvaluationSets::add(const std::string& path, const int (&ngram)[kScripts]) {
  LineReader lines(path);
  const bool jsonl = path.size() > 5 && path.find(".json") != path.npos;
  while (const auto line = lines.next()) {
    if (line->empty()) continue;
    if (!jsonl) {
      if (find_invalid_utf8(*line) != std::string_view::npos)
        throw Error(ErrorKind::kBadData, "not valid UTF-8", lines.where());
      add_item(*line, lines.where(), ngram);
      continue;
    }
    const Json record = parse_json(*line, lines.where());
    std::vector<std::string_view> strings;
    strings_of(record, strings);
    for (const std::string_view s : strings) add_item(s, lines.where(), ngram);
  }
}

EvaluationSets::Match EvaluationSets::find(const Document& doc, const int (&ngram)[kScripts]) const {
  Match match;
  const int k = static_cast<int>(doc.script);
  const auto look = [&](int n) {
    windows(doc.shingle_units, n, [&](uint64_t h, uint32_t begin) {
      if (!(filter_[h >> 6 & 0x3FFF] >> (h & 63) & 1)) return;
      const auto it = grams_.find(h);
      if (it == grams_.end()) return;
      if (match.n_grams++ == 0) {
        match.first_item = it->second;
        match.begin = begin;
        match.end = begin + n;
      }
    });
  };
  look(ngram[k]);
  for (const int n : short_lengths_[k]) look(n);
  return match;
}

}  // namespace ds::filter
