#include "checkpoint/gguf_types.h"

#include <bit>

#include "core/numbers.h"

namespace ds::checkpoint {
namespace {

float half_at(const uint8_t* p) { return f16_to_f32(load_unaligned<uint16_t>(p)); }

// Blocks of `values` values in `bytes` bytes, one after the other.
template <int values, int bytes, void (*decode_block)(const uint8_t* b, float* y)>
void decode_blocks(const std::byte* from, int64_t n, float* to) {
  const auto* b = reinterpret_cast<const uint8_t*>(from);
  for (int64_t i = 0; i < n; i += values, b += bytes) decode_block(b, to + i);
}

// ---- 32 values: value i is the low half of byte i, value i + 16 the high half ----
void block_q4_0(const uint8_t* b, float* y) {  // d, q[16]: d (q - 8)
  const float d = half_at(b);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>((b[2 + i] & 15) - 8);
    y[i + 16] = d * static_cast<float>((b[2 + i] >> 4) - 8);
  }
}
void block_q4_1(const uint8_t* b, float* y) {  // d, m, q[16]: d q + m
  const float d = half_at(b), m = half_at(b + 2);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>(b[4 + i] & 15) + m;
    y[i + 16] = d * static_cast<float>(b[4 + i] >> 4) + m;
  }
}
// The fifth bit of value i is bit i of `high`.
int five_bits(int four, uint32_t high, int i) { return four | static_cast<int>((high >> i & 1) << 4); }
void block_q5_0(const uint8_t* b, float* y) {  // d, high, q[16]: d (q - 16)
  const float d = half_at(b);
  const auto high = load_unaligned<uint32_t>(b + 2);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>(five_bits(b[6 + i] & 15, high, i) - 16);
    y[i + 16] = d * static_cast<float>(five_bits(b[6 + i] >> 4, high, i + 16) - 16);
  }
}
void block_q5_1(const uint8_t* b, float* y) {  // d, m, high, q[16]: d q + m
  const float d = half_at(b), m = half_at(b + 2);
  const auto high = load_unaligned<uint32_t>(b + 4);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>(five_bits(b[8 + i] & 15, high, i)) + m;
    y[i + 16] = d * static_cast<float>(five_bits(b[8 + i] >> 4, high, i + 16)) + m;
  }
}
void block_q8_0(const uint8_t* b, float* y) {  // d, int8 q[32]
  const float d = half_at(b);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(static_cast<int8_t>(b[2 + i]));
}

// Sixteen levels, denser around zero.
constexpr float kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
void iq4_values(const uint8_t* q, float d, float* y) {
  for (int i = 0; i < 16; ++i) {
    y[i] = d * kIq4Levels[q[i] & 15];
    y[i + 16] = d * kIq4Levels[q[i] >> 4];
  }
}
void block_iq4_nl(const uint8_t* b, float* y) { iq4_values(b + 2, half_at(b), y); }  // d, q[16]

// Twice the e2m1 number of each code, which is whole; minus zero is zero here.
constexpr float kTwiceE2M1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
void block_mxfp4(const uint8_t* b, float* y) {  // e, q[16]: 2^(e - 127) e2m1
  // Half of the scale for twice the number; the two least exponents are subnormal.
  const uint32_t e = b[0];
  const float half_scale = std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23);
  for (int i = 0; i < 16; ++i) {
    y[i] = kTwiceE2M1[b[1 + i] & 15] * half_scale;
    y[i + 16] = kTwiceE2M1[b[1 + i] >> 4] * half_scale;
  }
}

// ---- 256 values, in groups of 16 or 32 whose scales are quantised in turn ----
// Two bits a value: value 128 h + 32 j + i (h < 2, j < 4, i < 32) is bits 2j of byte 32 h + i. Here value i
// of group g, 16 values each.
int two_bits(const uint8_t* q, int g, int i) {
  return q[32 * (g / 8) + 16 * (g % 2) + i] >> (g / 2 % 4 * 2) & 3;
}

void block_q2_k(const uint8_t* b, float* y) {  // scales[16], q[64], d, dmin: d sc q - dmin m
  const float d = half_at(b + 80), dmin = half_at(b + 82);
  for (int g = 0; g < 16; ++g, y += 16) {
    const float scale = d * static_cast<float>(b[g] & 15), min = dmin * static_cast<float>(b[g] >> 4);
    for (int i = 0; i < 16; ++i) y[i] = scale * static_cast<float>(two_bits(b + 16, g, i)) - min;
  }
}

// Six bits a scale, 16 in 12 bytes: four low bits in the halves of bytes 0 to 7, two high ones in 8 to 11.
int q3_scale(const uint8_t* s, int g) {
  const int low = g < 8 ? s[g] & 15 : s[g - 8] >> 4;
  return (low | (s[8 + g % 4] >> (2 * (g / 4)) & 3) << 4) - 32;
}
void block_q3_k(const uint8_t* b, float* y) {  // high[32], q[64], scales[12], d: d sc (q - (high ? 0 : 4))
  const float d = half_at(b + 108);
  for (int g = 0; g < 16; ++g, y += 16) {
    const float scale = d * static_cast<float>(q3_scale(b + 96, g));
    for (int i = 0; i < 16; ++i) {
      const int high = b[16 * (g % 2) + i] >> (g / 2) & 1;
      y[i] = scale * static_cast<float>(two_bits(b + 32, g, i) + 4 * high - 4);
    }
  }
}

// Scale and minimum of group g < 8, six bits each in 12 bytes.
struct ScaleAndMin {
  float scale, min;
};
ScaleAndMin q4_scale(const uint8_t* s, int g) {
  if (g < 4) return {static_cast<float>(s[g] & 63), static_cast<float>(s[g + 4] & 63)};
  return {static_cast<float>((s[g + 4] & 15) | s[g - 4] >> 6 << 4),
          static_cast<float>(s[g + 4] >> 4 | s[g] >> 6 << 4)};
}
// Two groups of 32 share 32 bytes: low halves, then high ones.
int four_bits(const uint8_t* q, int g, int i) { return q[32 * (g / 2) + i] >> (4 * (g % 2)) & 15; }

void block_q4_k(const uint8_t* b, float* y) {  // d, dmin, scales[12], q[128]: d sc q - dmin m
  const float d = half_at(b), dmin = half_at(b + 2);
  for (int g = 0; g < 8; ++g) {
    const ScaleAndMin s = q4_scale(b + 4, g);
    const float scale = d * s.scale, min = dmin * s.min;
    for (int i = 0; i < 32; ++i) *y++ = scale * static_cast<float>(four_bits(b + 16, g, i)) - min;
  }
}
void block_q5_k(const uint8_t* b, float* y) {  // d, dmin, scales[12], high[32], q[128]
  const float d = half_at(b), dmin = half_at(b + 2);
  for (int g = 0; g < 8; ++g) {
    const ScaleAndMin s = q4_scale(b + 4, g);
    const float scale = d * s.scale, min = dmin * s.min;
    for (int i = 0; i < 32; ++i) {
      const int q = four_bits(b + 48, g, i) | (b[16 + i] >> g & 1) << 4;
      *y++ = scale * static_cast<float>(q) - min;
    }
  }
}

void block_q6_k(const uint8_t* b, float* y) {  // low[128], high[64], int8 scales[16], d: d sc (q - 32)
  const float d = half_at(b + 208);
  for (int g = 0; g < 16; ++g, y += 16) {
    const float scale = d * static_cast<float>(static_cast<int8_t>(b[192 + g]));
    const int half = g / 8, quarter = g / 2 % 4;  // of the block, of the half
    const uint8_t* low = b + 64 * half + 32 * (quarter % 2) + 16 * (g % 2);
    for (int i = 0; i < 16; ++i) {
      const int four = low[i] >> (4 * (quarter / 2)) & 15;
      y[i] = scale * static_cast<float>((four | two_bits(b + 128, g, i) << 4) - 32);
    }
  }
}

void block_iq4_xs(const uint8_t* b, float* y) {  // d, high scales u16, low scales[4], q[128]
  const float d = half_at(b);
  const auto high = load_unaligned<uint16_t>(b + 2);
  for (int g = 0; g < 8; ++g) {
    const int scale = (b[4 + g / 2] >> (4 * (g % 2)) & 15) | (high >> (2 * g) & 3) << 4;
    iq4_values(b + 8 + 16 * g, d * static_cast<float>(scale - 32), y + 32 * g);
  }
}

template <int values, int bytes, void (*decode_block)(const uint8_t* b, float* y)>
constexpr GgufTypeRow blocks(uint32_t id, const char* name) {
  return {id,
          name,
          DType::kUnknown,
          {name, values, bytes, TensorFormat::Scales::kWithin, decode_blocks<values, bytes, decode_block>}};
}

constexpr GgufTypeRow kRows[] = {
    {0, "F32", DType::kF32},
    {1, "F16", DType::kF16},
    {30, "BF16", DType::kBF16},
    blocks<32, 34, block_q8_0>(8, "Q8_0"),
    blocks<32, 18, block_q4_0>(2, "Q4_0"),
    blocks<32, 20, block_q4_1>(3, "Q4_1"),
    blocks<32, 22, block_q5_0>(6, "Q5_0"),
    blocks<32, 24, block_q5_1>(7, "Q5_1"),
    blocks<256, 84, block_q2_k>(10, "Q2_K"),
    blocks<256, 110, block_q3_k>(11, "Q3_K"),
    blocks<256, 144, block_q4_k>(12, "Q4_K"),
    blocks<256, 176, block_q5_k>(13, "Q5_K"),
    blocks<256, 210, block_q6_k>(14, "Q6_K"),
    blocks<32, 18, block_iq4_nl>(20, "IQ4_NL"),
    blocks<256, 136, block_iq4_xs>(23, "IQ4_XS"),
    blocks<32, 17, block_mxfp4>(39, "MXFP4"),
    // Names to refuse by.
    {9, "Q8_1"},
    {15, "Q8_K"},
    {16, "IQ2_XXS"},
    {17, "IQ2_XS"},
    {18, "IQ3_XXS"},
    {19, "IQ1_S"},
    {21, "IQ3_S"},
    {22, "IQ2_S"},
    {24, "I8"},
    {25, "I16"},
    {26, "I32"},
    {27, "I64"},
    {28, "F64"},
    {29, "IQ1_M"},
    {34, "TQ1_0"},
    {35, "TQ2_0"},
    {40, "NVFP4"},
};

}  // namespace

const GgufTypeRow* find_gguf_type(uint32_t id) {
  for (const GgufTypeRow& row : kRows)
    if (row.id == id) return &row;
  return nullptr;
}

std::string readable_gguf_types() {
  std::string names;
  for (const GgufTypeRow& row : kRows)
    if (row.is_readable()) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

}  // namespace ds::checkpoint
