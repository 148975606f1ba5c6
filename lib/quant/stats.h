// What quantising did to a tensor.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "kernels/block_quant.h"

namespace ds {

struct TensorStats {
  std::string name;
  int64_t n = 0;                 // values
  double signal = 0, error = 0;  // sums of squares
  double max_error = 0, max_value = 0;
  int64_t n_non_finite = 0;
  // Codes by magnitude field: [0] zeros, [1..7] subnormal, ..., [126] 448, [127] NaN. Empty for other
  // formats.
  std::vector<int64_t> codes;

  double sqnr_db() const;         // infinite when nothing changed
  double relative_error() const;  // root of error / signal
  int64_t n_codes() const;
  int64_t n_zero() const { return codes.empty() ? 0 : codes[0]; }
  int64_t n_saturated() const { return codes.empty() ? 0 : codes[126]; }

  void add(const TensorStats& part);  // sums up; the name stays
  Json to_json() const;               // what a report shows, and enough to read it back
  static TensorStats from_json(const Json& json);
};

// Adds one block, whose values are x = scale * code.
void add_block(TensorStats& stats, const BlockError& block, double scale);
void count_codes(TensorStats& stats, const uint8_t* codes, int64_t n);

// Totals over tensors.
TensorStats total_of(const std::vector<TensorStats>& tensors);

}  // namespace ds
