#include "bench/eval/tally.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "core/json_value.h"
#include "report/words.h"

namespace ds::bench {
namespace {

// Sums over the windows of a perplexity.
struct Likelihood {
  double nll = 0, kl_sum = 0;
  int64_t n_tokens = 0, n_kl_tokens = 0, n_bytes = 0;
  double perplexity() const { return std::exp(nll / static_cast<double>(n_tokens)); }
  double bits_per_byte() const { return nll / static_cast<double>(n_bytes) / std::log(2.0); }
  double kl() const { return kl_sum / static_cast<double>(n_kl_tokens); }
};

Likelihood likelihood(const std::vector<ItemRecord>& items) {
  Likelihood l;
  for (const auto& i : items) {
    if (i.nll < 0 || i.n_out < 1) continue;
    l.nll += i.nll, l.n_tokens += i.n_out, l.n_bytes += std::max<int64_t>(i.distance, 0);
    if (i.kld >= 0) l.kl_sum += i.kld * static_cast<double>(i.n_out), l.n_kl_tokens += i.n_out;
  }
  return l;
}

}  // namespace

Tally tally(const std::string& name, const std::vector<const ItemRecord*>& items) {
  Tally s;
  s.name = name;
  for (const ItemRecord* i : items) {
    ++s.n;
    s.n_correct += i->correct;
    s.n_strict += i->strict;
    s.n_flexible += i->flexible;
    s.n_unparsed += i->unparsed;
    s.n_errors += !i->error.empty();
  }
  s.interval = wilson_interval(s.n_correct, s.n);
  return s;
}

std::vector<Tally> tallies(const std::vector<ItemRecord>& items) {
  std::vector<const ItemRecord*> all, long_talks;
  std::vector<std::pair<std::string, std::vector<const ItemRecord*>>> groups;
  const auto group = [&](const std::string& name) -> std::vector<const ItemRecord*>& {
    for (auto& [n, list] : groups)
      if (n == name) return list;
    return groups.emplace_back(name, std::vector<const ItemRecord*>{}).second;
  };
  for (const auto& i : items) {
    if (i.nll >= 0) continue;
    all.push_back(&i);
    if (i.turns >= 20) long_talks.push_back(&i);
    if (!i.category.empty()) group(i.category).push_back(&i);
  }
  std::vector<Tally> out{tally("all", all)};
  if (!long_talks.empty()) out.push_back(tally("20 turns and more", long_talks));
  for (const auto& [name, list] : groups) out.push_back(tally(name, list));
  return out;
}

std::string failures_text(const std::vector<ItemRecord>& items) {
  std::map<std::string, std::pair<int64_t, std::string>> kinds;
  for (const auto& i : items)
    if (!i.error.empty() && kinds[i.error].first++ == 0) kinds[i.error].second = i.error_detail;
  std::string out;
  for (const auto& [error, kind] : kinds)
    out += (out.empty() ? "" : "; ") + std::to_string(kind.first) + " " + error +
           (kind.second.empty() ? "" : " (" + one_line(kind.second) + ")");
  return out;
}

std::string scores_text(const std::vector<ItemRecord>& items) {
  std::string out;
  const Likelihood l = likelihood(items);
  if (l.n_tokens) {
    out += "perplexity " + short_number(l.perplexity()) + " over " + std::to_string(l.n_tokens) + " tokens";
    if (l.n_bytes) out += ", " + short_number(l.bits_per_byte()) + " bits per byte";
    out += "\n";
    if (l.n_kl_tokens)
      out += "KL to the baseline " + short_number(l.kl()) + " nats per token (lower bound)\n";
  }
  const auto list = tallies(items);
  if (list[0].n == 0) return out;
  char line[200];
  std::snprintf(line, sizeof line, "%-18s %9s  %-21s %8s %8s %8s\n", "", "correct", "share [95 % Wilson]",
                "strict", "flexible", "unparsed");
  out += line;
  for (const Tally& s : list) {
    const auto share = [&](int64_t n) {
      return percent(static_cast<double>(n) / static_cast<double>(std::max<int64_t>(1, s.n)));
    };
    const std::string interval = share(s.n_correct) + " [" + short_number(s.interval.lo * 100) + ", " +
                                 short_number(s.interval.hi * 100) + "]";
    const std::string correct = std::to_string(s.n_correct) + "/" + std::to_string(s.n);
    std::snprintf(line, sizeof line, "%-18s %9s  %-21s %8s %8s %8s\n", s.name.c_str(), correct.c_str(),
                  interval.c_str(), share(s.n_strict).c_str(), share(s.n_flexible).c_str(),
                  share(s.n_unparsed).c_str());
    out += line;
  }
  if (list[0].n_errors)
    out += "! " + std::to_string(list[0].n_errors) +
           " questions got no answer (counted as wrong): " + failures_text(items) + "\n";
  return out;
}

Json scores_json(const std::vector<ItemRecord>& items) {
  Json::array_t list;
  const Likelihood l = likelihood(items);
  if (l.n_tokens)
    list.push_back(Json{{"name", "perplexity"},
                        {"n", l.n_tokens},
                        {"perplexity", l.perplexity()},
                        {"bits_per_byte", l.n_bytes > 0 ? Json(l.bits_per_byte()) : Json()},
                        {"kl", l.n_kl_tokens ? Json(l.kl()) : Json()}});
  for (const Tally& s : tallies(items))
    if (s.n)
      list.push_back(Json{{"name", s.name},
                          {"n", s.n},
                          {"n_correct", s.n_correct},
                          {"n_strict", s.n_strict},
                          {"n_flexible", s.n_flexible},
                          {"n_unparsed", s.n_unparsed},
                          {"n_errors", s.n_errors},
                          {"lo", s.interval.lo},
                          {"hi", s.interval.hi}});
  return Json(std::move(list));
}

std::vector<std::pair<std::string, std::vector<ItemRecord>>> items_by_run(const RecordSet& set) {
  std::map<int32_t, std::vector<ItemRecord>> runs;
  for (const auto& i : set.items) runs[i.run].push_back(i);
  std::vector<std::pair<std::string, std::vector<ItemRecord>>> out;
  for (auto& [run, items] : runs)
    out.emplace_back(set.runs.empty() ? "" : set.runs[static_cast<size_t>(run)].name, std::move(items));
  return out;
}

std::string scores_text(const RecordSet& set) {
  const auto runs = items_by_run(set);
  std::string out;
  for (const auto& [name, items] : runs) out += (runs.size() > 1 ? name + ":\n" : "") + scores_text(items);
  return out;
}

Json scores_json(const RecordSet& set) {
  Json::array_t out;
  for (const auto& [name, items] : items_by_run(set)) {
    const Json list = scores_json(items);
    for (Json s : list) {
      s["run"] = name;
      out.push_back(std::move(s));
    }
  }
  return Json(std::move(out));
}

}  // namespace ds::bench
