#include "quant/report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "core/json_value.h"
#include "report/bars.h"
#include "report/html.h"
#include "report/words.h"

namespace ds::quant {
namespace {

constexpr int kPictureColumns = 72;

template <class... Args>
std::string format(const char* text, Args... args) {
  char buffer[512];
  std::snprintf(buffer, sizeof buffer, text, args...);
  return buffer;
}

double ratio(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

// Codes gathered by the power of two they stand for: zero, 2^-9 .. 2^8, and 448 apart.
constexpr int kBins = 20;
std::array<int64_t, kBins> bins_of(const std::vector<int64_t>& codes) {
  std::array<int64_t, kBins> bins{};
  for (int code = 0; code < 127 && code < static_cast<int>(codes.size()); ++code) {
    int bin = 0;
    if (code >= 8) {
      bin = (code >> 3) + 3;  // 2^-6 is bin 4
    } else if (code > 0) {
      bin = code >= 4 ? 3 : code >= 2 ? 2 : 1;  // subnormals 2^-9, 2^-8, 2^-7
    }
    bins[code == 126 ? kBins - 1 : bin] += codes[code];
  }
  return bins;
}
std::string bin_label(int bin) {
  if (bin == 0) return "0";
  if (bin == kBins - 1) return "448";
  return "2^" + std::to_string(bin - 10);
}

void set_totals(Json& j, const std::vector<TensorStats>& tensors) {
  const TensorStats total = total_of(tensors);
  j["sqnr_db"] = total.sqnr_db();
  j["relative_error"] = total.relative_error();
  j["max_error"] = total.max_error;
  j["n_values"] = total.n;
  if (!total.histogram.empty()) {
    j["saturated_frac"] = ratio(total.n_saturated, total.n_codes);
    j["zero_frac"] = ratio(total.n_zero, total.n_codes);
  }
  Json::array_t list;
  for (const TensorStats& t : tensors) list.push_back(t.to_json());
  j["tensors"] = std::move(list);
}

std::string count_text(int64_t n) {
  return n >= 1'000'000'000 ? format("%.2f billion", static_cast<double>(n) * 1e-9)
                            : format("%.2f million", static_cast<double>(n) * 1e-6);
}

std::string quality_text(const TensorStats& t) {
  if (t.error == 0) return "no value changed";
  std::string text = format("SQNR %.2f dB, relative error %.4f, largest error %.4g", t.sqnr_db(),
                            t.relative_error(), t.max_error);
  if (!t.histogram.empty())
    text += format("; codes at 448: %.4f %%, zero: %.4f %%", 100 * ratio(t.n_saturated, t.n_codes),
                   100 * ratio(t.n_zero, t.n_codes));
  return text;
}

std::string total_text(const TensorStats& total) {
  return quality_text(total) +
         (total.error == 0 ? "" : "; SQNR is the ratio of signal to quantisation noise");
}

std::string quantize_plan_text(const QuantizePlan& p) {
  std::string text = decimal_size(p.bytes_before) + " -> " + decimal_size(p.bytes_after) + " of tensors in " +
                     std::to_string(p.shards.size()) + (p.shards.size() == 1 ? " file" : " files") + ", " +
                     count_text(p.n_parameters) + " parameters\n";
  const auto line = [&](const char* what, int64_t whole) {
    const double r = ratio(p.bytes_after, whole);
    text += format("  against %-24s %10s: %5.1f %% of it, %4.1f %% %s\n", what, decimal_size(whole).c_str(),
                   100 * r, 100 * std::fabs(1 - r), r <= 1 ? "smaller" : "larger");
  };
  line("MODEL as it is", p.bytes_before);
  line("the same weights in F32", p.bytes_as_f32);
  line("the same weights in BF16", p.bytes_as_bf16);
  text += format("  %lld encoded, %lld decoded, %lld copied", static_cast<long long>(p.n_encoded),
                 static_cast<long long>(p.n_decoded), static_cast<long long>(p.n_copied));
  return text;
}

Json quantize_plan_json(const QuantizePlan& p) {
  Json j = Json::object();
  j["n_parameters"] = p.n_parameters;
  j["bytes_before"] = p.bytes_before;
  j["bytes_after"] = p.bytes_after;
  j["ratio_to_model"] = ratio(p.bytes_after, p.bytes_before);
  j["ratio_to_f32"] = ratio(p.bytes_after, p.bytes_as_f32);
  j["ratio_to_bf16"] = ratio(p.bytes_after, p.bytes_as_bf16);
  j["n_encoded"] = p.n_encoded;
  j["n_decoded"] = p.n_decoded;
  j["n_copied"] = p.n_copied;
  Json::array_t shards;
  for (const PlannedShard& s : p.shards) {
    Json shard = Json::object();
    shard["name"] = s.name;
    shard["bytes"] = s.file_bytes();
    shard["n_tensors"] = static_cast<int64_t>(s.tensors.size());
    shards.push_back(std::move(shard));
  }
  j["shards"] = std::move(shards);
  Json::array_t notes;
  for (const std::string& n : p.notes) notes.push_back(n);
  j["notes"] = std::move(notes);
  return j;
}

std::string quantize_text(const QuantizeReport& r) {
  std::string text = r.out + format(" in %.2f s, %.2f GB/s read, ", r.seconds,
                                    static_cast<double>(r.bytes_read) * 1e-9 / std::max(r.seconds, 1e-9));
  text += decimal_size(r.bytes_written) + " written";
  if (r.n_resumed) text += ", " + std::to_string(r.n_resumed) + " files kept";
  const TensorStats total = total_of(r.tensors);
  if (total.n) text += "\n  encoded tensors: " + total_text(total);
  if (r.n_nan_codes)
    text += "\n  note: " + std::to_string(r.n_nan_codes) +
            " NaN codes in MODEL are NaN in OUT, too: " + r.nan_example;
  return text;
}

Json quantize_json(const QuantizePlan& plan, const QuantizeReport& r) {
  Json j = quantize_plan_json(plan);
  j["out"] = r.out;
  j["seconds"] = r.seconds;
  j["bytes_read"] = r.bytes_read;
  j["bytes_written"] = r.bytes_written;
  j["n_resumed_shards"] = r.n_resumed;
  j["n_nan_codes"] = r.n_nan_codes;
  set_totals(j, r.tensors);
  return j;
}

Json gguf_json(const GgufReport& r) {
  Json j = Json::object();
  j["n_tensors"] = r.n_tensors;
  Json types = Json::object();
  for (const auto& [type, n] : r.n_of_type) types[type] = n;
  j["n_of_type"] = std::move(types);
  j["bytes_planned"] = r.bytes_planned;
  j["bytes_written"] = r.bytes_written;
  j["seconds"] = r.seconds;
  Json::array_t notes;
  for (const std::string& n : r.notes) notes.push_back(n);
  j["notes"] = std::move(notes);
  return j;
}

Json verify_json(const VerifyReport& r, double min_sqnr_db) {
  Json j = Json::object();
  const auto below = r.below(min_sqnr_db);
  j["passed"] = below.empty() && r.problems.empty();
  j["min_sqnr_db"] = min_sqnr_db;
  j["n_below"] = static_cast<int64_t>(below.size());
  Json::array_t problems;
  for (const std::string& p : r.problems) problems.push_back(p);
  j["problems"] = std::move(problems);
  j["seconds"] = r.seconds;
  set_totals(j, r.tensors);
  return j;
}

}  // namespace

std::string code_histogram_text(const TensorStats& total, int columns) {
  if (total.histogram.empty()) return "";
  const auto bins = bins_of(total.histogram);
  int64_t n = 0, most = 1;
  for (const int64_t b : bins) n += b, most = std::max(most, b);
  std::string text = "E4M3 codes by power of two, share of " + std::to_string(n) + "\n";
  for (int bin = kBins - 1; bin >= 0; --bin) {
    const double share = ratio(bins[bin], n);
    text += format("  %5s %8.4f %% ", bin_label(bin).c_str(), 100 * share);
    text += bar(ratio(bins[bin], most), std::max(columns - 20, 8)) + "\n";
  }
  return text;
}

std::string report_html(const Page& page, const PageSizes& sizes, const std::vector<TensorStats>& tensors) {
  const TensorStats total = total_of(tensors);
  std::string html = page_head(page.title, page.command_line);
  if (sizes.before > 0)
    html += "<table><tr><th>tensors before<th>after<th>of it</tr><tr><td>" + decimal_size(sizes.before) +
            "<td>" + decimal_size(sizes.after) +
            format("<td>%.1f %%</tr></table>\n", 100 * ratio(sizes.after, sizes.before));
  html += format(
      "<p>%lld values in %zu tensors, SQNR %.2f dB, relative error %.4f, largest error %.4g; "
      "%.4f %% of codes at 448, %.4f %% zero.</p>\n",
      static_cast<long long>(total.n), tensors.size(), total.sqnr_db(), total.relative_error(),
      total.max_error, 100 * ratio(total.n_saturated, total.n_codes),
      100 * ratio(total.n_zero, total.n_codes));
  if (!total.histogram.empty()) {
    const auto percent = [all = std::max<int64_t>(
                              std::accumulate(total.histogram.begin(), total.histogram.end() - 1, int64_t{0}),
                              1)](int64_t n) { return 100 * ratio(n, all); };
    std::vector<Bar> bars;
    const auto bins = bins_of(total.histogram);
    for (int bin = 0; bin < kBins; ++bin)
      bars.push_back({bin_label(bin), percent(bins[bin]),
                      format("%s: %.5f %%", bin_label(bin).c_str(), percent(bins[bin]))});
    html += bars_svg("E4M3 codes by power of two",
                     "Share of codes, in units of the block's scale; 448 is the largest.", bars, " %");
    bars.clear();
    for (int code = 0; code < 127; ++code)
      bars.push_back({std::to_string(code), percent(total.histogram[code]),
                      format("code 0x%02X: %.5f %%", code, percent(total.histogram[code]))});
    html +=
        bars_svg("Every code", "Share of each code without its sign: 0 zero, 1 to 7 subnormal, 126 is 448.",
                 bars, " %");
  }
  std::vector<const TensorStats*> changed;
  for (const TensorStats& t : tensors)
    if (t.error > 0) changed.push_back(&t);
  if (changed.empty()) return html + "<p>No value changed.</p></html>\n";
  std::stable_sort(changed.begin(), changed.end(),
                   [](const TensorStats* a, const TensorStats* b) { return a->sqnr_db() < b->sqnr_db(); });
  // Tensors by SQNR in steps of a tenth of the range.
  const double low = std::floor(std::max(changed.front()->sqnr_db(), -20.0) * 10) / 10;
  const double high = std::max(changed.back()->sqnr_db(), low + 0.1), width = (high - low) / 30;
  std::vector<Bar> bars(30);
  for (size_t i = 0; i < bars.size(); ++i)
    bars[i] = {format("%.2f", low + width * static_cast<double>(i)), 0, ""};
  for (const TensorStats* t : changed)
    ++bars[std::clamp(static_cast<int>((t->sqnr_db() - low) / width), 0, 29)].value;
  for (Bar& b : bars) b.tip = format("from %s dB: %.0f tensors", b.label.c_str(), b.value);
  html += bars_svg("Tensors by SQNR", "Number of tensors; left edges in dB.", bars, "");
  html +=
      "<h2>Tensors, lowest SQNR first</h2>\n<table class=names><tr><th>tensor<th>values<th>SQNR "
      "dB<th>relative "
      "error<th>largest "
      "error<th>448 %"
      "<th>zero %</tr>\n";
  constexpr size_t kMostRows = 2000;
  for (size_t i = 0; i < changed.size() && i < kMostRows; ++i) {
    const TensorStats& t = *changed[i];
    html += "<tr><td>" + escape_html(t.name) +
            format("<td>%lld<td>%.2f<td>%.4f<td>%.4g<td>%.4f<td>%.4f</tr>\n", static_cast<long long>(t.n),
                   t.sqnr_db(), t.relative_error(), t.max_error, 100 * ratio(t.n_saturated, t.n_codes),
                   100 * ratio(t.n_zero, t.n_codes));
  }
  html += "</table>\n";
  if (changed.size() > kMostRows)
    html += "<p>" + std::to_string(changed.size() - kMostRows) + " more, all above " +
            format("%.2f dB", changed[kMostRows - 1]->sqnr_db()) +
            ", are in the report that --report writes.</p>\n";
  if (changed.size() < tensors.size())
    html += "<p>" + std::to_string(tensors.size() - changed.size()) + " others did not change.</p>\n";
  return html + "</html>\n";
}

RunSummary plan_summary(const QuantizePlan& plan) {
  RunSummary s;
  s.words.push_back(quantize_plan_text(plan));
  for (const std::string& note : plan.notes) s.words.push_back("note: " + note);
  s.json = quantize_plan_json(plan);
  return s;
}

RunSummary quantize_summary(const QuantizePlan& plan, const QuantizeReport& report, const Page& page) {
  RunSummary s;
  s.words.push_back(quantize_text(report));
  s.picture = code_histogram_text(total_of(report.tensors), kPictureColumns);
  s.json = quantize_json(plan, report);
  s.html = report_html(page, {plan.bytes_before, plan.bytes_after}, report.tensors);
  return s;
}

RunSummary gguf_summary(const GgufReport& r) {
  RunSummary s;
  for (const std::string& note : r.notes) s.words.push_back("note: " + note);
  std::string types;
  for (const auto& [type, n] : r.n_of_type)
    types += (types.empty() ? " (" : ", ") + std::to_string(n) + " " + type;
  s.words.push_back(std::to_string(r.n_tensors) + " tensors" + types + "), " + decimal_size(r.bytes_planned) +
                    (r.bytes_written ? format(" in %.3f s", r.seconds) : ""));
  s.json = gguf_json(r);
  return s;
}

RunSummary verify_summary(const VerifyReport& report, double min_sqnr_db, const Page& page) {
  RunSummary s;
  const auto below = report.below(min_sqnr_db);
  for (const std::string& p : report.problems) s.faults.push_back("problem: " + p);
  for (size_t i = 0; i < below.size() && i < 10; ++i)
    s.faults.push_back(format("below %.2f dB: ", min_sqnr_db) + below[i]->name + ": " +
                       quality_text(*below[i]));
  const TensorStats total = total_of(report.tensors);
  s.passed = below.empty() && report.problems.empty();
  s.words.push_back(std::to_string(report.tensors.size()) + " tensors compared, " + total_text(total));
  s.words.push_back(s.passed ? format("passed: every tensor has %.4g dB or more", min_sqnr_db)
                             : "NOT passed: " + std::to_string(below.size()) + " tensors below the bound, " +
                                   std::to_string(report.problems.size()) + " problems");
  s.picture = code_histogram_text(total, kPictureColumns);
  s.json = verify_json(report, min_sqnr_db);
  s.html = report_html(page, {}, report.tensors);
  return s;
}

}  // namespace ds::quant
