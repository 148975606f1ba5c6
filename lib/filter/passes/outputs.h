// Where records go: kept, rejected, not readable at all. Files appear whole; names ending in .gz or .zst are
// compressed.
#pragma once
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "filter/duplicates/clusters.h"
#include "filter/passes/options.h"
#include "filter/passes/segment.h"
#include "io/compress.h"

namespace ds::filter {

// An output file, or "-". Compressed files are made of frames (zstd) or members (gzip) that pack() made, one
// after another: that is one stream to every reader, and lets several threads compress.
class PackedOutput {
 public:
  PackedOutput(const std::string& path, const std::function<void(std::string_view)>& write_stdout);
  void write(std::string_view packed);
  void commit();

 private:
  Compression compression_;
  bool empty_ = true;
  std::unique_ptr<AtomicFile> file_;
  std::function<void(std::string_view)> next_;
};

// One whole frame or member.
std::string pack(Compression compression, std::span<const std::string_view> pieces);

// Throws Error{kUsage} when an output or report would overwrite an input or another of them, {kCannotCreate}
// when it cannot be made: to be called before hours of reading.
void check_outputs(const FilterOptions& options, const std::vector<std::string>& reports = {},
                   const std::vector<std::string>& others_read = {});

// Throws Error{kCannotCreate} when the folder of the kept records holds data that neither this run nor
// another shard of it writes: whoever reads the folder later would read a mixture.
void refuse_mixture(const FilterOptions& options, const std::vector<std::string>& reports);

class Outputs {
 public:
  explicit Outputs(const FilterOptions& options);
  // How what is written must have been packed.
  Compression kept_compression(size_t input) const;
  Compression reject_compression() const { return reject_compression_; }
  Compression bad_compression() const { return bad_compression_; }
  bool wants_rejects() const { return !options_.rejects.empty(); }
  bool wants_bad_lines() const { return bad_ != nullptr; }
  // Rejects of stages with the same number go to the same file.
  int reject_file(int stage) const { return rejects_per_stage_ ? stage : 0; }

  void begin_file(size_t input);
  void end_file();
  void keep(std::string_view packed) { kept_->write(packed); }
  void reject(int reject_file, std::string_view packed);
  void bad_lines(std::string_view packed) { bad_->write(packed); }
  void finish();  // everything is in place when it returns

 private:
  const FilterOptions& options_;
  std::vector<std::string> per_file_;  // path of each input's output; empty: all go to one
  bool rejects_per_stage_ = false;
  Compression reject_compression_ = Compression::kNone, bad_compression_ = Compression::kNone;
  std::unique_ptr<PackedOutput> kept_, bad_;
  std::map<int, std::unique_ptr<PackedOutput>> rejects_;
};

// The reject line of a duplicate.
std::string duplicate_reject(const Profile& profile, const FilterOptions& options, size_t file,
                             const SegmentEntry& entry, const Duplicate& duplicate, int rule);

}  // namespace ds::filter
