// Reports and pictures of what a conversion did, as text: a JSON object, bars for a terminal, a page of HTML.
#pragma once
#include <string>
#include <vector>

#include "core/json_value.h"
#include "quant/gguf_export.h"
#include "quant/quantize.h"
#include "quant/verify.h"

namespace ds::quant {

// What a run has to say, in every form.
struct RunSummary {
  std::vector<std::string> words;   // for people, a note each
  std::vector<std::string> faults;  // these also where few words are wanted
  std::string picture;              // histogram of codes for a terminal; may be empty
  Json json;
  std::string html;  // may be empty
  bool passed = true;
};
// What stands above a page.
struct Page {
  std::string title, command_line;
};

// Sizes and ratios, which of which; what a person should know before it starts.
RunSummary plan_summary(const QuantizePlan& plan);
RunSummary quantize_summary(const QuantizePlan& plan, const QuantizeReport& report, const Page& page);
RunSummary gguf_summary(const GgufReport& report);
RunSummary verify_summary(const VerifyReport& report, double min_sqnr_db, const Page& page);

// One self-contained page, light or dark as the reader's system is: sizes before and after (where there are
// any), code histogram, SQNR of all tensors, every tensor that changed, worst first.
struct PageSizes {
  int64_t before = 0, after = 0;
};
std::string report_html(const Page& page, const PageSizes& sizes, const std::vector<TensorStats>& tensors);

// How often each power of two occurs among the codes; `columns` wide.
std::string code_histogram_text(const TensorStats& total, int columns);

}  // namespace ds::quant
