// What every op's own file begins with. Private to kernels/: only ops look into tensors.
#pragma once
#include "core/error.h"
#include "kernels/context.h"

namespace ds::kernels {

// One op at work. Checks that its tensors live where the context computes, opens their memory, and gives the
// scratch that it took back at the end.
class Op {
 public:
  template <class... Views>
  explicit Op(const Context& context, const Views&... views)
      : context_(context), mark_(context.arena.mark()) {
    DS_CHECK((... && (!views || views.device == context.device)));
    if (context.gate) context.gate->open();
  }
  ~Op() {
    context_.arena.reset_to(mark_);
    if (context_.gate) context_.gate->close();
  }
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;

  const Context& context() const { return context_; }
  Isa isa() const { return context_.policy.isa; }
  // Only scratch is being measured: return before touching anything.
  bool dry() const { return context_.arena.measuring(); }
  float* scratch(int64_t n_floats) const { return context_.arena.take_floats(n_floats); }
  template <class T>
  std::span<T> list(int64_t n) const {
    return context_.arena.list<T>(n);
  }
  template <class Body>
  void parallel_for(int64_t n, int64_t grain, Body&& body) const {
    context_.pool->parallel_for(n, grain, body);
  }

 private:
  const Context& context_;
  Arena::Mark mark_;
};

// Row r of a tensor.
inline float* f32(const TensorView& view, int64_t r = 0) {
  return static_cast<float*>(view.data) + r * view.ld;
}
inline int32_t* i32(const TensorView& view, int64_t r = 0) {
  return static_cast<int32_t*>(view.data) + r * view.ld;
}

// Whether a tensor of float32 has this shape; a row's length may be anything when there is at most one row.
inline bool is_f32(const TensorView& view, int64_t rows, int64_t cols) {
  return view.dtype == DType::kF32 && view.rows == rows && view.cols == cols &&
         (rows <= 1 || view.ld >= cols);
}
inline bool is_i32(const TensorView& view, int64_t rows, int64_t cols) {
  return view.dtype == DType::kI32 && view.rows == rows && view.cols == cols &&
         (rows <= 1 || view.ld >= cols);
}

// The variants of a kernel by level; a level without one of its own takes the one below.
template <class Kernels>
struct Levels {
  const Kernels* scalar;
  const Kernels* avx2 = nullptr;
  const Kernels* avx512 = nullptr;
};
template <class Kernels>
const Kernels& pick(const Levels<Kernels>& levels, Isa isa) {
  if (isa >= Isa::kAvx512 && levels.avx512) return *levels.avx512;
  if (isa >= Isa::kAvx2 && levels.avx2) return *levels.avx2;
  return *levels.scalar;
}
// Declares NAME_scalar and its siblings, each defined in cpu/<op>_<level>.cpp, and the table LEVELS of them.
#if DS_X86
#define DS_KERNEL_LEVELS(KERNELS, NAME, LEVELS)                   \
  extern const KERNELS NAME##_scalar, NAME##_avx2, NAME##_avx512; \
  constexpr Levels<KERNELS> LEVELS = {&NAME##_scalar, &NAME##_avx2, &NAME##_avx512}
#else
#define DS_KERNEL_LEVELS(KERNELS, NAME, LEVELS) \
  extern const KERNELS NAME##_scalar;           \
  constexpr Levels<KERNELS> LEVELS = {&NAME##_scalar}
#endif

}  // namespace ds::kernels
