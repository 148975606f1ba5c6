// Scratch memory of one caller, carved anew in every pass: no allocation per token.
//
// How much a pass needs is found by running it on a measuring arena: views then point nowhere, ops take their
// scratch and return before they touch anything, and peak_floats() is the answer.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

#include "core/tensor_view.h"

namespace ds::kernels {

class Arena {
 public:
  // Where to go back to.
  struct Mark {
    int64_t floats = 0;
    size_t block = 0, block_used = 0;
  };

  explicit Arena(int64_t n_floats);
  // Over memory that somebody else keeps, 64-byte aligned.
  Arena(float* memory, int64_t n_floats, Device device);
  // Measures what n_threads threads would need.
  static Arena measure(int n_threads);

  bool measuring() const { return measured_threads_ > 0; }
  int measured_threads() const { return measured_threads_; }
  int64_t peak_floats() const { return peak_; }

  // A matrix of 4-byte elements, 64-byte aligned, valid until reset_to(an earlier mark).
  TensorView take(int64_t rows, int64_t cols, DType dtype = DType::kF32);
  float* take_floats(int64_t n);

  // A list of n value-initialised objects in the CPU's memory, for what is passed to ops beside tensors.
  template <class T>
  std::span<T> list(int64_t n) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= 16);
    T* objects = reinterpret_cast<T*>(take_bytes(n * static_cast<int64_t>(sizeof(T))));
    for (int64_t i = 0; i < n; ++i) new (objects + i) T();
    return {objects, static_cast<size_t>(n)};
  }

  Mark mark() const { return {used_, block_, block_used_}; }
  void reset_to(const Mark& mark) { used_ = mark.floats, block_ = mark.block, block_used_ = mark.block_used; }

 private:
  struct Free {
    void operator()(float* p) const;
  };
  struct Block {
    std::unique_ptr<std::byte[]> bytes;
    size_t size = 0;
  };
  Arena() = default;
  std::byte* take_bytes(int64_t n);

  std::unique_ptr<float, Free> owned_;
  float* memory_ = nullptr;
  Device device_ = Device::kCpu;
  int measured_threads_ = 0;
  int64_t size_ = 0, used_ = 0, peak_ = 0;
  std::vector<Block> blocks_;  // of lists; kept from pass to pass
  size_t block_ = 0, block_used_ = 0;
};

}  // namespace ds::kernels
