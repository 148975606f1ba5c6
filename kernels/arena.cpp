#include "kernels/arena.h"

#include <algorithm>
#include <cstdlib>

#include "core/error.h"

namespace ds::kernels {

void Arena::Free::operator()(float* p) const { std::free(p); }

Arena::Arena(int64_t n_floats) : size_((n_floats + 15) / 16 * 16 + 16) {
  owned_.reset(static_cast<float*>(std::aligned_alloc(64, size_ * 4)));
  if (!owned_) throw std::bad_alloc();
  memory_ = owned_.get();
}

Arena::Arena(float* memory, int64_t n_floats, Device device)
    : memory_(memory), device_(device), size_(n_floats) {}

Arena Arena::measure(int n_threads) {
  Arena arena;
  arena.measured_threads_ = n_threads;
  // Not null, which stands for "none" in a view, and never touched.
  arena.memory_ = reinterpret_cast<float*>(uintptr_t{64});
  arena.size_ = int64_t{1} << 56;
  return arena;
}

float* Arena::take_floats(int64_t n) {
  const int64_t rounded = (n + 15) / 16 * 16;
  DS_CHECK(used_ + rounded <= size_);
  float* start = memory_ + used_;
  used_ += rounded;
  peak_ = std::max(peak_, used_);
  return start;
}

TensorView Arena::take(int64_t rows, int64_t cols, DType dtype) {
  DS_CHECK(dtype_bytes(dtype) == 4);
  return {take_floats(rows * cols), dtype, device_, rows, cols, cols};
}

std::byte* Arena::take_bytes(int64_t n) {
  const size_t size = (static_cast<size_t>(n) + 15) / 16 * 16;
  while (block_ < blocks_.size() && block_used_ + size > blocks_[block_].size) ++block_, block_used_ = 0;
  if (block_ == blocks_.size()) {
    constexpr size_t kBlockBytes = 64 << 10;
    const size_t bytes = std::max(size, kBlockBytes);
    blocks_.push_back({std::make_unique<std::byte[]>(bytes), bytes});
  }
  std::byte* start = blocks_[block_].bytes.get() + block_used_;
  block_used_ += size;
  return start;
}

}  // namespace ds::kernels
