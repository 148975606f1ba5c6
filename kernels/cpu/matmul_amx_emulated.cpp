// The AMX kernel's own source over tiles in plain C++, so that machines without AMX test it.
#include "kernels/cpu/vec_scalar.h"
// The body needs Vec first.
#include "kernels/cpu/matmul_amx_body.h"

namespace ds::kernels {
namespace {

struct Tiles {
  float sums[4][16][16];
  uint16_t weights[2][16][32];      // [row][k]
  uint16_t activations[2][16][32];  // [k pair][token, k & 1]

  static void load(uint16_t (&tile)[16][32], const void* from, int64_t stride) {
    for (int r = 0; r < 16; ++r) std::memcpy(tile[r], static_cast<const char*>(from) + r * stride, 64);
  }
  void zero_sums() { std::memset(sums, 0, sizeof sums); }
  void load_weights(const void* top, const void* bottom, int64_t stride) {
    load(weights[0], top, stride);
    load(weights[1], bottom, stride);
  }
  void load_activations(const void* left, const void* right, int64_t stride) {
    load(activations[0], left, stride);
    load(activations[1], right, stride);
  }
  void multiply() {
    for (int s = 0; s < 4; ++s)
      for (int m = 0; m < 16; ++m)
        for (int n = 0; n < 16; ++n)
          for (int k = 0; k < 32; ++k)
            sums[s][m][n] += widen(weights[s / 2][m][k]) * widen(activations[s % 2][k / 2][2 * n + k % 2]);
  }
  void store_sums(float* out, int64_t stride) {
    for (int s = 0; s < 4; ++s)
      for (int m = 0; m < 16; ++m)
        std::memcpy(reinterpret_cast<char*>(out) + (s / 2 * 16 + m) * stride + s % 2 * 64, sums[s][m], 64);
  }
};

}  // namespace

extern const GemmKernels kGemm_amx_emulated = {"amx_emulated",    kPanelTokens, kAmxUnitRows,
                                               bf16_panel_floats, bf16_pack,    bf16_scratch_floats,
                                               amx_gemm<Tiles>};

}  // namespace ds::kernels
