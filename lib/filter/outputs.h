// Where records go: kept, rejected, not readable at all. Files appear whole; names ending in .gz or .zst are
// compressed.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "filter/pipeline.h"
#include "io/compress.h"

namespace ds::filter {

// A line-wise output file, or "-".
class LineOutput {
 public:
  LineOutput(const std::string& path, const std::function<void(std::string_view)>& write_stdout);
  void line(std::string_view bytes);
  void commit();

 private:
  std::unique_ptr<AtomicFile> file_;
  std::unique_ptr<ByteSink> sink_;
};

// Throws Error{kUsage} when an output would overwrite an input or another output, {kCannotCreate} when it
// cannot be made: to be called before hours of reading.
void check_outputs(const RunOptions& options);

class Outputs {
 public:
  explicit Outputs(const RunOptions& options);
  void begin_file(size_t input);
  void end_file();
  void keep(std::string_view bytes);
  void reject(int stage, std::string_view bytes);
  void bad_line(std::string_view bytes);
  void finish();  // everything is in place when it returns

 private:
  LineOutput& reject_output(int stage);

  const RunOptions& options_;
  std::vector<std::string> per_file_;  // path of each input's output; empty: all go to one
  bool rejects_per_stage_ = false;
  std::unique_ptr<LineOutput> kept_, bad_;
  std::map<int, std::unique_ptr<LineOutput>> rejects_;
};

// The reject line of a duplicate.
std::string duplicate_reject(const Profile& profile, const RunOptions& options, size_t file,
                             const SegmentEntry& entry, const Duplicate& duplicate, int rule);

}  // namespace ds::filter
