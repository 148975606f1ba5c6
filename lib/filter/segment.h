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

#include "filter/minhash.h"
#include "filter/statistics.h"
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
  std::string damage;
  Statistics statistics;
};

std::string segment_name(const std::string& folder, size_t file, size_t segment);  // without ".seg" / ".sig"

class SegmentWriter {
 public:
  explicit SegmentWriter(const std::string& stem);
  void add(const SegmentEntry& entry);
  void add(const Signature& signature);
  uint64_t bytes() const { return bytes_; }
  void commit(const SegmentInfo& info);

 private:
  void put(std::string_view bytes);
  struct State;
  std::shared_ptr<State> state_;
  uint64_t bytes_ = 0;
};

// How many signatures a .sig file holds; -1 when it is cut short or damaged.
int64_t count_signatures(std::span<const std::byte> file);

// Reads the closing record only; nothing when the file is missing, cut or fails its checksum.
bool read_segment_info(const std::string& stem, SegmentInfo& out);
// All entries in order. Throws Error{kBadData} when the file is damaged.
void read_segment(const std::string& stem, const std::function<void(const SegmentEntry&)>& visit);

}  // namespace ds::filter
