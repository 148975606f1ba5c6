#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/low_rank.h"
#include "kernels/matmul.h"
#include "kernels/matmul_tasks.h"
#include "kernels/products.h"
#include "kernels/tape.h"

namespace ds::kernels {
namespace {

// c += a b, a read by columns of dy: [M = columns of dy, N = columns of x], K = tokens.
Product over_tokens(const float* dy, int64_t ld_dy, int64_t M, const float* x, int64_t ldx, int64_t N,
                    int64_t T, float* c) {
  Product p;
  p.M = M, p.N = N, p.K = T;
  p.a = dy, p.a_row = 1, p.a_col = ld_dy;
  p.b = x, p.b_row = ldx;
  p.c = c, p.ldc = N;
  return p;
}

Product into_dx(const MatmulBackwardJob& job) {
  Product p;
  p.M = job.dy.rows, p.N = job.w.cols, p.K = job.w.rows;
  p.a = f32(job.dy), p.a_row = job.dy.ld;
  if (job.w.dtype == DType::kF32 && !job.w.scales) {
    p.b = static_cast<const float*>(job.w.data), p.b_row = job.w.cols;
  } else {
    p.w = job.w;
  }
  p.c = f32(job.dx), p.ldc = job.dx.ld;
  return p;
}

void add_columns(const Op& op, TensorView dy, float* sums) {
  constexpr int64_t kColumns = 64;
  op.parallel_for(dy.cols, kColumns, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = 0; t < dy.rows; ++t)
      for (int64_t c = begin; c < end; ++c) sums[c] += f32(dy, t)[c];
  });
}

void low_rank_backward(const Op& op, const MatmulBackwardJob& job) {
  const LowRank& low = *job.w.low_rank;
  const int64_t T = job.dy.rows, r = low.r, in = job.w.cols, out = job.w.rows;
  const Arena::Mark mark = op.context().arena.mark();
  float* u = op.scratch(T * r);   // scale * A x
  float* du = op.scratch(T * r);  // scale * B^T dy
  if (!op.dry()) std::memset(du, 0, T * r * sizeof(float));
  Product p;
  p.M = T, p.N = r, p.K = out;
  p.a = f32(job.dy), p.a_row = job.dy.ld;
  p.b = low_rank_b(job.w), p.b_row = r;
  p.c = du, p.ldc = r;
  run_products(op, {&p, 1});
  if (!op.dry())
    for (int64_t i = 0; i < T * r; ++i) du[i] *= low.scale;
  if (job.da) low_rank_inner(op, job.w, job.x, u);
  Product after[3];
  size_t n = 0;
  if (job.db) after[n++] = over_tokens(f32(job.dy), job.dy.ld, out, u, r, r, T, job.db + job.w.first_row * r);
  if (job.da) after[n++] = over_tokens(du, r, r, f32(job.x), job.x.ld, in, T, job.da);
  if (job.dx) {
    Product q;
    q.M = T, q.N = in, q.K = r;
    q.a = du, q.a_row = r;
    q.b = low.a, q.b_row = in;
    q.c = f32(job.dx), q.ldc = job.dx.ld;
    after[n++] = q;
  }
  run_products(op, {after, n});
  op.context().arena.reset_to(mark);
}

bool same_tensor(const TensorView& a, const TensorView& b) {
  return a.data == b.data && a.rows == b.rows && a.cols == b.cols && a.ld == b.ld;
}

// Jobs with what of them is trained, their inputs kept once each.
class Recorder {
 public:
  explicit Recorder(const Context& context) : context_(context), tape_(*context.tape) {}
  void add(const WeightView& w, TensorView x, TensorView y, int64_t first_row, int64_t n_rows) {
    MatmulBackwardJob job;
    job.w = w;
    job.dw = tape_.trained(w.data);
    job.dbias = tape_.trained(w.bias);
    if (w.low_rank) job.da = tape_.trained(w.low_rank->a), job.db = tape_.trained(w.low_rank->b);
    if (job.dw || job.da) {
      if (!kept_ || !same_tensor(x, x_)) kept_ = tape_.keep(context_, x), x_ = x;
      job.x = kept_.rows_from(first_row, n_rows);
    }
    job.dy = y.rows_from(first_row, n_rows), job.dx = x.rows_from(first_row, n_rows);
    jobs_.push_back(job);
  }
  void push() {
    tape_.push([&tape = tape_, jobs = std::move(jobs_)](const Context& context) {
      std::vector<MatmulBackwardJob> with_gradients = jobs;
      for (MatmulBackwardJob& job : with_gradients) {
        job.dy = tape.gradient(context, job.dy);
        job.dx = tape.gradient(context, job.dx);
      }
      matmul_backward(context, with_gradients);
    });
  }

 private:
  const Context& context_;
  Tape& tape_;
  TensorView x_, kept_;
  std::vector<MatmulBackwardJob> jobs_;
};

}  // namespace

void matmul_backward(const Context& context, std::span<const MatmulBackwardJob> jobs) {
  const Op op(context);
  for (const MatmulBackwardJob& job : jobs) {
    const int64_t T = job.dy.rows;
    DS_CHECK(is_f32(job.dy, T, job.w.rows) && (!job.dx || is_f32(job.dx, T, job.w.cols)));
    DS_CHECK(!(job.dw || job.da) || is_f32(job.x, T, job.w.cols));
  }
  const auto products = op.list<Product>(2 * static_cast<int64_t>(jobs.size()));
  // Jobs that add to one dx follow each other; all others share a loop.
  for (size_t i = 0; i < jobs.size();) {
    size_t end = i, n = 0;
    for (; end < jobs.size(); ++end) {
      const MatmulBackwardJob& job = jobs[end];
      const auto adds_to_it = [&](const MatmulBackwardJob& other) { return other.dx.data == job.dx.data; };
      if (job.dx && std::any_of(jobs.begin() + i, jobs.begin() + end, adds_to_it)) break;
      if (job.dx) products[n++] = into_dx(job);
      if (job.dw)
        products[n++] = over_tokens(f32(job.dy), job.dy.ld, job.w.rows, f32(job.x), job.x.ld, job.w.cols,
                                    job.dy.rows, job.dw);
    }
    run_products(op, products.first(n));
    i = end;
  }
  for (const MatmulBackwardJob& job : jobs) {
    if (job.w.low_rank) low_rank_backward(op, job);
    if (job.dbias && !op.dry()) add_columns(op, job.dy, job.dbias);
  }
  for (const MatmulBackwardJob& job : jobs) clear(context, job.dy);
}

void record_matmul(const Context& context, std::span<const MatmulJob> jobs) {
  Recorder recorder(context);
  for (const MatmulJob& job : jobs) recorder.add(job.w, job.x, job.y, 0, job.x.rows);
  recorder.push();
}

void record_matmul_routed(const Context& context, std::span<const RoutedMatmulJob> routed, TensorView starts,
                          std::span<const MatmulJob> dense) {
  Recorder recorder(context);
  for (const RoutedMatmulJob& job : routed) {
    if (context.arena.measuring()) {  // who goes where is not known
      recorder.add(job.w[0], job.x, job.y, 0, job.x.rows);
      continue;
    }
    for (size_t e = 0; e < job.w.size(); ++e) {
      const int32_t begin = i32(starts)[2 * e], end = i32(starts)[2 * e + 2];
      if (begin < end) recorder.add(job.w[e], job.x, job.y, begin, end - begin);
    }
  }
  for (const MatmulJob& job : dense) recorder.add(job.w, job.x, job.y, 0, job.x.rows);
  recorder.push();
}

}  // namespace ds::kernels
