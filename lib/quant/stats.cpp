#include "quant/stats.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/json_value.h"

namespace ds::quant {

double TensorStats::sqnr_db() const {
  if (error == 0) return std::numeric_limits<double>::infinity();
  return signal > 0 ? 10 * std::log10(signal / error) : -std::numeric_limits<double>::infinity();
}

double TensorStats::relative_error() const {
  return signal > 0 ? std::sqrt(error / signal) : error > 0 ? 1 : 0;
}

void TensorStats::add(const TensorStats& part) {
  n += part.n;
  signal += part.signal;
  error += part.error;
  max_error = std::max(max_error, part.max_error);
  max_value = std::max(max_value, part.max_value);
  n_non_finite += part.n_non_finite;
  n_codes += part.n_codes, n_zero += part.n_zero, n_saturated += part.n_saturated, n_nan += part.n_nan;
  if (part.histogram.empty()) return;
  histogram.resize(128);
  for (size_t i = 0; i < 128; ++i) histogram[i] += part.histogram[i];
}

Json TensorStats::to_json() const {
  Json j = Json::object();
  j["name"] = name;
  j["n"] = n;
  j["sqnr_db"] = sqnr_db();  // null when nothing changed
  j["relative_error"] = relative_error();
  j["max_error"] = max_error;
  j["max_value"] = max_value;
  if (n_codes > 0) {
    const auto all = static_cast<double>(n_codes);
    j["saturated_frac"] = static_cast<double>(n_saturated) / all;
    j["zero_frac"] = static_cast<double>(n_zero) / all;
  }
  j["n_non_finite"] = n_non_finite;
  j["signal"] = signal;
  j["error"] = error;
  if (n_codes > 0) {
    j["n_codes"] = n_codes;
    j["n_zero"] = n_zero;
    j["n_saturated"] = n_saturated;
    j["n_nan"] = n_nan;
    Json::array_t counts;
    for (const int64_t c : histogram) counts.push_back(c);
    j["histogram"] = std::move(counts);
  }
  return j;
}

TensorStats TensorStats::from_json(const Json& json) {
  TensorStats s;
  const auto number = [&](const char* key) {
    const Json* v = find(json, key);
    return v && v->is_number() ? v->get<double>() : 0;
  };
  if (const Json* name = find(json, "name"); name && name->is_string()) s.name = as_string(*name);
  s.n = static_cast<int64_t>(number("n"));
  s.signal = number("signal");
  s.error = number("error");
  s.max_error = number("max_error");
  s.max_value = number("max_value");
  s.n_non_finite = static_cast<int64_t>(number("n_non_finite"));
  s.n_codes = static_cast<int64_t>(number("n_codes"));
  s.n_zero = static_cast<int64_t>(number("n_zero"));
  s.n_saturated = static_cast<int64_t>(number("n_saturated"));
  s.n_nan = static_cast<int64_t>(number("n_nan"));
  if (const Json* histogram = find(json, "histogram");
      histogram && histogram->is_array() && histogram->size() == 128)
    for (const Json& c : *histogram) s.histogram.push_back(is_int(c) ? as_int(c) : 0);
  return s;
}

void add_block(TensorStats& stats, const BlockError& block, double scale) {
  double signal = 0, error = 0, most = 0;
  for (int i = 0; i < 16; ++i) {
    signal += block.signal[i];
    error += block.error[i];
    most = std::max(most, static_cast<double>(block.max_error[i]));
  }
  stats.signal += signal * scale * scale;
  stats.error += error * scale * scale;
  stats.max_error = std::max(stats.max_error, most * scale);
}

namespace {

using Bytes = uint8_t __attribute__((vector_size(16)));

// How many codes have each of these magnitude fields: 0, 126, 127.
struct Extremes {
  int64_t n_zero = 0, n_saturated = 0, n_nan = 0;
};
template <bool kNanOnly>
Extremes count_extremes(const uint8_t* codes, int64_t n) {
  Extremes e;
  int64_t i = 0;
  while (i + 16 <= n) {
    Bytes zero{}, saturated{}, nan{};
    const int64_t end = std::min(n - 15, i + 16 * 255);  // a byte counts to 255
    for (; i < end; i += 16) {
      Bytes x;
      __builtin_memcpy(&x, codes + i, 16);
      x &= 0x7F;
      nan -= reinterpret_cast<Bytes>(x == 127);
      if (kNanOnly) continue;
      zero -= reinterpret_cast<Bytes>(x == 0);
      saturated -= reinterpret_cast<Bytes>(x == 126);
    }
    for (int k = 0; k < 16; ++k) e.n_zero += zero[k], e.n_saturated += saturated[k], e.n_nan += nan[k];
  }
  for (; i < n; ++i) {
    const int x = codes[i] & 0x7F;
    e.n_zero += x == 0, e.n_saturated += x == 126, e.n_nan += x == 127;
  }
  return e;
}

}  // namespace

int64_t nan_codes_of(const uint8_t* codes, int64_t n) { return count_extremes<true>(codes, n).n_nan; }

void count_codes(TensorStats& stats, const uint8_t* codes, int64_t n) {
  const Extremes e = count_extremes<false>(codes, n);
  stats.n_codes += n;
  stats.n_zero += e.n_zero;
  stats.n_saturated += e.n_saturated;
  stats.n_nan += e.n_nan;

  // Counting every code costs as much as half the encoding. The period is prime, so that it drifts over rows
  // of any length.
  constexpr int64_t kRun = 1024, kPeriod = 8191;
  const bool whole = n <= 1 << 16;
  const int64_t period = whole ? kRun : kPeriod, weight = whole ? 1 : 8;
  // Four tables: the same code twice in a row does not wait for its own counter.
  uint32_t counts[4][128] = {};
  for (int64_t run = 0; run < n; run += period)
    for (int64_t k = run, end = std::min(n, run + kRun); k < end; ++k) ++counts[k % 4][codes[k] & 0x7F];
  stats.histogram.resize(128);
  for (int c = 1; c < 126; ++c)
    for (const auto& table : counts) stats.histogram[c] += weight * table[c];
  stats.histogram[0] = stats.n_zero;
  stats.histogram[126] = stats.n_saturated;
  stats.histogram[127] = stats.n_nan;
}

TensorStats total_of(const std::vector<TensorStats>& tensors) {
  TensorStats total;
  for (const TensorStats& t : tensors) total.add(t);
  return total;
}

}  // namespace ds::quant
