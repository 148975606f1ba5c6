#include "kernels/matmul.h"

#include <algorithm>

#include "core/error.h"

namespace ds::kernels {

extern const MatmulKernels kMatmul_scalar;
extern const GemmKernels kGemm_scalar, kGemm_amx_emulated;
#if DS_X86
extern const MatmulKernels kMatmul_avx2, kMatmul_avx512;
extern const GemvE4M3Kernels kGemvE4M3_avx2, kGemvE4M3_avx512vbmi;
extern const GemmKernels kGemm_avx2, kGemm_avx512, kGemm_avx512bf16, kGemm_amx;
#endif

const MatmulKernels& matmul_kernels(Isa isa) {
#if DS_X86
  if (isa >= Isa::kAvx512) return kMatmul_avx512;
  if (isa == Isa::kAvx2) return kMatmul_avx2;
#endif
  (void)isa;
  return kMatmul_scalar;
}

const GemvE4M3Kernels* gemv_e4m3_kernels(Isa isa, const WeightView& w) {
#if DS_X86
  // A scale block must hold whole groups of weights, as many as one vector of bytes.
  const auto fits = [&](int64_t group) {
    return w.dtype == DType::kF8E4M3 && (!w.scales || w.block_cols % group == 0 || w.block_cols >= w.cols);
  };
  if (isa >= Isa::kAvx512 && cpu_features().avx512_vbmi && cpu_features().avx512_bf16)
    return fits(64) ? &kGemvE4M3_avx512vbmi : nullptr;
  if (isa == Isa::kAvx2 && fits(32)) return &kGemvE4M3_avx2;
#endif
  (void)isa, (void)w;
  return nullptr;
}

const GemmKernels& gemm_kernels(Isa isa, const WeightView& w) {
#if DS_X86
  // Weights that are exact in bfloat16 can be multiplied as such; scale blocks must hold whole pairs or
  // tiles.
  const bool exact_in_bf16 = w.dtype == DType::kBF16 || w.dtype == DType::kF8E4M3;
  if (isa == Isa::kAmx && exact_in_bf16 && (!w.scales || w.block_cols % 32 == 0)) return kGemm_amx;
  if (isa >= Isa::kAvx512 && exact_in_bf16 && (!w.scales || w.block_cols % 2 == 0) &&
      cpu_features().avx512_bf16)
    return kGemm_avx512bf16;
  if (isa >= Isa::kAvx512) return kGemm_avx512;
  if (isa == Isa::kAvx2) return kGemm_avx2;
#endif
  (void)isa, (void)w;
  return kGemm_scalar;
}

const GemmKernels& gemm_kernels_amx_emulated() { return kGemm_amx_emulated; }

namespace {

// Up to this many tokens, decoding each weight once per four tokens beats packing.
constexpr int64_t kMaxGemvTokens = 6;
// Weight bytes of one unit of decode work: a long run of memory is read faster than several short ones, and a
// matrix should still fall into enough units to balance threads.
constexpr int64_t kGemvUnitBytes = 128 << 10, kMinGemvUnits = 16;

int64_t gemv_unit_rows(const MatmulJob& job) {
  constexpr int64_t kTile = 8;  // rows that the kernels take at a time
  const int64_t row_bytes = std::max<int64_t>(1, job.w.row_bytes());
  const int64_t unit_bytes = std::min(kGemvUnitBytes, job.w.rows * row_bytes / kMinGemvUnits);
  return kTile * (1 + unit_bytes / kTile / row_bytes);
}

void check(const MatmulJob& job) {
  const WeightView& w = job.w;
  const bool known = w.dtype == DType::kF32 || w.dtype == DType::kF16 || w.dtype == DType::kBF16 ||
                     w.dtype == DType::kF8E4M3;
  DS_CHECK(known && w.rows >= 0 && w.cols >= 0 && job.T >= 0);
  DS_CHECK(job.T <= 1 || (job.ldx >= w.cols && job.ldy >= w.rows));
  DS_CHECK(!w.scales || (w.block_rows > 0 && w.block_cols > 0));
}

// The job that unit `u` belongs to; unit_begin ascends.
MatmulJob& job_of(std::span<MatmulJob> jobs, int64_t u) {
  const auto after = std::upper_bound(jobs.begin(), jobs.end(), u,
                                      [](int64_t v, const MatmulJob& j) { return v < j.unit_begin; });
  return *(after - 1);
}

// Brings the inputs of E4M3 jobs into their kernel's order, as far as scratch reaches. Returns how many jobs,
// from the first, can run now.
size_t prepare_inputs(const Exec& exec, std::span<MatmulJob> jobs, std::span<float> scratch) {
  const MatmulJob* last = nullptr;  // neighbours often share their input
  int64_t used = 0;
  for (size_t i = 0; i < jobs.size(); ++i) {
    MatmulJob& job = jobs[i];
    job.prefetch_bytes = cpu_features().prefetch_bytes;
    job.prepared = nullptr;
    const GemvE4M3Kernels* kernels = gemv_e4m3_kernels(exec.isa, job.w);
    if (!kernels || job.T == 0) continue;
    if (last && last->x == job.x && last->ldx == job.ldx && last->T == job.T && last->w.cols == job.w.cols) {
      job.prepared = last->prepared;
    } else {
      const int64_t n = kernels->prepared_floats(job.T, job.w.cols);
      if (used + n > static_cast<int64_t>(scratch.size())) {
        DS_CHECK(i > 0);
        return i;
      }
      kernels->prepare(job.x, job.ldx, job.T, job.w.cols, scratch.data() + used);
      job.prepared = scratch.data() + used;
      used += n;
    }
    last = &job;
  }
  return jobs.size();
}

void run_gemv(const Exec& exec, std::span<MatmulJob> all_jobs, std::span<float> scratch) {
  const MatmulKernels& kernels = matmul_kernels(exec.isa);
  while (!all_jobs.empty()) {
    const std::span<MatmulJob> jobs = all_jobs.first(prepare_inputs(exec, all_jobs, scratch));
    int64_t n_units = 0;
    for (MatmulJob& job : jobs) {
      job.unit_begin = n_units;
      if (job.T > 0) n_units += (job.w.rows + gemv_unit_rows(job) - 1) / gemv_unit_rows(job);
    }
    exec.pool.parallel_for(n_units, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t u = begin; u < end; ++u) {
        const MatmulJob& job = job_of(jobs, u);
        const int64_t row = (u - job.unit_begin) * gemv_unit_rows(job);
        const auto gemv = job.prepared ? gemv_e4m3_kernels(exec.isa, job.w)->gemv : kernels.gemv;
        gemv(job, row, std::min(row + gemv_unit_rows(job), job.w.rows));
      }
    });
    all_jobs = all_jobs.subspan(jobs.size());
  }
}

int64_t packed_floats(const GemmKernels& kernels, const MatmulJob& job) {
  const int64_t n_panels = (job.T + kernels.panel_tokens - 1) / kernels.panel_tokens;
  return n_panels * kernels.panel_floats(job.w.cols);
}

bool same_input(const Exec& exec, const MatmulJob& a, const MatmulJob& b) {
  return a.x == b.x && a.ldx == b.ldx && a.T == b.T && a.w.cols == b.w.cols &&
         &gemm_kernels(exec.isa, a.w) == &gemm_kernels(exec.isa, b.w);
}

// Packs `first`'s input, then runs every job of the group against it.
void run_gemm_group(const Exec& exec, std::span<MatmulJob> group, std::span<float> scratch) {
  const MatmulJob& first = group[0];
  const GemmKernels& kernels = gemm_kernels(exec.isa, first.w);
  const bool split = exec.activations == Activations::kF32;
  const int64_t panel_floats = kernels.panel_floats(first.w.cols);
  const int64_t n_panels = (first.T + kernels.panel_tokens - 1) / kernels.panel_tokens;
  float* packed = scratch.data();
  float* thread_scratch = packed + packed_floats(kernels, first);
  const int64_t per_thread = kernels.scratch_floats(first.T);
  DS_CHECK(packed_floats(kernels, first) + per_thread * exec.pool.n_threads() <=
           static_cast<int64_t>(scratch.size()));
  exec.pool.parallel_for(n_panels, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t p = begin; p < end; ++p)
      kernels.pack(first.x, first.ldx, first.T, first.w.cols, p, packed + p * panel_floats, split);
  });
  int64_t n_units = 0;
  for (MatmulJob& job : group) {
    job.unit_begin = n_units;
    n_units += (job.w.rows + kernels.unit_rows - 1) / kernels.unit_rows;
  }
  exec.pool.parallel_for(n_units, 1, [&](int64_t begin, int64_t end, int thread_idx) {
    for (int64_t u = begin; u < end; ++u) {
      const MatmulJob& job = job_of(group, u);
      const int64_t row = (u - job.unit_begin) * kernels.unit_rows;
      kernels.gemm(job, packed, row, std::min(row + kernels.unit_rows, job.w.rows),
                   thread_scratch + thread_idx * per_thread, split);
    }
  });
}

}  // namespace

void matmul(const Exec& exec, std::span<MatmulJob> jobs, std::span<float> scratch) {
  for (const MatmulJob& job : jobs) check(job);
  for (size_t i = 0; i < jobs.size();) {
    size_t end = i + 1;
    if (jobs[i].T <= kMaxGemvTokens) {
      while (end < jobs.size() && jobs[end].T <= kMaxGemvTokens) ++end;
      run_gemv(exec, jobs.subspan(i, end - i), scratch);
    } else {
      while (end < jobs.size() && same_input(exec, jobs[i], jobs[end])) ++end;
      run_gemm_group(exec, jobs.subspan(i, end - i), scratch);
    }
    i = end;
  }
}

int64_t matmul_scratch_floats(int n_threads, int64_t max_tokens, int64_t max_in) {
  // Decode: some inputs side by side; more are prepared in several rounds.
  constexpr int64_t kPreparedInputs = 8;
  int64_t most = kPreparedInputs * std::min(max_tokens, kMaxGemvTokens) * ((max_in + 63) / 64 * 64);
  for (const Isa isa : available_isas()) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      WeightView w;
      w.dtype = dtype;
      const GemmKernels& kernels = gemm_kernels(isa, w);
      const int64_t n_panels = (max_tokens + kernels.panel_tokens - 1) / kernels.panel_tokens;
      most = std::max(
          most, n_panels * kernels.panel_floats(max_in) + kernels.scratch_floats(max_tokens) * n_threads);
    }
  }
  return most;
}

void matmul_transposed(const Exec& exec, std::span<const MatmulJob> jobs) {
  const MatmulKernels& kernels = matmul_kernels(exec.isa);
  if (jobs.empty()) return;
  const int64_t T = jobs[0].T;
  for (const MatmulJob& job : jobs) DS_CHECK(job.T == T);
  exec.pool.parallel_for(static_cast<int64_t>(jobs.size()) * T, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t u = begin; u < end; ++u) kernels.gemv_transposed(jobs[u / T], u % T, u % T + 1);
  });
}

void dequantize_row(const Exec& exec, const WeightView& w, int64_t row, float* out) {
  DS_CHECK(row >= 0 && row < w.rows);
  matmul_kernels(exec.isa).dequantize_row(w, row, out);
}

}  // namespace ds::kernels
