#include <cmath>

#include "core/numbers.h"

namespace ds::kernels {
namespace {

struct Bits16 {
  uint32_t v[16];
  static Bits16 zero() { return {}; }
  uint32_t max_lane() const {
    uint32_t m = 0;
    for (const uint32_t x : v) m = x > m ? x : m;
    return m;
  }
};
inline Bits16 max(Bits16 a, const Bits16& b) {
  for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return a;
}

// numbers.h, sixteen times: the reference the other levels are held against.
struct Lanes {
  float v[16];
  static Lanes zero() { return {}; }
  static Lanes set1(float x) {
    Lanes l;
    for (float& e : l.v) e = x;
    return l;
  }
  static Lanes load_f32(const void* p) {
    Lanes l;
    std::memcpy(l.v, p, sizeof l.v);
    return l;
  }
  static Lanes load_bf16(const char* p) {
    Lanes l;
    for (int i = 0; i < 16; ++i) l.v[i] = bf16_to_f32(load_unaligned<uint16_t>(p + 2 * i));
    return l;
  }
  static Lanes load_f16(const char* p) {
    Lanes l;
    for (int i = 0; i < 16; ++i) l.v[i] = f16_to_f32(load_unaligned<uint16_t>(p + 2 * i));
    return l;
  }
  static Lanes load_e4m3(const uint8_t* p) {
    Lanes l;
    for (int i = 0; i < 16; ++i) l.v[i] = e4m3_to_f32(p[i]);
    return l;
  }
  void store(float* p) const { std::memcpy(p, v, sizeof v); }
  void store_bf16(uint16_t* p) const {
    for (int i = 0; i < 16; ++i) p[i] = f32_to_bf16(v[i]);
  }
  // Stores the codes and returns what they decode to.
  Lanes store_e4m3(uint8_t* p) const {
    Lanes l;
    for (int i = 0; i < 16; ++i) l.v[i] = e4m3_to_f32(p[i] = f32_to_e4m3(v[i]));
    return l;
  }
  Bits16 magnitude_bits() const {
    Bits16 b;
    for (int i = 0; i < 16; ++i) b.v[i] = std::bit_cast<uint32_t>(v[i]) & 0x7FFFFFFF;
    return b;
  }
  Lanes magnitude() const {
    Lanes l;
    for (int i = 0; i < 16; ++i) l.v[i] = std::fabs(v[i]);
    return l;
  }
};
#define DS_LANES_OP(name, expr)                   \
  inline Lanes name(Lanes a, const Lanes& b) {    \
    for (int i = 0; i < 16; ++i) a.v[i] = (expr); \
    return a;                                     \
  }
DS_LANES_OP(operator+, a.v[i] + b.v[i])
DS_LANES_OP(operator-, a.v[i] - b.v[i])
DS_LANES_OP(operator*, a.v[i] * b.v[i])
DS_LANES_OP(operator/, a.v[i] / b.v[i])
DS_LANES_OP(max, a.v[i] > b.v[i] ? a.v[i] : b.v[i])
#undef DS_LANES_OP

}  // namespace
}  // namespace ds::kernels

// The body needs Lanes first.
#include "kernels/cpu/block_quant_body.h"

namespace ds::kernels {

extern const BlockQuantKernel kBlockQuant_scalar = {"scalar", amax, encode, decode_band<BF16Out>,
                                                    decode_band<F32Out>};

}  // namespace ds::kernels
