// Matrix products as tasks: what matmul.h's entries and ops that multiply inside (index_scores) hand to the
// kernels. Private to kernels/.
#pragma once
#include "kernels/matmul.h"
#include "kernels/matmul_kernels.h"
#include "kernels/op.h"

namespace ds::kernels {

// Few-token tasks share parallel loops as they stand; each must have a matrix of a known type.
void run_few(const Op& op, std::span<MatmulTask> tasks);
// Many-token tasks: neighbours of one input share its packed form.
void run_many(const Op& op, std::span<MatmulTask> tasks);

// Leave a node on context.tape.
void record_matmul(const Context& context, std::span<const MatmulJob> jobs);
void record_matmul_routed(const Context& context, std::span<const RoutedMatmulJob> routed, TensorView starts,
                          std::span<const MatmulJob> dense);

}  // namespace ds::kernels
