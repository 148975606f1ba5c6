#include "quant/stats.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ds {

double TensorStats::sqnr_db() const {
  if (error == 0) return std::numeric_limits<double>::infinity();
  return signal > 0 ? 10 * std::log10(signal / error) : -std::numeric_limits<double>::infinity();
}

double TensorStats::relative_error() const {
  return signal > 0 ? std::sqrt(error / signal) : error > 0 ? 1 : 0;
}

int64_t TensorStats::n_codes() const {
  int64_t sum = 0;
  for (const int64_t c : codes) sum += c;
  return sum;
}

void TensorStats::add(const TensorStats& part) {
  n += part.n;
  signal += part.signal;
  error += part.error;
  max_error = std::max(max_error, part.max_error);
  max_value = std::max(max_value, part.max_value);
  n_non_finite += part.n_non_finite;
  if (!part.codes.empty()) {
    codes.resize(128);
    for (size_t i = 0; i < 128; ++i) codes[i] += part.codes[i];
  }
}

Json TensorStats::to_json() const {
  Json j = Json::Object{};
  j.set("name", name);
  j.set("n", n);
  j.set("sqnr_db", sqnr_db());  // null when nothing changed
  j.set("relative_error", relative_error());
  j.set("max_error", max_error);
  j.set("max_value", max_value);
  if (!codes.empty()) {
    const double all = static_cast<double>(std::max<int64_t>(n_codes(), 1));
    j.set("saturated_frac", static_cast<double>(n_saturated()) / all);
    j.set("zero_frac", static_cast<double>(n_zero()) / all);
  }
  j.set("n_non_finite", n_non_finite);
  j.set("signal", signal);
  j.set("error", error);
  if (!codes.empty()) {
    Json::Array counts;
    for (const int64_t c : codes) counts.push_back(c);
    j.set("codes", std::move(counts));
  }
  return j;
}

TensorStats TensorStats::from_json(const Json& json) {
  TensorStats s;
  const auto number = [&](const char* key) {
    const Json* v = json.find(key);
    return v && v->is_number() ? v->as_double() : 0;
  };
  if (const Json* name = json.find("name"); name && name->is_string()) s.name = name->as_string();
  s.n = static_cast<int64_t>(number("n"));
  s.signal = number("signal");
  s.error = number("error");
  s.max_error = number("max_error");
  s.max_value = number("max_value");
  s.n_non_finite = static_cast<int64_t>(number("n_non_finite"));
  if (const Json* codes = json.find("codes"); codes && codes->is_array() && codes->as_array().size() == 128)
    for (const Json& c : codes->as_array()) s.codes.push_back(c.is_int() ? c.as_int() : 0);
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

void count_codes(TensorStats& stats, const uint8_t* codes, int64_t n) {
  // Four tables: the same code twice in a row does not wait for its own counter.
  uint32_t counts[4][256] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t eight;
    __builtin_memcpy(&eight, codes + i, 8);
    for (int k = 0; k < 8; ++k) ++counts[k % 4][eight >> 8 * k & 0xFF];
  }
  for (; i < n; ++i) ++counts[0][codes[i]];
  stats.codes.resize(128);
  for (int c = 0; c < 256; ++c)
    for (const auto& table : counts) stats.codes[c & 0x7F] += table[c];
}

TensorStats total_of(const std::vector<TensorStats>& tensors) {
  TensorStats total;
  for (const TensorStats& t : tensors) total.add(t);
  return total;
}

}  // namespace ds
