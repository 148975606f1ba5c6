#include "model/kv_cache.h"

#include <sys/mman.h>

#include <algorithm>

#include "core/error.h"

namespace ds::model {
namespace {

int64_t stream_rows(const CacheStream& s, int64_t capacity) {
  const int64_t rows = (capacity + s.tokens_per_row - 1) / s.tokens_per_row;
  return s.window > 0 ? std::min(rows, s.window) : rows;
}
// Rows start at cache lines.
int64_t stream_floats(const CacheStream& s, int64_t capacity) {
  return (stream_rows(s, capacity) * s.width + 15) / 16 * 16;
}

}  // namespace

int64_t KvCache::bytes(const std::vector<CacheStream>& streams, int64_t capacity) {
  int64_t floats = 0;
  for (const CacheStream& s : streams) floats += stream_floats(s, capacity);
  return floats * 4;
}

int64_t KvCache::bytes_per_token(const std::vector<CacheStream>& streams) {
  int64_t bytes = 0;
  for (const CacheStream& s : streams)
    if (s.window == 0) bytes += s.width * 4 / s.tokens_per_row;
  return bytes;
}

KvCache::KvCache(std::vector<CacheStream> streams, int64_t capacity)
    : capacity_(capacity), streams_(std::move(streams)) {
  memory_bytes_ = std::max<int64_t>(bytes(streams_, capacity), 64);
  memory_ = ::mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory_ == MAP_FAILED) {
    memory_ = nullptr;
    throw Error(ErrorKind::kOs,
                "cannot reserve " + std::to_string(memory_bytes_) + " bytes for a context of " +
                    std::to_string(capacity) + " tokens",
                "cache", "lower --ctx");
  }
  auto* at = static_cast<float*>(memory_);
  for (const CacheStream& s : streams_) {
    base_.push_back(at);
    at += stream_floats(s, capacity);
  }
}

KvCache::~KvCache() {
  if (memory_) ::munmap(memory_, memory_bytes_);
}

KvRows KvCache::rows(int64_t stream_idx) const {
  const CacheStream& s = streams_[stream_idx];
  return {&base_[stream_idx], 1, stream_rows(s, capacity_), s.width, DType::kF32, false};
}

void KvCache::truncate(int64_t length) {
  DS_CHECK(length >= 0 && length <= length_);
  length_ = length;
}

void KvCache::advance(int64_t n_tokens) {
  DS_CHECK(n_tokens >= 0 && length_ + n_tokens <= capacity_);
  length_ += n_tokens;
}

}  // namespace ds::model
