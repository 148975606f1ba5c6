#include <immintrin.h>

#include "kernels/probe.h"

namespace ds::kernels {
namespace {

float multiply_add(int64_t n_rounds, double* flops) {
  alignas(64) unsigned char config[64] = {};
  config[0] = 1;
  for (int t = 0; t < 8; ++t) {
    config[16 + 2 * t] = 64;
    config[48 + t] = 16;
  }
  _tile_loadconfig(config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  const int64_t n = n_rounds / 16;  // a tile product is worth many vector products
  for (int64_t i = 0; i < n; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  *flops = static_cast<double>(n) * 4 * 16 * 16 * 32 * 2;
  return 0;
}

}  // namespace

extern const ProbeKernels kProbe_amx = {"amx", nullptr, multiply_add};

}  // namespace ds::kernels
