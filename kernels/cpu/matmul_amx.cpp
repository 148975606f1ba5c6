#include "kernels/cpu/vec_avx512.h"
// The body needs Vec first.
#include "kernels/cpu/matmul_amx_body.h"

namespace ds::kernels {
namespace {

// The hardware's tiles. Configured for one call of the kernel, on the thread that runs it.
struct Tiles {
  Tiles() {
    alignas(64) unsigned char config[64] = {};
    config[0] = 1;  // palette 1: eight tiles
    for (int t = 0; t < 8; ++t) {
      config[16 + 2 * t] = 64;  // bytes a row
      config[48 + t] = 16;      // rows
    }
    _tile_loadconfig(config);
  }
  ~Tiles() { _tile_release(); }
  void zero_sums() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  void load_weights(const void* top, const void* bottom, int64_t stride) {
    _tile_loadd(4, top, stride);
    _tile_loadd(5, bottom, stride);
  }
  void load_activations(const void* left, const void* right, int64_t stride) {
    _tile_loadd(6, left, stride);
    _tile_loadd(7, right, stride);
  }
  void multiply() {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  void store_sums(float* out, int64_t stride) {
    _tile_stored(0, out, stride);
    _tile_stored(1, out + 16, stride);
    _tile_stored(2, out + 16 * 32, stride);
    _tile_stored(3, out + 16 * 32 + 16, stride);
  }
};

}  // namespace

extern const GemmKernels kGemm_amx = {"amx",     kPanelTokens,        kAmxUnitRows,   bf16_panel_floats,
                                      bf16_pack, bf16_scratch_floats, amx_gemm<Tiles>};

}  // namespace ds::kernels
