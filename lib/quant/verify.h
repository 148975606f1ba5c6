// Re-reads a converted folder and compares it with what it was made from.
#pragma once
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"
#include "quant/options.h"
#include "quant/stats.h"

namespace ds::quant {

struct VerifyReport {
  std::vector<TensorStats> tensors;   // every tensor of values, in MODEL's order; integers must be equal
  std::vector<std::string> problems;  // what loaders would stumble over, and what is missing or wrong
  double seconds = 0;
  // The tensors below a bound, worst first.
  std::vector<const TensorStats*> below(double min_sqnr_db) const;
};

// Uses isa, n_threads, stop and progress of `options`. Throws for folders that cannot be read at all.
VerifyReport verify(const ModelFolder& model, const ModelFolder& out, const QuantizeOptions& options);

}  // namespace ds::quant
