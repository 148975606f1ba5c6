#include "kernels/embed.h"

#include <vector>

#include "kernels/matmul_kernels.h"
#include "kernels/op.h"
#include "kernels/tape.h"

namespace ds::kernels {

void embed(const Context& context, const WeightView& w, std::span<const int32_t> tokens, TensorView y) {
  const Op op(context, y);
  const auto T = static_cast<int64_t>(tokens.size());
  DS_CHECK(is_f32(y, T, w.cols));
  for (const int32_t id : tokens) DS_CHECK(id >= 0 && id < w.rows);
  if (Tape* tape = context.tape) {
    const std::vector<int32_t> ids(tokens.begin(), tokens.end());
    tape->push([tape, ids, data = w.data, y](const Context& c) {
      float* dw = tape->trained(data);
      const TensorView dy = tape->gradient(c, y);
      dw ? embed_backward(c, ids, dy, dw) : clear(c, dy);
    });
  }
  if (op.dry()) return;
  const MatmulKernels& kernels = matmul_kernels(op.isa());
  op.parallel_for(T, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) kernels.dequantize_row(w, tokens[t], f32(y, t));
  });
}

void embed_backward(const Context& context, std::span<const int32_t> tokens, TensorView dy, float* dw) {
  const Op op(context, dy);
  const auto T = static_cast<int64_t>(tokens.size());
  DS_CHECK(is_f32(dy, T, dy.cols));
  if (op.dry()) return;
  op.parallel_for(dy.cols, 64, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = 0; t < T; ++t) {
      for (int64_t c = begin; c < end; ++c) {
        dw[tokens[t] * dy.cols + c] += f32(dy, t)[c];
        f32(dy, t)[c] = 0;
      }
    }
  });
}

}  // namespace ds::kernels
