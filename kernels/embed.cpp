#include "kernels/embed.h"

#include "kernels/matmul_kernels.h"
#include "kernels/op.h"

namespace ds::kernels {

void embed(const Context& context, const WeightView& w, std::span<const int32_t> tokens, TensorView y) {
  const Op op(context, y);
  const auto T = static_cast<int64_t>(tokens.size());
  DS_CHECK(is_f32(y, T, w.cols));
  for (const int32_t id : tokens) DS_CHECK(id >= 0 && id < w.rows);
  if (op.dry()) return;
  const MatmulKernels& kernels = matmul_kernels(op.isa());
  op.parallel_for(T, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) kernels.dequantize_row(w, tokens[t], f32(y, t));
  });
}

}  // namespace ds::kernels
