#include "infer/answer_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <unordered_set>

#include "core/json_value.h"
#include "io/jsonl.h"
#include "io/run_lock.h"

namespace ds::infer {
namespace {

// How every result begins; a cut line may be shorter.
constexpr std::string_view kBegin = R"({"id":)";

bool may_be_cut_result(std::string_view line) {
  return line.substr(0, kBegin.size()) == kBegin.substr(0, line.size());
}

}  // namespace

AnswerFile::AnswerFile(const std::string& path, const char* mark) : path_(path), mark_(mark) {
  open();
  read();
  if (n_failed_ == 0) return;
  replace_by(answered_);
  const int64_t n_failed = n_failed_;
  open();
  read();
  n_failed_ = n_failed;
}

void AnswerFile::open() {
  fd_ = io::FileHandle(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (fd_.get() < 0) throw Error(ErrorKind::kCannotCreate, "cannot open: " + io::os_error(), path_);
  struct stat st {};
  if (::fstat(fd_.get(), &st) != 0 || !S_ISREG(st.st_mode))
    throw Error(ErrorKind::kUsage, "is no file that a later run could go on with", path_);
  io::RunLock::take(fd_.get(), path_);
  size_ = st.st_size;
}

void AnswerFile::read() {
  answers_.clear();
  answered_.clear();
  n_failed_ = 0;
  const auto refuse = [&](const std::string& where) {
    throw Error(ErrorKind::kBadData, "is no result of ds-run", where,
                "give the output of the run that was stopped, or a file that is not there yet");
  };
  struct Result {
    std::string id;
    Line line;
    bool failed;
  };
  std::vector<Result> results;
  std::unordered_set<std::string> failed_ids;
  const io::MappedFile file(path_);
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  size_ = 0;
  for (size_t end; (end = bytes.find('\n', static_cast<size_t>(size_))) != bytes.npos;
       size_ = static_cast<int64_t>(end) + 1) {
    const std::string where = path_ + ":" + std::to_string(results.size() + 1);
    const auto begin = static_cast<size_t>(size_);
    Json json;
    try {
      json = io::parse_jsonl_line(bytes.substr(begin, end - begin), where);
    } catch (const Error&) {
      refuse(where);
    }
    const Json *id = find(json, "id"), *error = find(json, "error");
    const bool failed = error && error->is_object();
    if (!id || (!failed && !find(json, mark_))) refuse(where);
    if (failed) failed_ids.insert(dump(*id));
    n_failed_ += failed;
    results.push_back({dump(*id), {size_, static_cast<int64_t>(end + 1 - begin)}, failed});
  }
  // A power cut may leave zeros where a line was to be.
  const std::string_view cut = bytes.substr(static_cast<size_t>(size_));
  if (!may_be_cut_result(cut.substr(0, cut.find('\0'))))
    refuse(path_ + ":" + std::to_string(results.size() + 1));
  if (!cut.empty() && ::ftruncate(fd_.get(), size_) != 0)
    throw Error(ErrorKind::kIo, "cannot drop the line that was cut: " + io::os_error(), path_);
  // Records of one id are told apart by their order, which a failed one among them upsets: all are done
  // again.
  for (const Result& result : results) {
    if (failed_ids.contains(result.id)) continue;
    answers_[result.id].push_back(result.line);
    answered_.push_back(result.line);
  }
  n_found_ = static_cast<int64_t>(answered_.size());
}

std::optional<AnswerFile::Line> AnswerFile::take(const Json& id) {
  const auto found = answers_.find(dump(id));
  if (found == answers_.end()) return std::nullopt;
  const Line line = found->second.front();
  found->second.pop_front();
  if (found->second.empty()) answers_.erase(found);
  return line;
}

void AnswerFile::append(const std::string& line) {
  io::write_all(fd_.get(), line, path_);
  order_.push_back({size_, static_cast<int64_t>(line.size())});
  size_ += static_cast<int64_t>(line.size());
}

void AnswerFile::finish() {
  if (!answers_.empty())
    throw Error(ErrorKind::kBadData,
                "holds answers to " + std::to_string(answers_.size()) +
                    " ids that no record has, or has as often, as " + answers_.begin()->first,
                path_, "all records are answered, and their answers stand in this file, not yet in order");
  int64_t end = 0;
  const bool in_order = std::all_of(order_.begin(), order_.end(), [&](const Line& line) {
    const bool next = line.offset == end;
    end = line.offset + line.n_bytes;
    return next;
  });
  if (!in_order) return replace_by(order_);
  if (::fsync(fd_.get()) != 0) throw Error(ErrorKind::kIo, "cannot sync: " + io::os_error(), path_);
}

void AnswerFile::replace_by(const std::vector<Line>& lines) {
  io::AtomicFile file(path_);
  std::string bytes;
  for (const Line& line : lines) {
    bytes.resize(static_cast<size_t>(line.n_bytes));
    io::read_at(fd_.get(), bytes.data(), bytes.size(), static_cast<uint64_t>(line.offset), path_);
    file.write(bytes);
  }
  file.commit();
}

}  // namespace ds::infer
