#include "quant/gguf_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/numbers.h"

namespace ds::quant {
namespace {

constexpr float kMostF16 = 65504;

void put_half(float v, uint8_t* out) {
  const uint16_t h = f32_to_f16(v);
  std::memcpy(out, &h, 2);
}
float as_half(float v) { return f16_to_f32(f32_to_f16(v)); }

// 1 / d, or 0: the inverse of a scale below 2^-128 is no float, and the scale itself is 0 in binary16.
float inverse_or_zero(float d) {
  const float inverse = 1 / d;
  return std::isfinite(inverse) ? inverse : 0;
}

float of_largest_magnitude(const float* x, int n) {
  float most = 0, value = 0;
  for (int i = 0; i < n; ++i)
    if (std::fabs(x[i]) > most) {
      most = std::fabs(x[i]);
      value = x[i];
    }
  return value;
}

// Codes of 0 to 2 half - 1 for -half to half - 1 times the scale, which is returned.
float symmetric_codes(const float* x, int half, uint8_t codes[32]) {
  const float d = of_largest_magnitude(x, 32) / static_cast<float>(-half), inverse = inverse_or_zero(d);
  const int most = 2 * half - 1;
  for (int i = 0; i < 32; ++i)
    codes[i] = static_cast<uint8_t>(
        std::min(most, static_cast<int>(x[i] * inverse + (static_cast<float>(half) + 0.5f))));
  return d;
}

// ---- Four groups side by side ----
// Each sees the same operations in the same order as alone, hence the same bits. Four, since every x86-64 has
// vectors so wide: what is wider, GCC takes apart number by number.
constexpr int kLanes = 4;
using Lanes [[gnu::vector_size(4 * kLanes)]] = float;

// To the nearest whole number, ties to the even one; |v| < 2^22.
template <class T>
void round_to_whole(T& v) {
  v = (v + 0x1.8p23f) - 0x1.8p23f;
}
template <class T>
void clamp(T& v, float least, float most) {
  const T low = T{} + least, high = T{} + most;
  v = v > low ? v : low;
  v = v < high ? v : high;
}

// Value i of each group of n.
template <int n>
void side_by_side(const float* x, Lanes (&out)[n]) {
  for (int g = 0; g < kLanes; ++g)
    for (int i = 0; i < n; ++i) out[i][g] = x[g * n + i];
}
// By lane, for what is different for each.
template <class F>
void each_lane(F&& f) {
  for (int g = 0; g < kLanes; ++g) f(g);
}

struct ScaleFit {  // four groups of 16
  Lanes codes[16], scales;
};
// Scales that minimise sum w (x - scale code)^2, codes of -32 to 31, w = x^2. Codes come out raised by 32.
void fit_scales(const float* from, ScaleFit& out) {
  constexpr float kNothing = 1e-15f;  // a group of less is zero
  Lanes x[16], most{}, extreme{}, best{};
  side_by_side(from, x);
  for (const Lanes& v : x) {
    const Lanes magnitude = v < 0 ? -v : v;
    extreme = magnitude > most ? v : extreme;
    most = magnitude > most ? magnitude : most;
  }
  const auto is_nothing = most < kNothing;
  extreme = is_nothing ? Lanes{} + 1 : extreme;  // so that the arithmetic stays finite; the end makes it zero
  // The extreme value at code -32 first, then at -31.1 to -32.9.
  for (int turn = 0; turn < 19; ++turn) {
    const int step = turn == 0 ? 0 : turn <= 9 ? turn - 10 : turn - 9;
    const Lanes inverse = -(32 + 0.1f * static_cast<float>(step)) / extreme;
    Lanes trial[16], xl{}, l2{};
    for (int i = 0; i < 16; ++i) {
      Lanes l = inverse * x[i];
      round_to_whole(l);
      clamp(l, -32, 31);
      const Lanes w = x[i] * x[i];
      xl += w * x[i] * l;
      l2 += w * l * l;
      trial[i] = l + 32;
    }
    auto is_better = (l2 > 0) & (xl * xl > best * l2);
    if (turn == 0) is_better = ~is_nothing;  // where squares are too small for a float, the first stays
    const Lanes scale = l2 != 0 ? xl / l2 : Lanes{};
    out.scales = is_better ? scale : turn == 0 ? Lanes{} : out.scales;
    best = is_better ? scale * xl : best;
    for (int i = 0; i < 16; ++i) out.codes[i] = is_better ? trial[i] : turn == 0 ? Lanes{} : out.codes[i];
  }
  for (Lanes& code : out.codes) code = is_nothing ? Lanes{} : code;
  out.scales = is_nothing ? Lanes{} : out.scales;
}

struct MinimumFit {  // four groups of 32
  Lanes codes[32], scales, minima;
};
// Scales and minima <= 0 that minimise sum w (x - (scale code + minimum))^2, codes of 0 to 15, w = |x| plus
// the group's root mean square.
void fit_scales_and_minima(const float* from, MinimumFit& out) {
  constexpr float kTop = 15, kFirst = -1, kStep = 0.1f;
  constexpr int kSteps = 20;
  constexpr float kWidest = kFirst + kStep * kSteps + kTop;
  Lanes x[32], w[32], squares{}, rms{};
  side_by_side(from, x);
  for (const Lanes& v : x) squares += v * v;
  each_lane([&](int g) { rms[g] = std::sqrt(squares[g] / 32); });
  Lanes least = x[0], most = x[0], sum_w{}, sum_x{};
  for (int i = 0; i < 32; ++i) {
    w[i] = rms + (x[i] < 0 ? -x[i] : x[i]);
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  least = least > 0 ? Lanes{} : least;
  // One value, or values so close that the inverse of their range is no float.
  const auto is_flat = kWidest / (most - least) > std::numeric_limits<float>::max();
  most = is_flat ? least + 1 : most;  // so that the arithmetic stays finite; the end makes it flat

  // Trial -1 is the plain range; it is judged as it is, the others after least squares.
  Lanes error{};
  for (int step = -1; step <= kSteps; ++step) {
    // From the best minimum so far, not from the least value: what is found depends on the order of trials.
    const Lanes base = step < 0 ? least : out.minima;
    const float reach = step < 0 ? kTop : kFirst + kStep * static_cast<float>(step) + kTop;
    const Lanes inverse = reach / (most - base);
    Lanes trial[32], sum_l{}, sum_l2{}, sum_xl{};
    for (int i = 0; i < 32; ++i) {
      Lanes l = inverse * (x[i] - base);
      round_to_whole(l);
      clamp(l, 0, kTop);
      trial[i] = l;
      const Lanes wl = w[i] * l;
      sum_l += wl;
      sum_l2 += wl * l;
      sum_xl += wl * x[i];
    }
    // In both unknowns, or in the scale alone where the minimum would be above 0.
    const Lanes determinant = sum_w * sum_l2 - sum_l * sum_l;
    Lanes scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    Lanes minimum = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    const auto is_above = minimum > 0;
    scale = is_above ? sum_xl / sum_l2 : scale;
    minimum = is_above ? Lanes{} : minimum;
    if (step < 0) {
      scale = 1 / inverse;
      minimum = least;
    }
    Lanes off_squares{};
    for (int i = 0; i < 32; ++i) {
      const Lanes off = scale * trial[i] + minimum - x[i];
      off_squares += w[i] * (off * off);
    }
    auto is_better = (determinant > 0) & (off_squares < error);
    if (step < 0) is_better = ~(is_better & ~is_better);
    error = is_better ? off_squares : error;
    out.scales = is_better ? scale : out.scales;
    out.minima = is_better ? minimum : out.minima;
    for (int i = 0; i < 32; ++i) out.codes[i] = is_better ? trial[i] : out.codes[i];
  }
  for (Lanes& code : out.codes) code = is_flat ? Lanes{} : code;
  out.scales = is_flat ? Lanes{} : out.scales;
  out.minima = is_flat ? least : out.minima;
}

}  // namespace

void encode_q4_0(const float* x, int64_t n, uint8_t* out) {
  for (const float* const end = x + n; x < end; x += 32, out += 18) {
    uint8_t codes[32];
    put_half(symmetric_codes(x, 8, codes), out);
    for (int i = 0; i < 16; ++i) out[2 + i] = static_cast<uint8_t>(codes[i] | codes[i + 16] << 4);
  }
}

void encode_q5_0(const float* x, int64_t n, uint8_t* out) {
  for (const float* const end = x + n; x < end; x += 32, out += 22) {
    uint8_t codes[32];
    put_half(symmetric_codes(x, 16, codes), out);
    uint32_t fifth = 0;
    for (int i = 0; i < 32; ++i) fifth |= static_cast<uint32_t>(codes[i] >> 4) << i;
    std::memcpy(out + 2, &fifth, 4);
    for (int i = 0; i < 16; ++i)
      out[6 + i] = static_cast<uint8_t>((codes[i] & 15) | (codes[i + 16] & 15) << 4);
  }
}

void encode_q8_0(const float* x, int64_t n, uint8_t* out) {
  for (const float* const end = x + n; x < end; x += 32, out += 34) {
    const float d = std::fabs(of_largest_magnitude(x, 32)) / 127, inverse = inverse_or_zero(d);
    put_half(d, out);
    for (int i = 0; i < 32; ++i) {
      const float v = x[i] * inverse, m = std::fabs(v);
      const int whole = static_cast<int>(m),
                rounded = whole + static_cast<int>(2 * (m - static_cast<float>(whole)));
      out[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(v < 0 ? -rounded : rounded));
    }
  }
}

void encode_q4_k(const float* x, int64_t n, uint8_t* out) {
  for (const float* const end = x + n; x < end; x += 256, out += 144) {
    MinimumFit fits[2]{};
    float most_scale = 0, most_min = 0;
    for (int g = 0; g < 8; ++g) {
      if (g % kLanes == 0) fit_scales_and_minima(x + 32 * g, fits[g / kLanes]);
      most_scale = std::max(most_scale, fits[g / kLanes].scales[g % kLanes]);
      most_min = std::max(most_min, -fits[g / kLanes].minima[g % kLanes]);
    }
    put_half(most_scale / 63, out);
    put_half(most_min / 63, out + 2);
    const float d = as_half(most_scale / 63), dmin = as_half(most_min / 63);
    const float per_scale = most_scale > 0 ? 63 / most_scale : 0, per_min = most_min > 0 ? 63 / most_min : 0;
    const auto six_bits = [](float v) {
      if (!std::isfinite(v)) return 0;
      round_to_whole(v);
      return std::min(63, static_cast<int>(v));
    };
    uint8_t* s = out + 4;
    std::fill_n(s, 12, uint8_t{0});
    uint8_t codes[8][32];
    for (int g = 0; g < 8; ++g) {
      const MinimumFit& fit = fits[g / kLanes];
      const int lane = g % kLanes;
      const int scale = six_bits(per_scale * fit.scales[lane]), min = six_bits(per_min * -fit.minima[lane]);
      if (g < 4) {
        s[g] = static_cast<uint8_t>(scale);
        s[g + 4] = static_cast<uint8_t>(min);
      } else {
        s[g + 4] = static_cast<uint8_t>((scale & 15) | (min & 15) << 4);
        s[g - 4] = static_cast<uint8_t>(s[g - 4] | scale >> 4 << 6);
        s[g] = static_cast<uint8_t>(s[g] | min >> 4 << 6);
      }
      const float step = d * static_cast<float>(scale), offset = dmin * static_cast<float>(min);
      for (int i = 0; i < 32; ++i) {
        float code = fit.codes[i][lane];  // stays where the step is 0 and all codes decode to the minimum
        if (step != 0) {
          code = (x[32 * g + i] + offset) / step;
          round_to_whole(code);
          clamp(code, 0, 15);
        }
        codes[g][i] = static_cast<uint8_t>(code);
      }
    }
    for (int g = 0; g < 8; g += 2)
      for (int i = 0; i < 32; ++i)
        out[16 + 16 * g + i] = static_cast<uint8_t>(codes[g][i] | codes[g + 1][i] << 4);
  }
}

void encode_q6_k(const float* x, int64_t n, uint8_t* out) {
  for (const float* const end = x + n; x < end; x += 256, out += 210) {
    ScaleFit fits[4]{};
    float scales[16];
    for (int g = 0; g < 16; ++g) {
      if (g % kLanes == 0) fit_scales(x + 16 * g, fits[g / kLanes]);
      scales[g] = fits[g / kLanes].scales[g % kLanes];
    }
    std::fill_n(out, 210, uint8_t{0});
    const float extreme = of_largest_magnitude(scales, 16);
    if (std::fabs(extreme) < 1e-15f) continue;
    const float per_scale = -128 / extreme, d = as_half(1 / per_scale);
    put_half(1 / per_scale, out + 208);
    for (int g = 0; g < 16; ++g) {
      float scale = per_scale * scales[g];
      round_to_whole(scale);
      scale = std::min(scale, 127.0f);
      out[192 + g] = static_cast<uint8_t>(static_cast<int8_t>(scale));
      const float step = d * scale;
      const int half = g / 8, quarter = g / 2 % 4;  // of the block, of the half
      uint8_t* low = out + 64 * half + 32 * (quarter % 2) + 16 * (g % 2);
      uint8_t* high = out + 128 + 32 * half + 16 * (g % 2);
      for (int i = 0; i < 16; ++i) {
        float v =
            fits[g / kLanes].codes[i][g % kLanes];  // stays where the step is 0 and all codes decode to 0
        if (step != 0) {
          v = x[16 * g + i] / step;
          round_to_whole(v);
          clamp(v, -32, 31);
          v += 32;
        }
        const int code = static_cast<int>(v);
        low[i] = static_cast<uint8_t>(low[i] | (code & 15) << (4 * (quarter / 2)));
        high[i] = static_cast<uint8_t>(high[i] | code >> 4 << (2 * quarter));
      }
    }
  }
}

const GgufBlockRow* find_gguf_blocks(GgufType type) {
  // The least bound of a type's binary16 numbers: of Q4_K the minimum's, of Q6_K with room for the fit.
  static constexpr GgufBlockRow kRows[] = {
      {GgufType::kQ4_0, "Q4_0", 32, 8 * kMostF16, encode_q4_0},
      {GgufType::kQ5_0, "Q5_0", 32, 16 * kMostF16, encode_q5_0},
      {GgufType::kQ8_0, "Q8_0", 32, 127 * kMostF16, encode_q8_0},
      {GgufType::kQ4_K, "Q4_K", 256, 63 * kMostF16, encode_q4_k},
      {GgufType::kQ6_K, "Q6_K", 256, 30 * 128 * kMostF16, encode_q6_k},
  };
  for (const GgufBlockRow& row : kRows)
    if (row.type == type) return &row;
  return nullptr;
}

}  // namespace ds::quant
