// One float at a time: the reference every other level is held against.
#pragma once
#include <cmath>

#include "core/numbers.h"

namespace ds::kernels {
namespace {

struct Vec {
  float v;
  static constexpr int kLanes = 1;
  static constexpr int kGemmRows = 4, kGemmVecs = 8;  // tile of weight rows x vectors of tokens
  static constexpr float kE4M3Factor = 1;             // load_e4m3 returns the value divided by this

  static Vec zero() { return {0}; }
  static Vec set1(float x) { return {x}; }
  static Vec load(const float* p) { return {*p}; }
  static Vec load_f32(const void* p) { return {load_unaligned<float>(p)}; }
  static Vec load_bf16(const void* p) { return {bf16_to_f32(load_unaligned<uint16_t>(p))}; }
  static Vec load_f16(const void* p) { return {f16_to_f32(load_unaligned<uint16_t>(p))}; }
  static Vec load_e4m3(const void* p) { return {e4m3_to_f32(load_unaligned<uint8_t>(p))}; }
  void store(float* p) const { *p = v; }
  float sum() const { return v; }
  float max_lane() const { return v; }
};
inline Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
inline Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
inline Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
inline Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {a.v * b.v + c.v}; }
inline Vec max(Vec a, Vec b) { return {a.v > b.v ? a.v : b.v}; }
inline Vec exp(Vec x) { return {std::exp(x.v)}; }
inline void prefetch(const void*) {}

}  // namespace
}  // namespace ds::kernels
