// y = x W^T + b, the product every projection, expert and head is made of.
//
//   y[t, o] = sum_i x[t, i] * W[o, i] + b[o]      x: [T, in] f32, W: [out, in] as stored, y: [T, out] f32
//
// Sums are float32. Few tokens (decode): each weight row is read once, decoded in registers, activations stay
// float32. Many tokens (prefill): activations are packed, weights are the tile operand in their file layout;
// where the CPU multiplies bfloat16, activations go in as two bfloat16 terms, or as one if exec.activations
// is kBF16. No result depends on the number of threads. x and y must not overlap. T = 0 or out = 0 is no
// work, in = 0 gives b.
#pragma once
#include <cstdint>
#include <span>

#include "kernels/exec.h"
#include "kernels/weight_view.h"

namespace ds::kernels {

struct MatmulJob {
  WeightView w;              // [out, in]
  const float* x = nullptr;  // [T, in], rows ldx floats apart
  int64_t ldx = 0;
  int64_t T = 0;
  float* y = nullptr;  // [T, out], rows ldy floats apart
  int64_t ldy = 0;

  // The op's own bookkeeping.
  int64_t unit_begin = 0;
  int64_t prefetch_bytes =
      0;  // how far ahead of the read a row's next bytes are asked for; 0: the hardware knows
  const float* prepared = nullptr;  // x as MatmulKernels::prepare left it
};

// All jobs in as few parallel loops as possible: q, k and v, or gate and up of every chosen expert, are one
// call. Neighbouring jobs with the same x share its packed form. scratch: at least matmul_scratch_floats()
// for the largest T and in among the jobs.
void matmul(const Exec& exec, std::span<MatmulJob> jobs, std::span<float> scratch);
int64_t matmul_scratch_floats(int n_threads, int64_t max_tokens, int64_t max_in);

// y[t, c] = sum_r x[t, r] * W[r, c]: the product with the transposed matrix, for MLA's absorbed queries.
// x: [T, rows], y: [T, cols]. One job per head; W's bias is ignored.
void matmul_transposed(const Exec& exec, std::span<const MatmulJob> jobs);

// out[c] = W[row, c], decoded: embedding look-ups.
void dequantize_row(const Exec& exec, const WeightView& w, int64_t row, float* out);

// One level's kernels. Tests call them one by one and see by name which ran.
struct MatmulKernels {
  const char* name;
  void (*gemv)(const MatmulJob& job, int64_t row_begin, int64_t row_end);
  void (*gemv_transposed)(const MatmulJob& job, int64_t t_begin, int64_t t_end);
  void (*dequantize_row)(const WeightView& w, int64_t row, float* out);
};
// Decode of E4M3 weights by kernels that want activations prepared: in the order in which they deliver
// weights, and as they multiply them (scaled for AVX2, two bfloat16 terms each for AVX-512 with VBMI and
// BF16).
struct GemvE4M3Kernels {
  const char* name;
  int64_t (*prepared_floats)(int64_t T, int64_t in);
  void (*prepare)(const float* x, int64_t ldx, int64_t T, int64_t in, float* prepared);
  void (*gemv)(const MatmulJob& job, int64_t row_begin, int64_t row_end);  // job.prepared is set
};
// nullptr where the level has none or the weights do not suit it.
const GemvE4M3Kernels* gemv_e4m3_kernels(Isa isa, const WeightView& w);
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
  void (*gemm)(const MatmulJob& job, const float* packed, int64_t row_begin, int64_t row_end, float* scratch,
               bool split);
};
const MatmulKernels& matmul_kernels(Isa isa);
// nullptr-free: every level multiplies every weight type somehow.
const GemmKernels& gemm_kernels(Isa isa, const WeightView& w);
// The AMX kernel over tiles in plain C++: the same source, runnable everywhere.
const GemmKernels& gemm_kernels_amx_emulated();

}  // namespace ds::kernels
