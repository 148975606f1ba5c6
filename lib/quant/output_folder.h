// The folder a conversion writes: refused when it must not be touched, continued when it was begun, complete
// only when config.json is there.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/files.h"
#include "io/run_lock.h"
#include "quant/stats.h"

namespace ds::quant {

// Throws Error{kUsage} when `out` is `model`, lies inside it, or holds it.
void check_apart(const std::string& model, const std::string& out);

// Throws Error{kIo} with the numbers and `hint` when the file system of `path` has less room than `bytes`.
void require_space(const std::string& path, int64_t bytes, const std::string& hint);

// One run at a time writes it (RunLock). A stopped run leaves finished shards and MANIFEST in the folder; a
// later run with the same fingerprint goes on from there. A shard counts as finished while it has the size
// and the time of modification it was finished with; one that nobody waited for on its way to the disk only
// until the machine starts anew. With `force`, an existing model folder is replaced only once the new one is
// complete.
class OutputFolder {
 public:
  static constexpr const char* kManifest = "ds-quantize.manifest.jsonl";

  // Throws Error{kCannotCreate} for what may not be replaced, {kUsage} when the begun run was another one.
  OutputFolder(const std::string& model, const std::string& out, const std::string& fingerprint, bool resume,
               bool force);

  // Where to write: `out`, or a folder beside it that takes its place in finish().
  const std::string& path() const { return path_; }
  // `out` is complete already (only with `resume`): there is nothing to do.
  bool is_complete() const { return complete_; }

  // Whether an earlier run finished this shard, and what it found.
  bool has_shard(const std::string& name, int64_t bytes) const;
  const std::vector<TensorStats>& shard_stats(const std::string& name) const { return done_.at(name).stats; }
  void record_shard(const std::string& name, const std::vector<TensorStats>& stats, bool sync);

  void finish();

 private:
  void read_manifest(const std::string& fingerprint, bool resume);
  void start_manifest(const std::string& fingerprint);

  struct FinishedShard {
    int64_t mtime_ns = 0;
    std::vector<TensorStats> stats;
  };
  std::string out_, path_;
  bool complete_ = false;
  std::map<std::string, FinishedShard> done_;
  FileHandle manifest_;
  std::vector<RunLock> locks_;
};

}  // namespace ds::quant
