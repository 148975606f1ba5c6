// What a backward pass needs of the forward one: every op that runs with a tape in its Context leaves a node,
// and the nodes are walked in reverse.
//
// Gradients of what ops pass to each other lie in a shadow of the memory that they passed it in: as far from
// its beginning as the values from theirs. While a value lives, its place in the shadow gathers
// d loss / d value; the op that wrote the value takes that away, so that the place is 0 for whatever lay
// there before. Ops may therefore work in place and reuse scratch as they do without a tape. What an op's
// backward needs of its inputs is kept as a copy.
//
// Backward entries are called <op>_backward and stand beside their op. They all *take* the gradient of what
// the op wrote (it is 0 afterwards) and *add* to the gradients of what it read; the two may be one memory
// where the op may work in place. No result depends on the number of threads.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/context.h"
#include "kernels/weight_view.h"

namespace ds::kernels {

class Tape {
 public:
  using Node = std::function<void(const Context&)>;

  // Where gradients of float32 values in [begin, + n_bytes) gather: as many bytes, all 0. lasting: what is
  // written there stays until the tape was walked back, and need not be kept.
  void watch(const void* begin, int64_t n_bytes, void* gradients, bool lasting);
  void watch_nothing() { memories_.clear(); }
  // n values of `value_bytes` each that are trained: a weight, a norm, a bias, a part of an adapter.
  void train(const void* begin, int64_t n, int64_t value_bytes, float* gradient);

  // For ops. Memory that lasts until the node that is pushed next was walked.
  TensorView room(const Context& context, int64_t rows, int64_t cols, DType dtype = DType::kF32);
  // A copy of the values that lasts until its node was walked.
  TensorView keep(const Context& context, TensorView view);
  bool is_lasting(const void* value) const;
  void push(Node node);

  // The gradient of a tensor that ops pass to each other.
  TensorView gradient(const Context& context, TensorView view) const;
  void* gradient_at(const void* value) const;
  // The gradient of what is trained, nullptr where it is not: [rows, cols] of a matrix or a part of its rows.
  float* trained(const void* begin) const;

  // Runs `run` without a tape now, and again with this one when it is walked back, after x (which it reads
  // and overwrites) was put back. The same bits both times.
  void run_again(const Context& context, TensorView x, std::function<void(const Context&)> run);

  // Walks back the nodes from `begin` on, and forgets them. Beforehand the gradients of what the forward
  // ended with are set.
  size_t mark() const { return nodes_.size(); }
  void backward(const Context& context, size_t begin = 0);
  // Forgets all nodes: after an error. Gradients are then what they are.
  void clear();

  int64_t kept_bytes_peak() const { return kept_peak_; }

 private:
  struct Memory {
    const char* begin;
    int64_t n_bytes;
    char* gradients;
    bool lasting;
  };
  struct Trained {
    const char* begin;
    int64_t n_bytes, value_bytes;
    float* gradient;
  };
  struct Block {
    std::unique_ptr<std::byte[]> bytes;
    int64_t size = 0;
  };
  struct Place {  // in the blocks
    size_t block = 0;
    int64_t used = 0, total = 0;
  };
  struct Entry {
    Node node;
    Place before;  // what it kept begins here
  };
  const Memory* memory_of(const void* value) const;

  std::vector<Memory> memories_;
  std::vector<Trained> trained_;  // by address
  std::vector<Entry> nodes_;
  std::vector<Block> blocks_;
  Place place_, last_;  // of the next copy; at the last push
  int64_t kept_peak_ = 0;
};

// Sets a tensor to 0.
void clear(const Context& context, TensorView x);

}  // namespace ds::kernels
