// The folder of a run's checkpoints: segments, and a manifest that says whose they are.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "filter/passes/options.h"
#include "filter/stages/rules.h"
#include "io/run_lock.h"

namespace ds::filter {

// Prepares it: empty for a new run, checked for a resumed one. What a person should hear of it, or "": that
// an unfinished run's checkpoints were thrown away. Throws Error{kUsage} when it is another run's or no such
// folder.
std::string open_work(const Profile& profile, const FilterOptions& options);

// Removes segments that no chain reaches: what a kill left between its two files, or while a work folder was
// being deleted. Were they to stay, the second pass would take them for part of this run. `n_segments` by
// file.
void drop_stale_segments(const std::string& work, const std::vector<size_t>& n_segments);

void mark_first_pass_complete(const std::string& work);
// Whether the first pass has come to its end in this work folder: no signature is missing.
bool first_pass_complete(const std::string& work);
// The signature files of a work folder, in input order; none where the inputs left no record.
std::vector<std::string> signature_files(const std::string& work);

// OUTPUT.work, whatever name the output goes by, or a temporary folder where it is stdout; a temporary one
// goes with this object, as does the other once it is `done`, or while nothing is in it. One run at a time
// has it.
class WorkFolder {
 public:
  // Throws Error{kCannotCreate}, also when another run has it.
  explicit WorkFolder(const FilterOptions& options);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  const std::string& path() const { return path_; }
  bool stays() const { return !remove_; }
  void done() { remove_ = true; }

 private:
  std::string path_;
  bool remove_ = false;
  std::optional<RunLock> lock_;
};

}  // namespace ds::filter
