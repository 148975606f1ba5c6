// What the first pass leaves on disk: per stretch of input one file with the records' fates in input order,
// and one with the signatures of those still in the race. They are the spool between the passes, the
// checkpoints of --resume and the interface of distributed runs. A segment is there whole, with a checksum,
// or not at all.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "filter/duplicates/minhash.h"
#include "filter/report/statistics.h"
#include "io/files.h"

namespace ds::filter {

enum class Fate : uint8_t { kKept = 0, kDropped = 1, kBad = 2 };

struct SegmentEntry {
  Fate fate;
  uint8_t stage;           // that dropped it
  uint64_t offset, line;   // in the file
  std::string_view bytes;  // the line to write: kept records as they are, rejects and bad lines as JSON
};

struct SegmentInfo {
  uint64_t begin_offset = 0, end_offset = 0, end_line = 0;
  bool ends_file = false;
  bool partial =
      false;  // a stop closed it early: --resume makes it again, so that borders are always the same
  std::string damage;
  Statistics statistics;
};

std::string segment_name(const std::string& folder, size_t file, size_t segment);  // without ".seg" / ".sig"

// Before each block's bytes, one per record.
struct EntryHead {
  uint8_t fate, stage;
  uint16_t unused;
  uint32_t unused2;
  uint64_t length, offset, line;
};
static_assert(sizeof(EntryHead) == 32);

// The records of one batch. Kept lines stand together, each with its newline, so that the second pass writes
// them in long runs.
class SegmentBlock {
 public:
  void clear();
  void add(const SegmentEntry& entry);
  void add(const Signature& signature) { signatures_.push_back(signature); }
  uint64_t n_kept() const { return n_kept_; }

 private:
  friend class SegmentWriter;
  std::vector<EntryHead> heads_;
  std::string kept_, others_;
  std::vector<Signature> signatures_;
  uint64_t n_kept_ = 0;
};

class SegmentWriter {
 public:
  explicit SegmentWriter(const std::string& stem);
  void add(const SegmentBlock& block);
  void commit(const SegmentInfo& info);

 private:
  void put(const void* bytes, size_t n);
  struct State;
  std::shared_ptr<State> state_;
};

// How many signatures a .sig file holds; -1 when it is cut short or damaged.
int64_t count_signatures(std::span<const std::byte> file);

// Reads the closing record only; nothing when the file is missing, cut or fails its checksum.
bool read_segment_info(const std::string& stem, SegmentInfo& out);

// The entries of a segment, block by block. Throws Error{kBadData} when the file is damaged.
class SegmentReader {
 public:
  struct Block {
    const char* heads = nullptr;  // n EntryHead, not aligned
    uint64_t n = 0;
    std::string_view kept, others;
  };
  explicit SegmentReader(const std::string& stem);
  bool next(Block& out);
  // All of a block's entries in order; their bytes come without the newline, which follows in memory for kept
  // ones. Touches nothing of the reader.
  void each(const Block& block, const std::function<void(const SegmentEntry&)>& visit) const;

 private:
  [[noreturn]] void damaged() const;
  MappedFile file_;
  uint64_t at_ = 0, entries_bytes_ = 0;
};

}  // namespace ds::filter
