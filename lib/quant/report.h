// Reports and pictures of what a conversion did, as text: a JSON object, bars for a terminal, a page of HTML.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"
#include "quant/gguf_export.h"
#include "quant/quantize.h"
#include "quant/verify.h"

namespace ds::quant {

// "3.090 GB", "14.80 MB".
std::string size_text(int64_t bytes);

// Sizes and ratios of a plan, for people. Says which ratio is which.
std::string quantize_plan_text(const QuantizePlan& plan);
Json quantize_plan_json(const QuantizePlan& plan);

// What a run did, for people.
std::string quantize_text(const QuantizeReport& report);
Json quantize_json(const QuantizePlan& plan, const QuantizeReport& report);
Json gguf_json(const GgufReport& report);
Json verify_json(const VerifyReport& report, double min_sqnr_db);

// "SQNR 31.55 dB, relative error ...", one line.
std::string quality_text(const TensorStats& stats);

// How often each power of two occurs among the codes; `columns` wide.
std::string code_histogram_text(const TensorStats& total, int columns);
// One self-contained page: code histogram, SQNR of all tensors, the worst tensors.
std::string report_html(const std::string& title, const std::vector<TensorStats>& tensors);

}  // namespace ds::quant
