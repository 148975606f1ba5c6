#include <cstdlib>
#include <new>

#include "core/error.h"
#include "model/model.h"

namespace ds::model {

void Workspace::Free::operator()(float* p) const { std::free(p); }

Workspace::Workspace(int64_t n_floats) : size_(rounded(n_floats) + 16) {
  memory_.reset(static_cast<float*>(std::aligned_alloc(64, size_ * 4)));
  if (!memory_) throw std::bad_alloc();
}

float* Workspace::take(int64_t n_floats) {
  float* start = memory_.get() + used_;
  DS_CHECK(used_ + rounded(n_floats) <= size_);
  used_ += rounded(n_floats);
  return start;
}

std::span<float> Workspace::rest() { return {memory_.get() + used_, static_cast<size_t>(size_ - used_)}; }

}  // namespace ds::model
