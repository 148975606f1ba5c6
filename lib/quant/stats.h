// What quantising did to a tensor.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "kernels/block_quant.h"

namespace ds::quant {

struct TensorStats {
  std::string name;
  int64_t n = 0;                 // values
  double signal = 0, error = 0;  // sums of squares
  double max_error = 0, max_value = 0;
  int64_t n_non_finite = 0;
  // Of E4M3 codes, every one looked at: how many there are, zeros, +-448, NaN.
  int64_t n_codes = 0, n_zero = 0, n_saturated = 0, n_nan = 0;
  // For pictures, codes by magnitude field: [0] zeros, [1..7] subnormal, ..., [126] 448, [127] NaN. Large
  // tensors: those three exactly, the others eight times what an eighth of the codes has. Empty for other
  // formats.
  std::vector<int64_t> histogram;

  double sqnr_db() const;         // infinite when nothing changed
  double relative_error() const;  // root of error / signal

  void add(const TensorStats& part);  // sums up; the name stays
  Json to_json() const;               // what a report shows, and enough to read it back
  static TensorStats from_json(const Json& json);
};

// Adds one block, whose values are x = scale * code.
void add_block(TensorStats& stats, const BlockError& block, double scale);
int64_t nan_codes_of(const uint8_t* codes, int64_t n);
void count_codes(TensorStats& stats, const uint8_t* codes, int64_t n);

// Totals over tensors.
TensorStats total_of(const std::vector<TensorStats>& tensors);

}  // namespace ds::quant
