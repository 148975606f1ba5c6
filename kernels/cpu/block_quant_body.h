// block_quant.h over Lanes: sixteen floats at every level, so that sums have one order. Included once by each
// block_quant_<isa>.cpp after it has defined Lanes.
#pragma once
#include <cstdint>
#include <cstring>

#include "kernels/block_quant.h"

namespace ds::kernels {
namespace {

struct BF16In {
  static constexpr int kBytes = 2;
  static Lanes load(const char* p) { return Lanes::load_bf16(p); }
};
struct F16In {
  static constexpr int kBytes = 2;
  static Lanes load(const char* p) { return Lanes::load_f16(p); }
};
struct F32In {
  static constexpr int kBytes = 4;
  static Lanes load(const char* p) { return Lanes::load_f32(p); }
};

// The last n < 16 elements of a block, padded with zeros.
template <class In>
Lanes load_part(const char* p, int64_t n) {
  char padded[16 * In::kBytes] = {};
  std::memcpy(padded, p, n * In::kBytes);
  return In::load(padded);
}

template <class In>
void amax_band(const Band& band, uint32_t* amax_bits) {
  const char* row = static_cast<const char*>(band.data);
  for (int64_t r = 0; r < band.rows; ++r, row += band.ld * In::kBytes) {
    int64_t b = 0;
    for (int64_t begin = 0; begin < band.cols; begin += band.block_cols, ++b) {
      const int64_t left = band.cols - begin, n = left < band.block_cols ? left : band.block_cols;
      const char* p = row + begin * In::kBytes;
      Bits16 most = Bits16::zero();
      int64_t i = 0;
      for (; i + 16 <= n; i += 16) most = max(most, In::load(p + i * In::kBytes).magnitude_bits());
      if (i < n) most = max(most, load_part<In>(p + i * In::kBytes, n - i).magnitude_bits());
      const uint32_t m = most.max_lane();
      if (m > amax_bits[b]) amax_bits[b] = m;
    }
  }
}

inline void amax(const Band& band, uint32_t* amax_bits) {
  if (band.dtype == DType::kBF16) {
    amax_band<BF16In>(band, amax_bits);
  } else if (band.dtype == DType::kF16) {
    amax_band<F16In>(band, amax_bits);
  } else {
    amax_band<F32In>(band, amax_bits);
  }
}

template <class In, bool kMultiply>
void encode_band(const Band& band, const float* factors, uint8_t* codes, int64_t ld_codes,
                 BlockError* errors) {
  const char* row = static_cast<const char*>(band.data);
  for (int64_t r = 0; r < band.rows; ++r, row += band.ld * In::kBytes, codes += ld_codes) {
    int64_t b = 0;
    for (int64_t begin = 0; begin < band.cols; begin += band.block_cols, ++b) {
      const int64_t left = band.cols - begin, n = left < band.block_cols ? left : band.block_cols;
      const char* p = row + begin * In::kBytes;
      uint8_t* out = codes + begin;
      const Lanes factor = Lanes::set1(factors[b]);
      Lanes signal = Lanes::zero(), error = Lanes::zero(), most = Lanes::zero();
      if (errors) {
        signal = Lanes::load_f32(errors[b].signal);
        error = Lanes::load_f32(errors[b].error);
        most = Lanes::load_f32(errors[b].max_error);
      }
      const auto step = [&](Lanes x, uint8_t* to) {
        const Lanes scaled = kMultiply ? x * factor : x / factor;
        const Lanes difference = scaled - scaled.store_e4m3(to);
        signal = signal + scaled * scaled;
        error = error + difference * difference;
        most = max(most, difference.magnitude());
      };
      int64_t i = 0;
      for (; i + 16 <= n; i += 16) step(In::load(p + i * In::kBytes), out + i);
      if (i < n) {
        uint8_t padded[16];
        step(load_part<In>(p + i * In::kBytes, n - i), padded);
        std::memcpy(out + i, padded, n - i);
      }
      if (errors) {
        signal.store(errors[b].signal);
        error.store(errors[b].error);
        most.store(errors[b].max_error);
      }
    }
  }
}

template <class In>
void encode_either(const Band& band, const float* factors, bool multiply, uint8_t* codes, int64_t ld_codes,
                   BlockError* errors) {
  if (multiply) {
    encode_band<In, true>(band, factors, codes, ld_codes, errors);
  } else {
    encode_band<In, false>(band, factors, codes, ld_codes, errors);
  }
}

inline void encode(const Band& band, const float* factors, bool multiply, uint8_t* codes, int64_t ld_codes,
                   BlockError* errors) {
  if (band.dtype == DType::kBF16) {
    encode_either<BF16In>(band, factors, multiply, codes, ld_codes, errors);
  } else if (band.dtype == DType::kF16) {
    encode_either<F16In>(band, factors, multiply, codes, ld_codes, errors);
  } else {
    encode_either<F32In>(band, factors, multiply, codes, ld_codes, errors);
  }
}

struct BF16Out {
  using Element = uint16_t;
  static void store(Lanes v, uint16_t* p) { v.store_bf16(p); }
};
struct F32Out {
  using Element = float;
  static void store(Lanes v, float* p) { v.store(p); }
};

template <class Out>
void decode_band(const uint8_t* codes, int64_t rows, int64_t cols, int64_t ld, int64_t block_cols,
                 const float* scales, typename Out::Element* out, int64_t ld_out) {
  for (int64_t r = 0; r < rows; ++r, codes += ld, out += ld_out) {
    int64_t b = 0;
    for (int64_t begin = 0; begin < cols; begin += block_cols, ++b) {
      const int64_t left = cols - begin, n = left < block_cols ? left : block_cols;
      const Lanes scale = Lanes::set1(scales[b]);
      int64_t i = 0;
      for (; i + 16 <= n; i += 16) Out::store(Lanes::load_e4m3(codes + begin + i) * scale, out + begin + i);
      if (i < n) {
        uint8_t part[16] = {};
        typename Out::Element padded[16];
        std::memcpy(part, codes + begin + i, n - i);
        Out::store(Lanes::load_e4m3(part) * scale, padded);
        std::memcpy(out + begin + i, padded, (n - i) * sizeof padded[0]);
      }
    }
  }
}

}  // namespace
}  // namespace ds::kernels
