#include "kernels/tape.h"

#include <algorithm>
#include <cstring>

#include "kernels/gather_rows.h"
#include "kernels/op.h"

namespace ds::kernels {
namespace {

constexpr int64_t kBlockBytes = int64_t{16} << 20, kAlign = 64;

}  // namespace

void clear(const Context& context, TensorView x) {
  const Op op(context, x);
  if (op.dry()) return;
  op.parallel_for(x.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) std::memset(f32(x, t), 0, x.cols * sizeof(float));
  });
}

void Tape::watch(const void* begin, int64_t n_bytes, void* gradients, bool lasting) {
  memories_.push_back({static_cast<const char*>(begin), n_bytes, static_cast<char*>(gradients), lasting});
}

void Tape::train(const void* begin, int64_t n, int64_t value_bytes, float* gradient) {
  const Trained trained{static_cast<const char*>(begin), n * value_bytes, value_bytes, gradient};
  const auto after = [](const Trained& a, const Trained& b) { return a.begin < b.begin; };
  trained_.insert(std::upper_bound(trained_.begin(), trained_.end(), trained, after), trained);
}

float* Tape::trained(const void* begin) const {
  const auto* at = static_cast<const char*>(begin);
  const auto next = std::upper_bound(trained_.begin(), trained_.end(), at,
                                     [](const char* v, const Trained& t) { return v < t.begin; });
  if (next == trained_.begin()) return nullptr;
  const Trained& t = *(next - 1);
  return at < t.begin + t.n_bytes ? t.gradient + (at - t.begin) / t.value_bytes : nullptr;
}

const Tape::Memory* Tape::memory_of(const void* value) const {
  const auto* at = static_cast<const char*>(value);
  for (const Memory& m : memories_)
    if (at >= m.begin && at < m.begin + m.n_bytes) return &m;
  return nullptr;
}

bool Tape::is_lasting(const void* value) const {
  const Memory* memory = memory_of(value);
  return memory && memory->lasting;
}

void* Tape::gradient_at(const void* value) const {
  const Memory* memory = memory_of(value);
  DS_CHECK(memory);
  return memory->gradients + (static_cast<const char*>(value) - memory->begin);
}

TensorView Tape::gradient(const Context& context, TensorView view) const {
  if (!context.arena.measuring() && view.rows > 0 && view.cols > 0) view.data = gradient_at(view.data);
  return view;
}

TensorView Tape::room(const Context& context, int64_t rows, int64_t cols, DType dtype) {
  const int64_t n_bytes = (rows * cols * 4 + kAlign - 1) / kAlign * kAlign;
  kept_peak_ = std::max(kept_peak_, place_.total += n_bytes);
  TensorView view{nullptr, dtype, context.device, rows, cols, cols};
  if (context.arena.measuring()) view.data = this;  // not null, never touched
  if (context.arena.measuring() || n_bytes == 0) return view;
  while (place_.block < blocks_.size() && place_.used + n_bytes > blocks_[place_.block].size)
    ++place_.block, place_.used = 0;
  if (place_.block == blocks_.size()) {
    const int64_t size = std::max(n_bytes, kBlockBytes);
    blocks_.push_back({std::make_unique_for_overwrite<std::byte[]>(size), size});
  }
  view.data = blocks_[place_.block].bytes.get() + place_.used;
  place_.used += n_bytes;
  return view;
}

TensorView Tape::keep(const Context& context, TensorView view) {
  const TensorView copy = room(context, view.rows, view.cols, view.dtype);
  if (copy.rows == 0 || copy.cols == 0) return copy;
  TensorView from = view, to = copy;
  from.dtype = to.dtype = DType::kF32;  // 4 bytes are 4 bytes
  repeat_rows(context.untaped(), from, 1, to);
  return copy;
}

void Tape::push(Node node) {
  nodes_.push_back({std::move(node), last_});
  last_ = place_;
}

void Tape::backward(const Context& context, size_t begin) {
  const Context untaped = context.untaped();
  while (nodes_.size() > begin) {
    const Entry entry = std::move(nodes_.back());
    nodes_.pop_back();
    entry.node(untaped);
    place_ = last_ = entry.before;
  }
}

void Tape::clear() {
  nodes_.clear();
  place_ = last_ = Place();
}

void Tape::run_again(const Context& context, TensorView x, std::function<void(const Context&)> run) {
  const TensorView before = keep(context, x);
  run(context.untaped());
  push([this, before, x, run = std::move(run)](const Context& c) {
    repeat_rows(c, before, 1, x);
    const size_t begin = mark();
    run({c.pool, c.arena, c.policy, c.device, c.gate, this});
    backward(c, begin);
  });
}

}  // namespace ds::kernels
