// ds-quantize as a library call: a model folder in, a model folder out, in constant memory.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "quant/conversion_plan.h"
#include "quant/options.h"
#include "quant/stats.h"

namespace ds::quant {

struct QuantizeReport {
  std::string out;
  std::vector<TensorStats> tensors;  // of what was encoded, in order of output
  // NaN codes among decoded weights, passed on as NaN, and a tensor that has some; of this run.
  int64_t n_nan_codes = 0;
  std::string nan_example;
  int64_t n_shards = 0, n_resumed = 0;        // resumed: finished by an earlier run
  int64_t bytes_read = 0, bytes_written = 0;  // by this run
  double seconds = 0;
};

// Converts shard by shard, band by band, as planned. Throws Error{kInterrupted} when options.stop says so:
// the unfinished shard is dropped, `resume` goes on after the finished ones to the same bytes.
QuantizeReport quantize(const ModelFolder& model, const QuantizePlan& plan, const QuantizeOptions& options);

}  // namespace ds::quant
