#include "quant/quantize.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <mutex>

#include "checkpoint/model_file.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/parallel.h"
#include "quant/bands.h"
#include "quant/output_folder.h"

namespace ds::quant {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kCopyBytes = 1 << 20;
constexpr size_t kPrefetchJobs =
    8;  // read ahead of each thread: a cold disk stays busy while bands are encoded

// Everything the bytes of the output depend on.
std::string fingerprint(const ModelFolder& model, const QuantizePlan& plan, const QuantizeOptions& o) {
  std::string text = "ds-quantize 1";
  for (const int64_t v : {static_cast<int64_t>(o.target), static_cast<int64_t>(o.scales),
                          static_cast<int64_t>(o.recipe), static_cast<int64_t>(o.nan_policy)})
    text += " " + std::to_string(v);
  for (const WeightFile& f : model.files())
    text += "; " + f.name + " " + std::to_string(f.bytes) + " " + std::to_string(f.mtime_ns);
  // The headers say which tensors are converted, and to which shapes.
  uint64_t hash = fnv1a("");
  for (const PlannedShard& shard : plan.shards) hash = fnv1a(shard.header, fnv1a(shard.name, hash));
  return text + "; " + std::to_string(fnv1a(plan.config_text, hash));
}

[[noreturn]] void interrupted(const std::string& where) {
  throw Error(ErrorKind::kInterrupted, "stopped on request, finished shards are kept", where,
              "run the same command with --resume");
}

// Writes what a job made to its places in the shard.
void store_band(int fd, const PlannedShard& shard, const BandJob& job, const BandScratch& s,
                const std::string& where) {
  const QuantStep& step = *job.step;
  const TensorInfo& out = shard.tensors[step.out];
  const uint64_t base = shard.header.size() + out.begin;
  if (step.treatment == Treatment::kCopy) {
    write_at(fd, s.out.data(), s.out.size(), base + job.row, where);
    return;
  }
  const int64_t width = dtype_bytes(out.dtype), all_cols = step.coding.cols;
  const auto store = [&](const std::byte* from, int64_t row, int64_t rows, int64_t col, int64_t cols,
                         int64_t row_length, int64_t bytes, uint64_t at) {
    if (cols == row_length) {
      write_at(fd, from, rows * cols * bytes, at + row * cols * bytes, where);
    } else {
      for (int64_t r = 0; r < rows; ++r)
        write_at(fd, from + r * cols * bytes, cols * bytes, at + ((row + r) * row_length + col) * bytes,
                 where);
    }
  };
  store(s.out.data(), job.row, job.rows, job.col, job.cols, all_cols, width, base);
  if (step.out_scale < 0) return;
  const TensorInfo& scale = shard.tensors[step.out_scale];
  const int64_t scale_width = dtype_bytes(scale.dtype), n_cols = scale.shape[1];
  const int64_t rows = (job.rows + step.block_rows - 1) / step.block_rows;
  const int64_t cols = (job.cols + step.block_cols - 1) / step.block_cols;
  store(s.out_scales.data(), job.row / step.block_rows, rows, job.col / step.block_cols, cols, n_cols,
        scale_width, shard.header.size() + scale.begin);
}

// The folders below OUT that a file lies in; what goes wrong, the file will meet.
void make_folder_of(const std::string& path) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
}

class Conversion {
 public:
  Conversion(const ModelFolder& model, const QuantizePlan& plan, const QuantizeOptions& o)
      : model_(model), plan_(plan), o_(o), pool_(o.n_threads), scratch_(o.n_threads) {}

  QuantizeReport run() {
    const int64_t start = now_ns();
    OutputFolder folder(model_.path(), o_.out, fingerprint(model_, plan_, o_), o_.resume, o_.force);
    QuantizeReport report;
    report.out = o_.out;
    report.n_shards = static_cast<int64_t>(plan_.shards.size());
    if (folder.is_complete()) {
      require_same(folder);
      report.n_resumed = report.n_shards;
      return report;
    }
    int64_t need =
        plan_.other_bytes + static_cast<int64_t>(plan_.config_text.size() + plan_.index_text.size());
    for (const PlannedShard& shard : plan_.shards) {
      total_ += input_bytes(shard);
      if (!folder.has_shard(shard.name, shard.file_bytes())) need += shard.file_bytes();
    }
    require_space(folder.path(), need, "free some space and run again with --resume");
    for (const PlannedShard& shard : plan_.shards) {
      if (folder.has_shard(shard.name, shard.file_bytes())) {
        ++report.n_resumed;
        done_ += input_bytes(shard);
        for (const TensorStats& s : folder.shard_stats(shard.name)) report.tensors.push_back(s);
        continue;
      }
      std::vector<TensorStats> stats = write_shard(folder.path(), shard, report);
      folder.record_shard(shard.name, stats, o_.sync);
      report.bytes_read += input_bytes(shard);
      report.bytes_written += shard.file_bytes();
      for (TensorStats& s : stats) report.tensors.push_back(std::move(s));
    }
    for (const std::string& file : model_.other_files()) copy_file(folder.path(), file);
    // The index, then config.json: without it no reader takes the folder for a model.
    if (!plan_.index_text.empty())
      write_text(folder.path() + "/model.safetensors.index.json", plan_.index_text);
    write_text(folder.path() + "/config.json", plan_.config_text);
    folder.finish();
    report.seconds = seconds_since(start);
    return report;
  }

 private:
  static int64_t input_bytes(const PlannedShard& shard) {
    int64_t n = 0;
    for (const QuantStep& step : shard.steps) n += static_cast<int64_t>(step.source->bytes());
    return n;
  }

  // A folder that has its config.json but no manifest: complete, if it is what this plan would write.
  void require_same(const OutputFolder& folder) const {
    for (const PlannedShard& shard : plan_.shards) {
      const std::string path = folder.path() + "/" + shard.name;
      std::error_code error;
      const auto bytes = fs::file_size(path, error);
      std::string header(shard.header.size(), '\0');
      if (!error && static_cast<int64_t>(bytes) == shard.file_bytes()) {
        const FileHandle fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (fd.get() >= 0) read_at(fd.get(), header.data(), header.size(), 0, path);
      }
      if (header != shard.header)
        throw Error(ErrorKind::kCannotCreate, "exists and is another model, nothing to resume", folder.path(),
                    "--force replaces it");
    }
  }

  std::vector<TensorStats> write_shard(const std::string& folder, const PlannedShard& shard,
                                       QuantizeReport& report) {
    const std::string path = folder + "/" + shard.name;
    make_folder_of(path);
    AtomicFile file(path, AtomicFile::Existing::kReplace);
    // All the room at once: a full disk shows here, and blocks lie together.
    if (::fallocate(file.fd(), 0, 0, shard.file_bytes()) != 0 && errno == ENOSPC)
      throw Error(ErrorKind::kIo, "no room for " + std::to_string(shard.file_bytes()) + " bytes", path,
                  "free some space and run again with --resume");
    write_at(file.fd(), shard.header.data(), shard.header.size(), 0, path);
    std::vector<BandJob> jobs;
    for (const QuantStep& step : shard.steps) add_jobs(step, jobs);
    std::vector<TensorStats> job_stats(jobs.size());
    std::vector<int64_t> nan_codes(jobs.size());
    const size_t ahead = kPrefetchJobs * o_.n_threads;
    std::atomic<bool> stopped{false};
    std::mutex writing;
    pool_.parallel_for(static_cast<int64_t>(jobs.size()), 1, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t i = begin; i < end; ++i) {
        if (stopped.load(std::memory_order_relaxed)) return;
        if (o_.stop && o_.stop()) {
          stopped = true;
          return;
        }
        if (i + ahead < jobs.size()) prefetch(jobs[i + ahead]);
        BandScratch& scratch = scratch_[thread];
        convert_band(model_, o_, jobs[i], scratch);
        {
          // One at a time: a file system locks the file for each write, and its waiters spin.
          const std::lock_guard<std::mutex> turn(writing);
          store_band(file.fd(), shard, jobs[i], scratch, path);
        }
        if (jobs[i].step->treatment == Treatment::kEncode) job_stats[i] = std::move(scratch.stats);
        if (jobs[i].step->treatment == Treatment::kDecode) nan_codes[i] = scratch.n_nan_codes;
        const int64_t done = done_ += job_bytes(jobs[i]);
        if (thread == 0 && o_.progress) o_.progress(done, total_);
      }
    });
    if (stopped || (o_.stop && o_.stop())) interrupted(path);
    file.commit(o_.sync);

    for (size_t i = 0; i < jobs.size(); ++i) {
      if (nan_codes[i] && report.nan_example.empty()) report.nan_example = jobs[i].step->source->info.name;
      report.n_nan_codes += nan_codes[i];
    }
    // Sums in order of place, whoever did the work: the same report for any number of threads.
    std::vector<TensorStats> stats;
    const QuantStep* last = nullptr;
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (jobs[i].step->treatment != Treatment::kEncode) continue;
      if (jobs[i].step != last) {
        stats.emplace_back();
        stats.back().name = jobs[i].step->source->info.name;
        last = jobs[i].step;
      }
      stats.back().add(job_stats[i]);
    }
    return stats;
  }

  void prefetch(const BandJob& job) const {
    const StoredTensor& t = *job.step->source;
    const int64_t row_bytes = job.step->treatment == Treatment::kCopy || job.rows == 0
                                  ? 1
                                  : static_cast<int64_t>(t.bytes()) / job.step->coding.rows;
    model_.prefetch(t, job.row * row_bytes, job.rows * row_bytes);
  }

  void copy_file(const std::string& folder, const std::string& relative) {
    if (o_.stop && o_.stop()) interrupted(folder);
    const std::string from = model_.path() + "/" + relative, to = folder + "/" + relative;
    if (model_.is_gguf()) return write_text(to, read_model_file(from));
    make_folder_of(to);
    const FileHandle fd(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat st {};
    if (fd.get() < 0 || ::fstat(fd.get(), &st) != 0)
      throw Error(ErrorKind::kNoInput, "cannot open: " + os_error(), from);
    AtomicFile file(to, AtomicFile::Existing::kReplace);
    std::string buffer;
    for (int64_t at = 0; at < st.st_size; at += kCopyBytes) {
      buffer.resize(std::min<int64_t>(kCopyBytes, st.st_size - at));
      read_at(fd.get(), buffer.data(), buffer.size(), at, from);
      file.write(buffer);
    }
    file.commit(o_.sync);
  }

  void write_text(const std::string& path, const std::string& text) {
    if (o_.stop && o_.stop()) interrupted(path);
    AtomicFile file(path, AtomicFile::Existing::kReplace);
    file.write(text);
    file.commit(o_.sync);
  }

  const ModelFolder& model_;
  const QuantizePlan& plan_;
  const QuantizeOptions& o_;
  ThreadPool pool_;
  std::vector<BandScratch> scratch_;
  std::atomic<int64_t> done_{0};
  int64_t total_ = 0;
};

}  // namespace

QuantizeReport quantize(const ModelFolder& model, const QuantizePlan& plan, const QuantizeOptions& options) {
  return Conversion(model, plan, options).run();
}

}  // namespace ds::quant
