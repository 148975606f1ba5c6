// A loaded model: immutable, shared by any number of sequences. What a caller sees of every architecture.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"
#include "checkpoint/weights.h"
#include "kernels/context.h"
#include "model/kv_pool.h"

namespace ds::model {

// One sequence's share of a batch: its next tokens continue its cache.
struct Segment {
  KvSequence* cache = nullptr;
  int64_t n_tokens = 0;
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelConfig& config() const = 0;

  // The streams a sequence of this model needs.
  virtual std::vector<CacheStream> cache_streams() const = 0;

  // Floats that context.arena must hold for steps of at most max_tokens tokens of at most max_sequences
  // sequences, each of at most max_context tokens in rows of cache_type: what dry runs of forward() take.
  virtual int64_t workspace_floats(int64_t max_tokens, int64_t max_context, int n_threads,
                                   int64_t max_sequences = 1, DType cache_type = DType::kF32) const = 0;

  // Runs T = tokens.size() new tokens, the segments' tokens one after the other, and appends them to the
  // caches. logits: [logit_rows.size(), V] float32, row i for token logit_rows[i] of the batch (ascending).
  // A sequence's bits do not depend on its companions. Weights are read least often when segments of few
  // tokens (kFewTokens) stand together. Token ids are checked against V (Error{kBadData}); a cache without
  // room is Error{kBadData} naming --ctx.
  virtual void forward(const Context& context, std::span<const int32_t> tokens,
                       std::span<const Segment> segments, std::span<const int32_t> logit_rows,
                       float* logits) const = 0;

  // forward() for training, in two parts. The first ends with the normalised hidden states of logit_rows,
  // [n, D], and hands them to `then`, which may walk context.tape back: what the tape points to lives as long
  // as that call. Every segment's cache is empty, and stays so. `recompute`: of a layer only its input is
  // kept, and it is run again when the tape comes to it; the same bits, more time, less memory.
  virtual void forward_hidden(const Context& context, std::span<const int32_t> tokens,
                              std::span<const Segment> segments, std::span<const int32_t> logit_rows,
                              bool recompute, const std::function<void(TensorView hidden)>& then) const = 0;
  // logits [n, V] of normalised hidden states [n, D].
  virtual void head(const Context& context, TensorView hidden, TensorView logits) const = 0;

  // Moves the mapped weights into private memory in large pages (io/files.h): faster to stream, slower to
  // start.
  virtual void copy_into_large_pages(ThreadPool& pool) const = 0;

  // Bytes of weights that one decoded token reads (experts: those chosen), and bytes of all weights bound.
  virtual int64_t weight_bytes_per_token() const = 0;
  virtual int64_t weight_bytes() const = 0;
};

// Maps the files and binds every tensor the architecture needs, strictly by name, shape and dtype; `binder`
// has a hand in that. Throws
// Error{kBadModel} naming file and tensor, also for tensors that it has no use for; architectures not (yet)
// supported are named.
std::unique_ptr<const Model> load_model(const std::shared_ptr<const ModelFolder>& folder,
                                        WeightBinder* binder = nullptr);

// Throws what load_model() throws, values apart: of config.json and the tensors' names, shapes and dtypes
// nothing is left unchecked, and no file is mapped. A family that is known but not run yet passes; what is to
// be said of that is returned, else "".
std::string check_loadable(const std::shared_ptr<const ModelFolder>& folder);

}  // namespace ds::model
