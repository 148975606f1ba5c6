// A loaded model: immutable, shared by any number of sequences. What a caller sees of every architecture.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"
#include "kernels/exec.h"
#include "model/kv_cache.h"

namespace ds::model {

class Workspace;

// One sequence's share of a batch: its next tokens continue its cache.
struct Segment {
  KvCache* cache = nullptr;
  int64_t n_tokens = 0;
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelConfig& config() const = 0;

  // The streams a sequence of this model needs.
  virtual std::vector<CacheStream> cache_streams() const = 0;

  // Floats of scratch that forward() needs for batches of at most max_tokens over contexts of at most
  // max_context.
  virtual int64_t workspace_floats(int64_t max_tokens, int64_t max_context, int n_threads) const = 0;

  // Runs T = tokens.size() new tokens, the segments' tokens one after the other, and appends them to the
  // caches. logits: [logit_rows.size(), V] float32, row i for token logit_rows[i] of the batch (ascending).
  // Token ids are checked against V (Error{kBadData}); a cache without room is Error{kBadData} naming --ctx.
  virtual void forward(const Exec& exec, Workspace& workspace, std::span<const int32_t> tokens,
                       std::span<const Segment> segments, std::span<const int32_t> logit_rows,
                       float* logits) const = 0;

  // Moves the mapped weights into private memory in large pages (io/files.h): faster to stream, slower to
  // start.
  virtual void copy_into_large_pages(ThreadPool& pool) const = 0;

  // Bytes of weights that one decoded token reads (experts: those chosen), and bytes of all weights bound.
  virtual int64_t weight_bytes_per_token() const = 0;
  virtual int64_t weight_bytes() const = 0;
};

// Scratch memory of one caller of forward(), carved anew in every call: no allocation per token.
class Workspace {
 public:
  Workspace() = default;
  explicit Workspace(int64_t n_floats);
  // n floats, 64-byte aligned, valid until reset_to(mark).
  float* take(int64_t n_floats);
  // n value-initialised objects of a trivial type, for lists of jobs.
  template <class T>
  std::span<T> take_objects(int64_t n) {
    static_assert(std::is_trivially_destructible_v<T>);
    T* objects = reinterpret_cast<T*>(take(floats_for<T>(n)));
    for (int64_t i = 0; i < n; ++i) new (objects + i) T();
    return {objects, static_cast<size_t>(n)};
  }
  template <class T>
  static int64_t floats_for(int64_t n) {
    return (n * static_cast<int64_t>(sizeof(T)) + 3) / 4;
  }
  // What take(n) uses up.
  static int64_t rounded(int64_t n_floats) { return (n_floats + 15) / 16 * 16; }
  std::span<float> rest();  // all that is left
  int64_t mark() const { return used_; }
  void reset_to(int64_t mark) { used_ = mark; }
  int64_t bytes() const { return static_cast<int64_t>(size_) * 4; }

 private:
  struct Free {
    void operator()(float* p) const;
  };
  std::unique_ptr<float, Free> memory_;
  int64_t size_ = 0, used_ = 0;
};

// Maps the files and binds every tensor the architecture needs, strictly by name, shape and dtype. Throws
// Error{kBadModel} naming file and tensor; architectures not (yet) supported are named.
std::unique_ptr<const Model> load_model(const std::shared_ptr<const ModelFolder>& folder);

}  // namespace ds::model
