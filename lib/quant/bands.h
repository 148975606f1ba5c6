// The work on one piece of one tensor: read it, convert it, hand back what to write. No files are written
// here.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"
#include "quant/conversion_plan.h"
#include "quant/options.h"
#include "quant/stats.h"

namespace ds::quant {

// Rows [row, row + rows) and columns [col, col + cols) of a step's matrix; for kCopy, `row` and `rows` are
// bytes. Starts at block borders of what is read and written.
struct BandJob {
  const QuantStep* step = nullptr;
  int64_t row = 0, rows = 0, col = 0, cols = 0;
};

// Cuts a step into jobs of a few MB.
void add_jobs(const QuantStep& step, std::vector<BandJob>& jobs);
// Bytes of input a job reads, for progress.
int64_t job_bytes(const BandJob& job);

// One thread's buffers; grow to the largest job and stay.
struct BandScratch {
  std::vector<std::byte> in;
  std::vector<float> values;  // the input as F32, where it is not read by kernels directly
  std::vector<float> in_scales, factors;
  std::vector<uint32_t> amax;
  std::vector<BlockError> errors;
  // Results.
  std::vector<std::byte> out;         // [rows, cols] of the written type
  std::vector<std::byte> out_scales;  // [block rows, block columns] F32 or E8M0
  TensorStats stats;                  // of kEncode
  int64_t n_nan_codes = 0;            // of kDecode
};

// Throws Error{kBadModel} for values that cannot be converted (NaN under NanPolicy::kFail, FP4 that would
// lose).
void convert_band(const ModelFolder& model, const QuantizeOptions& options, const BandJob& job,
                  BandScratch& scratch);

// The values of [row, row + rows) x [col, col + cols) as F32 into `to`, rows `cols` apart.
void read_values(const ModelFolder& model, const StoredTensor& tensor, const WeightCoding& coding, Isa isa,
                 int64_t row, int64_t rows, int64_t col, int64_t cols, BandScratch& scratch, float* to);

}  // namespace ds::quant
