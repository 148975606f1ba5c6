#include "infer/answer_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <unordered_set>

#include "core/hash.h"
#include "infer/run_identity.h"
#include "io/json.h"
#include "io/jsonl.h"
#include "io/run_lock.h"

namespace ds::infer {
namespace {

// How every result begins; a cut line may be shorter.
constexpr std::string_view kBegin = R"({"id":)";

bool may_be_cut_result(std::string_view line) {
  return line.substr(0, kBegin.size()) == kBegin.substr(0, line.size());
}

uint64_t number_of_hex(const std::string& text) { return std::strtoull(text.c_str(), nullptr, 16); }

}  // namespace

AnswerFile::AnswerFile(const std::string& path, const char* mark, const Json& identity)
    : path_(path), mark_(mark) {
  open();
  read_run();
  read();
  if (any_known_) {
    if (const std::string other = identity_difference(run_, identity); !other.empty())
      throw Error(ErrorKind::kUsage, "its answers are of another run: " + other, path_,
                  "repeat the same command, or give another OUT; without " + run_path(path_) +
                      " the answers are taken as they are");
  } else {
    begin_run(identity);
  }
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

// What FILE.run says. A last line that was cut goes.
void AnswerFile::read_run() {
  const std::string path = run_path(path_);
  if (!io::file_exists(path)) return;
  run_fd_ = io::FileHandle(::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
  if (run_fd_.get() < 0) throw Error(ErrorKind::kCannotCreate, "cannot open: " + io::os_error(), path);
  const io::MappedFile file(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  size_t begin = 0;
  for (size_t end; (end = bytes.find('\n', begin)) != bytes.npos; begin = end + 1) {
    Json json;
    try {
      json = io::parse_json(bytes.substr(begin, end - begin), path);
    } catch (const Error&) {
      if (begin > 0) continue;  // a power cut's zeros: that answer is one of those nothing is known of
    }
    const Json *run = find(json, "run"), *record = find(json, "record"), *answer = find(json, "answer");
    if (begin == 0) {
      if (!run || !run->is_object())
        throw Error(ErrorKind::kBadData, "is in the way, and no file of an earlier run", path,
                    "move it away");
      run_ = *run;
    } else if (record && record->is_string() && answer && answer->is_string()) {
      records_.emplace(number_of_hex(as_string(*answer)), number_of_hex(as_string(*record)));
    }
  }
  if (begin < bytes.size() && ::ftruncate(run_fd_.get(), static_cast<off_t>(begin)) != 0)
    throw Error(ErrorKind::kIo, "cannot drop the line that was cut: " + io::os_error(), path);
}

void AnswerFile::begin_run(const Json& identity) {
  const std::string path = run_path(path_);
  run_fd_ = io::FileHandle(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666));
  if (run_fd_.get() < 0) throw Error(ErrorKind::kCannotCreate, "cannot open: " + io::os_error(), path);
  Json head;
  head["run"] = identity;
  io::write_all(run_fd_.get(), dump(head) + "\n", path);
}

bool AnswerFile::answers_record(uint64_t line_hash, uint64_t record_hash) const {
  const auto [begin, end] = records_.equal_range(line_hash);
  return std::any_of(begin, end, [&](const auto& entry) { return entry.second == record_hash; });
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
    uint64_t hash;
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
    // A line that answers in OpenAI's form has an id of its own, too.
    const Json *custom_id = find(json, "custom_id"), *id = custom_id ? custom_id : find(json, "id");
    const Json* error = find(json, "error");
    const bool failed = error && error->is_object();
    if (!id || (!failed && !find(json, custom_id ? "response" : mark_))) refuse(where);
    if (failed) failed_ids.insert(dump(*id));
    n_failed_ += failed;
    results.push_back({dump(*id),
                       {size_, static_cast<int64_t>(end + 1 - begin)},
                       fnv1a(bytes.substr(begin, end + 1 - begin)),
                       failed});
  }
  // A power cut may leave zeros where a line was to be.
  const std::string_view cut = bytes.substr(static_cast<size_t>(size_));
  if (!may_be_cut_result(cut.substr(0, cut.find('\0'))))
    refuse(path_ + ":" + std::to_string(results.size() + 1));
  if (!cut.empty() && ::ftruncate(fd_.get(), size_) != 0)
    throw Error(ErrorKind::kIo, "cannot drop the line that was cut: " + io::os_error(), path_);
  // Records of one id are told apart by their order, which a failed one among them upsets: all are done
  // again.
  known_ = true;
  any_known_ = false;
  for (const Result& result : results) {
    if (failed_ids.contains(result.id)) continue;
    Answers& answers = answers_[result.id];
    if (records_.contains(result.hash)) {
      answers.known.push_back({result.line, result.hash});
      any_known_ = true;
    } else {
      answers.unknown.push_back(result.line);
      known_ = false;
    }
    answered_.push_back(result.line);
  }
  n_found_ = static_cast<int64_t>(answered_.size());
}

std::optional<AnswerFile::Line> AnswerFile::take(const Json& id, const Json& record) {
  const auto found = answers_.find(dump(id));
  if (found == answers_.end()) return std::nullopt;
  Answers& answers = found->second;
  answers.has_record = true;
  const uint64_t hash = fnv1a(dump(record));
  for (auto it = answers.known.begin(); it != answers.known.end(); ++it) {
    if (!answers_record(it->hash, hash)) continue;
    const Line line = it->line;
    answers.known.erase(it);
    return line;
  }
  if (answers.n_taken < answers.unknown.size()) {
    ++answers.n_taken;
    return Line{-1, 0, &found->first};
  }
  if (!answers.known.empty()) {  // what it answers is no longer asked
    answers.known.erase(answers.known.begin());
    ++n_changed_;
  }
  return std::nullopt;
}

void AnswerFile::append(const std::string& line, const Json& record) {
  Json entry;
  entry["record"] = hex_of(fnv1a(dump(record)));
  entry["answer"] = hex_of(fnv1a(line));
  io::write_all(run_fd_.get(), dump(entry) + "\n", run_path(path_));
  append_error(line);
}

void AnswerFile::append_error(const std::string& line) {
  io::write_all(fd_.get(), line, path_);
  order_.push_back({size_, static_cast<int64_t>(line.size())});
  size_ += static_cast<int64_t>(line.size());
}

// Of the answers of one id the last ones count, as many as there are records.
void AnswerFile::resolve_order() {
  std::unordered_map<const std::string*, size_t> next;
  for (Line& line : order_) {
    if (line.offset >= 0) continue;
    const Answers& answers = answers_.at(*line.id);
    const auto [place, first] = next.emplace(line.id, answers.unknown.size() - answers.n_taken);
    line = answers.unknown[place->second++];
  }
}

void AnswerFile::finish() {
  int64_t n_strangers = 0;
  std::string stranger;
  for (const auto& [id, answers] : answers_) {
    const auto n_left = static_cast<int64_t>(answers.known.size() + answers.unknown.size() - answers.n_taken);
    (answers.has_record ? n_twice_ : n_strangers) += n_left;
    if (!answers.has_record && stranger.empty()) stranger = id;
  }
  if (n_strangers > 0)
    throw Error(
        ErrorKind::kBadData,
        "holds answers to " + std::to_string(n_strangers) + " records that are not in the input, as " +
            stranger,
        path_,
        "all records are answered, and their answers stand in this file, not yet in order: take those "
        "lines out, or give the records they answer, and run the same command again");
  resolve_order();
  int64_t end = 0;
  const bool in_order = std::all_of(order_.begin(), order_.end(), [&](const Line& line) {
    const bool next = line.offset == end;
    end = line.offset + line.n_bytes;
    return next;
  });
  if (::fsync(run_fd_.get()) != 0)
    throw Error(ErrorKind::kIo, "cannot sync: " + io::os_error(), run_path(path_));
  if (!in_order || end != size_) return replace_by(order_);
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
