// What one sequence remembers: a set of streams, each a table of float32 rows per layer.
//
// A stream says how many tokens share a row and how far back rows are kept, so that plain keys and values
// (one row a token), MLA's latent, an indexer's keys and compressed or windowed caches are all rows of one
// table.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kv_rows.h"

namespace ds::model {

struct CacheStream {
  std::string name;  // "k", "v", "latent", "index_k"
  int64_t layer = 0;
  int64_t width = 0;           // floats in a row
  int64_t tokens_per_row = 1;  // compressed streams pool this many tokens into a row
  int64_t window = 0;          // rows kept when only the most recent matter; 0 keeps all
};

class KvCache {
 public:
  // Reserves address space for `capacity` tokens; memory is committed as rows are written. Throws Error{kOs}.
  KvCache(std::vector<CacheStream> streams, int64_t capacity);
  ~KvCache();
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  int64_t capacity() const { return capacity_; }  // tokens
  int64_t length() const { return length_; }      // tokens held
  // Forgets everything from token `length` on.
  void truncate(int64_t length);
  void advance(int64_t n_tokens);

  // Streams are numbered as given to the constructor. One page each, float32.
  KvRows rows(int64_t stream_idx) const;

  static int64_t bytes(const std::vector<CacheStream>& streams, int64_t capacity);
  // Bytes one more token costs, windows not counted.
  static int64_t bytes_per_token(const std::vector<CacheStream>& streams);

 private:
  int64_t capacity_, length_ = 0;
  void* memory_ = nullptr;
  int64_t memory_bytes_ = 0;
  std::vector<CacheStream> streams_;
  std::vector<void*> base_;
};

}  // namespace ds::model
