#include "filter/passes/first_pass.h"

#include <sys/stat.h>

#include <memory>
#include <mutex>

#include "core/clock.h"
#include "core/ordered.h"
#include "filter/passes/inputs.h"
#include "filter/passes/segment.h"
#include "filter/passes/work_folder.h"
#include "filter/passes/worker.h"

namespace ds::filter {
namespace {

constexpr uint64_t kSegmentBytes = 32 << 20;  // of content: a checkpoint each
// Stretches that wait while each thread has one: enough that none waits for a slow one.
constexpr int kSpare = 2;
// A line takes 25 to 40 times its size while it is judged: longer ones are judged one at a time, by a worker
// for them alone, so that this memory is there once and not once a thread.
constexpr size_t kLargeLine = 4 << 20;

uint64_t stored_bytes(const std::vector<FilePlan>& plan) {
  uint64_t total = 0;
  for (const auto& p : plan) {
    struct stat st {};
    if (p.path == "-" || ::stat(p.path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return 0;  // nobody knows
    total += static_cast<uint64_t>(st.st_size);
  }
  return total;
}

class FirstPass {
 public:
  FirstPass(const Profile& profile, const FilterOptions& options);
  Report run();

 private:
  struct Stretch {
    LineBatch batch;
    SegmentBlock block;
    Statistics statistics;
  };
  void take_over();
  void judge(Stretch& stretch, int thread);
  void write(Stretch& stretch);
  void close_segment(const LineBatch& batch);
  void tell(const LineBatch& batch);

  const Profile& profile_;
  const FilterOptions& o_;
  Report report_;
  std::vector<FilePlan> plan_, todo_;
  std::vector<size_t> result_of_;  // of each input: its row in report_.files
  Progress progress_;

  std::vector<std::unique_ptr<Worker>> workers_;  // one for each thread, then the one for large lines
  std::vector<JudgedLine> judged_;                // one line's, of each thread
  std::mutex large_;                              // held while the worker for large lines judges

  // The segment being written.
  std::unique_ptr<SegmentWriter> writer_;
  SegmentInfo info_;
  uint64_t segment_content_ = 0;
  std::vector<size_t> next_segment_;   // of each input
  std::vector<uint64_t> next_offset_;  // of each input
  bool stopped_ = false;
};

FirstPass::FirstPass(const Profile& profile, const FilterOptions& options)
    : profile_(profile),
      o_(options),
      plan_(plan_files(options.inputs, options.shard, options.n_shards)),
      result_of_(options.inputs.size()),
      judged_(options.threads),
      next_segment_(options.inputs.size()),
      next_offset_(options.inputs.size()) {
  report_.profile = profile;
  report_.notes = options.notes;
  report_.threads = options.threads;
  report_.shard = options.shard;
  report_.n_shards = options.n_shards;
  report_.work = options.work;
  for (const auto& p : plan_) {
    result_of_[p.file] = report_.files.size();
    report_.files.push_back({p.path, "", 0});
  }
  progress_.doing = "reading";
  progress_.total_bytes = stored_bytes(plan_);
}

// What an earlier run finished is not done again.
void FirstPass::take_over() {
  for (const auto& p : plan_) {
    FilePlan left = p;
    bool done = false;
    for (size_t s = 0; o_.resume && !done; ++s) {
      SegmentInfo info;
      if (!read_segment_info(segment_name(o_.work, p.file, s), info) || info.partial) break;
      report_.statistics.merge(info.statistics);
      next_segment_[p.file] = s + 1;
      left.offset = info.end_offset;
      left.line = info.end_line;
      left.find_line_start = false;
      done = info.ends_file;
      FileResult& result = report_.files[result_of_[p.file]];
      result.damage = info.damage;
      result.content_bytes = info.end_offset;
    }
    next_offset_[p.file] = left.offset;
    if (!done) todo_.push_back(left);
  }
  drop_stale_segments(o_.work, next_segment_);
  if (report_.statistics.read > 0)
    report_.notes.push_back("resumed: " + std::to_string(report_.statistics.read) +
                            " records were done before");
}

void FirstPass::judge(Stretch& s, int thread) {
  const std::string file_name = o_.shown(s.batch.file);
  JudgedLine& out = judged_[thread];
  s.block.clear();
  s.statistics = {};
  for (const InputLine& line : s.batch.lines) {
    const std::string_view bytes = std::string_view(s.batch.bytes).substr(line.begin, line.length);
    if (line.length > kLargeLine) {
      const std::lock_guard lock(large_);
      workers_.back()->judge(bytes, line, s.batch, file_name, s.batch.file, out);
      s.statistics.merge(std::exchange(workers_.back()->statistics(), {}));
    } else {
      workers_[thread]->judge(bytes, line, s.batch, file_name, s.batch.file, out);
    }
    if (out.blank) continue;
    s.block.add(SegmentEntry{out.fate, out.stage, line.offset, line.line,
                             out.own ? std::string_view(out.text) : bytes});
    if (out.has_signature) s.block.add(out.signature);
  }
  s.statistics.merge(std::exchange(workers_[thread]->statistics(), {}));
}

void FirstPass::write(Stretch& s) {
  if (stopped_) return;  // the last segment is closed
  const LineBatch& batch = s.batch;
  uint64_t& offset = next_offset_[batch.file];
  if (!writer_) {
    writer_ = std::make_unique<SegmentWriter>(segment_name(o_.work, batch.file, next_segment_[batch.file]++));
    info_ = {};
    info_.begin_offset = offset;
  }
  writer_->add(s.block);
  info_.statistics.merge(s.statistics);
  segment_content_ += batch.end_offset - offset;
  progress_.content_bytes += batch.end_offset - offset;
  offset = batch.end_offset;
  progress_.read += batch.lines.size();
  progress_.kept += s.block.n_kept();
  stopped_ = o_.stopped();
  if (batch.ends_file || stopped_ || segment_content_ >= kSegmentBytes) close_segment(batch);
  tell(batch);
}

void FirstPass::close_segment(const LineBatch& batch) {
  info_.end_offset = batch.end_offset;
  info_.end_line = batch.end_line;
  info_.ends_file = batch.ends_file;
  info_.partial = stopped_ && !batch.ends_file;
  info_.damage = batch.damage;
  report_.statistics.merge(info_.statistics);
  writer_->commit(info_);
  writer_.reset();
  segment_content_ = 0;
  FileResult& result = report_.files[result_of_[batch.file]];
  result.damage = batch.damage;
  result.content_bytes = batch.end_offset;
  if (!batch.note.empty()) report_.notes.push_back(result.path + " " + batch.note);
}

void FirstPass::tell(const LineBatch& batch) {
  if (batch.ends_file) progress_.bytes += batch.raw_bytes;
  if (!o_.progress) return;
  Progress now = progress_;
  if (!batch.ends_file) now.bytes += batch.raw_bytes;
  o_.progress(now);
}

Report FirstPass::run() {
  const int64_t start = now_ns();
  std::vector<LoadedStage> stages = load_stages(profile_, o_.resources);
  for (size_t i = 0; i < stages.size(); ++i) {
    report_.notes.insert(report_.notes.end(), stages[i].notes.begin(), stages[i].notes.end());
    if (!stages[i].facts.is_null()) report_.stage_facts.emplace_back(profile_.stages[i], stages[i].facts);
  }
  if (const std::string note = open_work(profile_, o_); !note.empty()) report_.notes.push_back(note);
  take_over();

  InputOptions input = o_.input;
  input.stop = o_.stop;
  WorkerOptions worker_options = o_.worker;
  worker_options.sign = duplicate_search(profile_).on;
  for (int i = 0; i <= o_.threads; ++i)
    workers_.push_back(std::make_unique<Worker>(profile_, stages, worker_options));
  ThreadPool pool(o_.threads);
  BatchReader reader(todo_, input);
  run_ordered<Stretch>(
      pool, o_.threads + kSpare, [&](Stretch& s) { return reader.next(s.batch); },
      [&](Stretch& s, int thread) { judge(s, thread); }, [&](Stretch& s) { write(s); });
  report_.interrupted = o_.stopped();
  if (!report_.interrupted) mark_first_pass_complete(o_.work);
  const Statistics& s = report_.statistics;
  report_.conserved = s.read == s.kept + s.dropped + s.quarantined;
  for (const auto& f : report_.files) report_.damaged = report_.damaged || !f.damage.empty();
  report_.seconds = seconds_since(start);
  return std::move(report_);
}

}  // namespace

Report run_first_pass(const Profile& profile, const FilterOptions& options) {
  return FirstPass(profile, options).run();
}

}  // namespace ds::filter
