// The kernels behind matmul.h, by level. Private to kernels/ and its tests, which call them one by one and
// see by name which ran.
#pragma once
#include <cstdint>

#include "core/cpu.h"
#include "kernels/weight_view.h"

namespace ds::kernels {

// T tokens against one matrix.
struct MatmulTask {
  WeightView w;              // [out, in]
  const float* x = nullptr;  // [T, in], rows ldx floats apart
  int64_t ldx = 0;
  int64_t T = 0;
  float* y = nullptr;  // [T, out], rows ldy floats apart
  int64_t ldy = 0;

  int64_t unit_begin = 0;  // first of its units in the parallel loop it is part of
  // How far ahead of the read a row's next bytes are asked for; 0: the hardware knows.
  int64_t prefetch_bytes = 0;
  const float* prepared = nullptr;  // x as GemvE4M3Kernels::prepare left it
};

struct MatmulKernels {
  const char* name;
  void (*gemv)(const MatmulTask& task, int64_t row_begin, int64_t row_end);
  void (*gemv_transposed)(const MatmulTask& task, int64_t t_begin, int64_t t_end);
  void (*dequantize_row)(const WeightView& w, int64_t row, float* out);
};
// Decode of E4M3 weights by kernels that want activations prepared: in the order in which they deliver
// weights, and as they multiply them (scaled for AVX2, two bfloat16 terms each for AVX-512 with VBMI and
// BF16).
struct GemvE4M3Kernels {
  const char* name;
  int64_t (*prepared_floats)(int64_t T, int64_t in);
  void (*prepare)(const float* x, int64_t ldx, int64_t T, int64_t in, float* prepared);
  void (*gemv)(const MatmulTask& task, int64_t row_begin, int64_t row_end);  // task.prepared is set
};
struct GemmKernels {
  const char* name;
  int64_t panel_tokens;  // tokens are packed in panels of this many
  int64_t unit_rows;     // weight rows of one unit of work
  // Floats of one packed panel for `in` inputs (padded as the kernel needs).
  int64_t (*panel_floats)(int64_t in);
  // Packs one panel, tokens [panel * panel_tokens, ...) of x; missing tokens and inputs become zero.
  void (*pack)(const float* x, int64_t ldx, int64_t T, int64_t in, int64_t panel, float* packed, bool split);
  // Scratch of one thread.
  int64_t (*scratch_floats)(int64_t T);
  void (*gemm)(const MatmulTask& task, const float* packed, int64_t row_begin, int64_t row_end,
               float* scratch, bool split);
};
const MatmulKernels& matmul_kernels(Isa isa);
// nullptr where the level has none or the weights do not suit it.
const GemvE4M3Kernels* gemv_e4m3_kernels(Isa isa, const WeightView& w);
// nullptr-free: every level multiplies every weight type somehow.
const GemmKernels& gemm_kernels(Isa isa, const WeightView& w);
// The AMX kernel over tiles in plain C++: the same source, runnable everywhere.
const GemmKernels& gemm_kernels_amx_emulated();

}  // namespace ds::kernels
