#include "kernels/matmul.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/low_rank.h"
#include "kernels/matmul_tasks.h"

namespace ds::kernels {

DS_KERNEL_LEVELS(MatmulKernels, kMatmul, kMatmulLevels);
DS_KERNEL_LEVELS(GemmKernels, kGemm, kGemmLevels);
extern const GemmKernels kGemm_amx_emulated;
#if DS_X86
extern const GemvE4M3Kernels kGemvE4M3_avx2, kGemvE4M3_avx512vbmi;
extern const GemmKernels kGemm_avx512bf16, kGemm_amx;
#endif

const MatmulKernels& matmul_kernels(Isa isa) { return pick(kMatmulLevels, isa); }

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
#endif
  (void)w;
  return pick(kGemmLevels, isa);
}

const GemmKernels& gemm_kernels_amx_emulated() { return kGemm_amx_emulated; }

namespace {

// Weight bytes of one unit of decode work: a long run of memory is read faster than several short ones, and a
// matrix should still fall into enough units to balance threads.
constexpr int64_t kGemvUnitBytes = 128 << 10, kMinGemvUnits = 16;

int64_t gemv_unit_rows(const MatmulTask& task) {
  constexpr int64_t kTile = 8;  // rows that the kernels take at a time
  const int64_t row_bytes = std::max<int64_t>(1, task.w.row_bytes());
  const int64_t unit_bytes = std::min(kGemvUnitBytes, task.w.rows * row_bytes / kMinGemvUnits);
  return kTile * (1 + unit_bytes / kTile / row_bytes);
}

// The task that unit `u` belongs to; unit_begin ascends.
const MatmulTask& task_of(std::span<MatmulTask> tasks, int64_t u) {
  const auto after = std::upper_bound(tasks.begin(), tasks.end(), u,
                                      [](int64_t v, const MatmulTask& t) { return v < t.unit_begin; });
  return *(after - 1);
}

bool same_x(const MatmulTask& a, const MatmulTask& b) {
  return a.x == b.x && a.ldx == b.ldx && a.T == b.T && a.w.cols == b.w.cols;
}

// Brings the inputs of E4M3 tasks into their kernel's order. Neighbours often share their input.
void prepare_inputs(const Op& op, std::span<MatmulTask> tasks) {
  const MatmulTask* last = nullptr;
  for (MatmulTask& task : tasks) {
    task.prefetch_bytes = cpu_features().prefetch_bytes;
    task.prepared = nullptr;
    const GemvE4M3Kernels* kernels = gemv_e4m3_kernels(op.isa(), task.w);
    if (!kernels || task.T == 0) continue;
    if (last && same_x(*last, task)) {
      task.prepared = last->prepared;
    } else {
      float* prepared = op.scratch(kernels->prepared_floats(task.T, task.w.cols));
      if (!op.dry()) kernels->prepare(task.x, task.ldx, task.T, task.w.cols, prepared);
      task.prepared = prepared;
    }
    last = &task;
  }
}

bool share_panels(const Op& op, const MatmulTask& a, const MatmulTask& b) {
  return same_x(a, b) && &gemm_kernels(op.isa(), a.w) == &gemm_kernels(op.isa(), b.w);
}

// Packs the input that the group shares, then runs every task of it.
void run_group(const Op& op, std::span<MatmulTask> group) {
  const MatmulTask& first = group[0];
  const GemmKernels& kernels = gemm_kernels(op.isa(), first.w);
  const bool split = op.context().policy.activations == Activations::kF32;
  const int64_t panel_floats = kernels.panel_floats(first.w.cols);
  const int64_t n_panels = (first.T + kernels.panel_tokens - 1) / kernels.panel_tokens;
  const int64_t per_thread = kernels.scratch_floats(first.T);
  float* packed = op.scratch(n_panels * panel_floats);
  float* thread_scratch = op.scratch(per_thread * op.context().n_threads());
  if (op.dry()) return;
  op.parallel_for(n_panels, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t p = begin; p < end; ++p)
      kernels.pack(first.x, first.ldx, first.T, first.w.cols, p, packed + p * panel_floats, split);
  });
  int64_t n_units = 0;
  for (MatmulTask& task : group) {
    task.unit_begin = n_units;
    n_units += (task.w.rows + kernels.unit_rows - 1) / kernels.unit_rows;
  }
  op.parallel_for(n_units, 1, [&](int64_t begin, int64_t end, int thread_idx) {
    for (int64_t u = begin; u < end; ++u) {
      const MatmulTask& task = task_of(group, u);
      const int64_t row = (u - task.unit_begin) * kernels.unit_rows;
      kernels.gemm(task, packed, row, std::min(row + kernels.unit_rows, task.w.rows),
                   thread_scratch + thread_idx * per_thread, split);
    }
  });
}

}  // namespace

void run_few(const Op& op, std::span<MatmulTask> tasks) {
  const Arena::Mark mark = op.context().arena.mark();
  prepare_inputs(op, tasks);
  int64_t n_units = 0;
  for (MatmulTask& task : tasks) {
    task.unit_begin = n_units;
    if (task.T > 0) n_units += (task.w.rows + gemv_unit_rows(task) - 1) / gemv_unit_rows(task);
  }
  if (!op.dry()) {
    const MatmulKernels& kernels = matmul_kernels(op.isa());
    op.parallel_for(n_units, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t u = begin; u < end; ++u) {
        const MatmulTask& task = task_of(tasks, u);
        const int64_t row = (u - task.unit_begin) * gemv_unit_rows(task);
        const auto gemv = task.prepared ? gemv_e4m3_kernels(op.isa(), task.w)->gemv : kernels.gemv;
        gemv(task, row, std::min(row + gemv_unit_rows(task), task.w.rows));
      }
    });
  }
  op.context().arena.reset_to(mark);
}

void run_many(const Op& op, std::span<MatmulTask> tasks) {
  const Arena::Mark mark = op.context().arena.mark();
  for (size_t i = 0; i < tasks.size();) {
    size_t end = i + 1;
    while (end < tasks.size() && share_panels(op, tasks[i], tasks[end])) ++end;
    run_group(op, tasks.subspan(i, end - i));
    op.context().arena.reset_to(mark);
    i = end;
  }
}

namespace {

MatmulTask make_task(const WeightView& w, const TensorView& x, const TensorView& y) {
  const bool known = w.dtype == DType::kF32 || w.dtype == DType::kF16 || w.dtype == DType::kBF16 ||
                     w.dtype == DType::kF8E4M3 || w.blocks;
  DS_CHECK(known && is_f32(x, x.rows, w.cols) && is_f32(y, x.rows, w.rows));
  DS_CHECK(!w.scales || (w.block_rows > 0 && w.block_cols > 0));
  DS_CHECK(!w.blocks || w.cols % w.blocks->block_cols == 0);
  return {w, f32(x), x.ld, x.rows, f32(y), y.ld};
}
MatmulTask make_task(const MatmulJob& job, int64_t begin, int64_t n) {
  return make_task(job.w, job.x.rows_from(begin, n), job.y.rows_from(begin, n));
}

// Calls visit(first token, number, kind) for every run that is not skipped; neighbours of one kind are one.
// Without runs all T tokens are one.
template <class Visit>
void for_each_run(std::span<const TokenRun> runs, int64_t T, Visit&& visit) {
  const TokenRun all{T, few_or_many(T)};
  if (runs.empty()) runs = {&all, 1};
  int64_t begin = 0;
  for (size_t i = 0; i < runs.size();) {
    const TokenRun::Kind kind = runs[i].kind;
    int64_t n = 0;
    for (; i < runs.size() && runs[i].kind == kind; ++i) n += runs[i].n_tokens;
    if (kind != TokenRun::Kind::kSkip && n > 0) visit(begin, n, kind);
    begin += n;
  }
  DS_CHECK(begin == T);
}

// Tasks in two lists, each in the order in which they are added.
class TaskLists {
 public:
  TaskLists(const Op& op, int64_t capacity)
      : op_(op), few_(op.list<MatmulTask>(capacity)), many_(op.list<MatmulTask>(capacity)) {}
  void add(const MatmulTask& task, TokenRun::Kind kind) {
    kind == TokenRun::Kind::kFew ? few_[n_few_++] = task : many_[n_many_++] = task;
  }
  void add(std::span<const MatmulJob> jobs, std::span<const TokenRun> runs) {
    if (jobs.empty()) return;
    for (const MatmulJob& job : jobs) DS_CHECK(job.x.rows == jobs[0].x.rows);
    for_each_run(runs, jobs[0].x.rows, [&](int64_t begin, int64_t n, TokenRun::Kind kind) {
      for (const MatmulJob& job : jobs) add(make_task(job, begin, n), kind);
    });
  }
  void run() const {
    run_few(op_, few_.first(n_few_));
    run_many(op_, many_.first(n_many_));
  }

 private:
  const Op& op_;
  std::span<MatmulTask> few_, many_;
  size_t n_few_ = 0, n_many_ = 0;
};

void add_low_ranks(const Op& op, std::span<const MatmulJob> jobs) {
  for (const MatmulJob& job : jobs)
    if (job.w.low_rank) add_low_rank(op, job.w, job.x, job.y);
}

int64_t n_runs(std::span<const TokenRun> runs) {
  return std::max<int64_t>(1, static_cast<int64_t>(runs.size()));
}

// The matrix of head h.
WeightView head_weight(const HeadsMatmulJob& job, int64_t h) {
  WeightView w = job.w.rows_from(h * job.head_rows + job.first_row, job.n_rows);
  w.bias = nullptr;
  return w;
}

}  // namespace

void matmul(const Context& context, std::span<const MatmulJob> jobs, std::span<const TokenRun> runs) {
  const Op op(context);
  if (context.tape) record_matmul(context, jobs);
  TaskLists tasks(op, static_cast<int64_t>(jobs.size()) * n_runs(runs));
  tasks.add(jobs, runs);
  tasks.run();
  add_low_ranks(op, jobs);
}

void matmul_heads(const Context& context, const HeadsMatmulJob& job, std::span<const TokenRun> runs) {
  const Op op(context, job.x, job.y);
  DS_CHECK(!context.tape && !job.w.low_rank);
  TaskLists tasks(op, job.H * n_runs(runs));
  for_each_run(runs, job.x.rows, [&](int64_t begin, int64_t n, TokenRun::Kind kind) {
    for (int64_t h = 0; h < job.H; ++h) {
      tasks.add(
          make_task(head_weight(job, h), job.x.rows_from(begin, n).cols_from(h * job.x_head, job.w.cols),
                    job.y.rows_from(begin, n).cols_from(h * job.y_head, job.n_rows)),
          kind);
    }
  });
  tasks.run();
}

void matmul_heads_transposed(const Context& context, const HeadsMatmulJob& job,
                             std::span<const TokenRun> runs) {
  const Op op(context, job.x, job.y);
  DS_CHECK(!context.tape && !job.w.low_rank);
  if (op.dry()) return;
  const MatmulKernels& kernels = matmul_kernels(op.isa());
  for_each_run(runs, job.x.rows, [&](int64_t first, int64_t n, TokenRun::Kind) {
    op.parallel_for(job.H * n, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t u = begin; u < end; ++u) {
        const int64_t h = u / n, t = u % n;
        const MatmulTask task{head_weight(job, h),
                              f32(job.x, first) + h * job.x_head,
                              job.x.ld,
                              n,
                              f32(job.y, first) + h * job.y_head,
                              job.y.ld};
        kernels.gemv_transposed(task, t, t + 1);
      }
    });
  });
}

void matmul_routed(const Context& context, std::span<const RoutedMatmulJob> routed, TensorView starts,
                   int64_t T, std::span<const MatmulJob> dense, std::span<const TokenRun> runs) {
  const Op op(context, starts);
  DS_CHECK(!routed.empty());
  const auto E = static_cast<int64_t>(routed[0].w.size()), n_slots = routed[0].x.rows;
  const auto n_routed = static_cast<int64_t>(routed.size());
  DS_CHECK(is_i32(starts, 1, 2 * E + 1));
  if (context.tape) record_matmul_routed(context, routed, starts, dense);
  if (op.dry()) {
    // Who goes where is not known: scratch for every row as a few-token one, and for any expert with all
    // tokens.
    TaskLists few(op, n_routed + static_cast<int64_t>(dense.size()) * n_runs(runs));
    for (const RoutedMatmulJob& job : routed)
      few.add(make_task(job.w[0], job.x, job.y), TokenRun::Kind::kFew);
    few.add(dense, runs);
    few.run();
    for (int64_t e = 0; e < E; ++e) {
      const auto same_kernels = [&](const RoutedMatmulJob& job) {
        return e > 0 && &gemm_kernels(op.isa(), job.w[e]) == &gemm_kernels(op.isa(), job.w[e - 1]);
      };
      if (std::all_of(routed.begin(), routed.end(), same_kernels)) continue;
      TaskLists many(op, n_routed);
      for (const RoutedMatmulJob& job : routed)
        many.add(make_task(job.w[e], job.x.rows_from(0, T), job.y.rows_from(0, T)), TokenRun::Kind::kMany);
      many.run();
    }
    for (const RoutedMatmulJob& job : routed)
      if (job.w[0].low_rank) add_low_rank(op, job.w[0], job.x, job.y);
    add_low_ranks(op, dense);
    return;
  }
  TaskLists tasks(op,
                  n_routed * std::min(2 * E, n_slots) + static_cast<int64_t>(dense.size()) * n_runs(runs));
  const int32_t* start = i32(starts);
  for (int64_t part = 0; part < 2 * E; ++part) {
    const int64_t n = start[part + 1] - start[part];
    if (n == 0) continue;
    for (const RoutedMatmulJob& job : routed)
      tasks.add(make_task(job.w[part / 2], job.x.rows_from(start[part], n), job.y.rows_from(start[part], n)),
                part % 2 ? TokenRun::Kind::kMany : TokenRun::Kind::kFew);
  }
  tasks.add(dense, runs);
  tasks.run();
  for (const RoutedMatmulJob& job : routed) {
    for (int64_t e = 0; e < E; ++e) {
      const int64_t begin = start[2 * e], n = start[2 * e + 2] - begin;
      if (job.w[e].low_rank && n > 0)
        add_low_rank(op, job.w[e], job.x.rows_from(begin, n), job.y.rows_from(begin, n));
    }
  }
  add_low_ranks(op, dense);
}

}  // namespace ds::kernels
