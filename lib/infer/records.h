// JSONL jobs: one JSON object a line in, one a line out, in order. A record that cannot be used yields an
// error record and the rest go on.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/json.h"
#include "io/files.h"
#include "io/lines.h"

namespace ds::infer {

struct RecordCounts {
  int64_t n_read = 0;     // records; blank lines are none
  int64_t n_written = 0;  // results and error records
  int64_t n_failed = 0;   // of those written: error records
  bool interrupted = false;
};

// "12 records read, 11 answered, 1 failed"
std::string counts_text(const RecordCounts& counts);

struct Record {
  Json id;            // as given; the line number when the record has none
  Json json;          // the object
  std::string where;  // file:line
  std::string line;   // as read
  int64_t index = 0;  // 0 for the first record
};

class RecordReader {
 public:
  // `path`: "-" is stdin. `stop_requested` may be empty.
  RecordReader(const std::string& path, std::function<bool()> stop_requested);

  // The next record, nothing at the end or when asked to stop. A line that is no JSON object, or whose "id"
  // is neither string nor number, is handed to on_bad with what is known of its id.
  using OnBad = std::function<void(const Json& id, const Error&, std::string_view line)>;
  std::optional<Record> next(const OnBad& on_bad);
  int64_t n_read() const { return n_read_; }
  bool interrupted() const { return interrupted_; }

 private:
  LineReader lines_;
  std::function<bool()> stop_requested_;
  int64_t n_read_ = 0;
  bool interrupted_ = false;
};

// Parses one line. Throws Error{kBadData} naming `where`; `id` receives what is known even then.
Record parse_record(std::string_view line, const std::string& where, int64_t line_number, Json& id);

// {"id", "error": {"message", "where", "hint"}}
Json error_record(const Json& id, const Error& error);
// Whether an error spoils only the record it was found in. Others end the run.
bool spoils_one_record(const Error& error);

struct RecordJob {
  std::string input = "-";
  OutputStream* output = nullptr;  // none: results are counted only
  std::function<bool()> stop_requested;
  bool flush_each = false;  // for slow jobs: results are seen as they come
  std::string bad_lines;    // lines of records that failed go to this file as they were; empty: nowhere
  // Tells people about a bad record ("file:line: what"); may be empty.
  std::function<void(const Error&)> on_bad;
};

// Where results go, and the counting of them.
class RecordWriter {
 public:
  explicit RecordWriter(const RecordJob& job);
  void write(const Json& result);
  void write_error(const Json& id, const Error& error, std::string_view line);
  // Everything out and closed. n_read is checked against what was written.
  RecordCounts finish(int64_t n_read, bool interrupted);

 private:
  const RecordJob& job_;
  std::unique_ptr<AtomicFile> bad_lines_;
  RecordCounts counts_;
};

// Runs `handle` over all records; what it returns is written with the record's id in front.
using RecordHandler = std::function<Json(const Record&)>;
RecordCounts for_each_record(const RecordJob& job, const RecordHandler& handle);

// Members with checked types; each throws Error{kBadData} naming the member and `where`.
const std::string* string_member(const Record& record, std::string_view key);
std::optional<bool> bool_member(const Record& record, std::string_view key);
std::optional<double> number_member(const Record& record, std::string_view key);
std::optional<int64_t> count_member(const Record& record, std::string_view key);  // 0 or more
std::optional<std::vector<int32_t>> ids_member(const Record& record, std::string_view key);

}  // namespace ds::infer
