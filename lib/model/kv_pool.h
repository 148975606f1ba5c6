// What sequences remember: a set of streams, each a table of rows per layer, kept in pages that sequences
// share where they begin alike.
//
// A stream says how many tokens share a row and how far back rows are kept, so that plain keys and values
// (one row a token), MLA's latent, an indexer's keys and compressed or windowed caches are all rows of one
// kind of table. A page holds the rows of page_tokens tokens, of all streams that are kept equally long. A
// sequence without a window takes page after page as it grows; of a windowed stream it has a ring of pages,
// whose oldest rows later ones overwrite. Pages are counted by reference and copied when one of several
// owners writes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "kernels/context.h"
#include "kernels/kv_rows.h"

namespace ds::model {

struct CacheStream {
  std::string name;  // "k", "v", "latent", "index_k"
  int64_t layer = 0;
  int64_t width = 0;           // elements in a row
  int64_t tokens_per_row = 1;  // compressed streams pool this many tokens into a row
  int64_t window = 0;          // rows kept when only the most recent matter; 0 keeps all
};

struct KvPoolSize {
  int64_t n_sequences = 1;
  int64_t ctx = 0;            // tokens of one sequence
  int64_t step_tokens = 0;    // that one sequence appends at most before it reads
  int64_t page_tokens = 0;    // a multiple of every stream's tokens_per_row
  DType dtype = DType::kF32;  // of rows: kF32 or kBF16
  // Of all sequences together where rows are kept for ever, at least ctx; 0: n_sequences times ctx. Windows
  // are there for each sequence.
  int64_t total_tokens = 0;
};

class KvPool {
 public:
  // Reserves address space; memory is committed as rows are written. Throws Error{kOs}.
  KvPool(const std::vector<CacheStream>& streams, const KvPoolSize& size);
  ~KvPool();
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  int64_t n_used_pages() const;
  // Where all rows lie: their gradients lie as far from the beginning of a memory of their own.
  std::span<std::byte> memory() const {
    return {static_cast<std::byte*>(memory_), static_cast<size_t>(memory_bytes_)};
  }

  static int64_t bytes(const std::vector<CacheStream>& streams, const KvPoolSize& size);
  // Bytes one more token costs, windows not counted.
  static int64_t bytes_per_token(const std::vector<CacheStream>& streams, DType dtype);

 private:
  friend class KvSequence;

  // Streams that are kept equally long share pages.
  struct Group {
    int64_t tokens_per_row = 1, window = 0;
    int64_t page_rows = 0, page_bytes = 0;
    int64_t sequence_pages = 0;  // that one sequence has at most
    int64_t n_pages = 0;
    char* base = nullptr;
    std::vector<int32_t> n_owners, free;  // per page; pages without an owner
  };
  struct Place {  // of a stream
    int64_t group = 0, offset_bytes = 0, width = 0;
  };
  // Groups of a pool of this size, without pages, and the place of every stream.
  static std::vector<Group> lay_out(const std::vector<CacheStream>& streams, const KvPoolSize& size,
                                    std::vector<Place>& places);

  KvPoolSize size_;
  std::vector<Place> places_;
  std::vector<Group> groups_;
  void* memory_ = nullptr;
  int64_t memory_bytes_ = 0;
};

// One sequence's rows. Who makes a pool of fewer total_tokens keeps what its sequences hold below that.
class KvSequence {
 public:
  explicit KvSequence(KvPool& pool);
  ~KvSequence() { truncate(0); }
  KvSequence(const KvSequence&) = delete;
  KvSequence& operator=(const KvSequence&) = delete;

  int64_t capacity() const { return pool_.size_.ctx; }  // tokens
  int64_t length() const { return length_; }            // tokens held

  // The greatest length up to n_tokens that this can be cut to: a row that pools several tokens is kept or
  // dropped whole, and a ring must still hold the window before the cut.
  int64_t cut_length(int64_t n_tokens) const;
  // Forgets everything from token `length` on, which is a cut_length().
  void truncate(int64_t length);
  // Becomes the first n_tokens (a cut_length() of it) of another sequence of the pool, sharing its pages.
  void share(const KvSequence& other, int64_t n_tokens);

  // Makes rows for n_tokens more, at most step_tokens, writable; advance() then counts them as held.
  void make_room(const Context& context, int64_t n_tokens);
  void advance(int64_t n_tokens);

  // Streams are numbered as given to the pool. Valid until pages change: make_room, truncate, share.
  KvRows rows(int64_t stream_idx) const;

 private:
  void make_own(const Context& context, size_t group_idx, size_t page_idx);
  void drop_pages(size_t group_idx, size_t n_kept);
  void point(size_t group_idx, size_t page_idx);

  KvPool& pool_;
  int64_t length_ = 0;
  int64_t written_ = 0;  // tokens whose rows were ever written since the sequence was empty
  std::vector<std::vector<int32_t>> tables_;  // per group: its pages
  std::vector<std::vector<void*>> pointers_;  // per stream: the same pages, where its rows lie
};

}  // namespace ds::model
