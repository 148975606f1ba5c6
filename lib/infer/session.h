// One mutable timeline over a shared model: what was read so far, its cache and scratch memory.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/model.h"

namespace ds::infer {

// What a session over `ctx` tokens costs, known before it exists.
struct SessionSize {
  int64_t ctx = 0;           // tokens
  int64_t chunk_tokens = 0;  // of a prompt, read in one forward pass
  int64_t cache_bytes = 0, workspace_bytes = 0, logits_bytes = 0;
  int64_t bytes() const { return cache_bytes + workspace_bytes + logits_bytes; }
};
SessionSize plan_session(const Model& model, int64_t ctx, int n_threads);

class Session {
 public:
  // Reserves memory for `ctx` tokens; it is committed as the context grows.
  Session(const Model& model, ThreadPool& pool, const Policy& policy, int64_t ctx);

  int64_t ctx() const { return size_.ctx; }
  int64_t chunk_tokens() const { return size_.chunk_tokens; }
  int64_t length() const { return static_cast<int64_t>(tokens_.size()); }
  std::span<const int32_t> tokens() const { return tokens_; }
  int64_t bytes() const { return size_.bytes(); }

  // Throws Error{kBadData} naming `where` when one of the ids is outside the vocabulary, or when they and
  // n_new more tokens are too many for the context.
  void check(std::span<const int32_t> tokens, int64_t n_new, const std::string& where) const;

  // Reads tokens (at least one) in chunks and returns the logits [V] after the last, valid until the next
  // call. There must be room for them: check() first.
  std::span<const float> read(std::span<const int32_t> tokens);

  // Reads tokens and hands over the logits of each: sink(first, logits) gets logits [n, V] of tokens first...
  template <class Sink>
  void read_all(std::span<const int32_t> tokens, Sink&& sink) {
    for (int64_t i = 0; i < static_cast<int64_t>(tokens.size()); i += rows_per_pass_) {
      const int64_t n = std::min<int64_t>(rows_per_pass_, tokens.size() - i);
      sink(i, read_rows(tokens.subspan(i, n)));
    }
  }

  // Forgets all, or all but the tokens that `prompt` begins with too (always leaving one to read); returns
  // how many were kept.
  void clear() { truncate(0); }
  int64_t keep_common_prefix(std::span<const int32_t> prompt);

 private:
  void truncate(int64_t length);
  std::span<const float> read_rows(std::span<const int32_t> tokens);
  void forward(std::span<const int32_t> tokens, std::span<const int32_t> rows);

  const Model& model_;
  SessionSize size_;
  int64_t rows_per_pass_ = 1;
  KvCache cache_;
  Arena arena_;
  Context context_;
  std::vector<int32_t> tokens_, rows_;
  std::unique_ptr<float[]> logits_;
};

}  // namespace ds::infer
