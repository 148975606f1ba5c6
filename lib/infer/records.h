// JSONL jobs: one JSON object a line in, one a line out, in order. A record that cannot be used yields an
// error record and the rest go on.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/json_members.h"
#include "core/json_value.h"
#include "infer/answer_file.h"
#include "io/files.h"
#include "io/jsonl.h"

namespace ds::infer {

struct RecordCounts {
  int64_t n_read = 0;     // records; blank lines are none
  int64_t n_written = 0;  // results and error records
  int64_t n_failed = 0;   // of those written: error records
  int64_t n_before = 0;   // of those written: answers that an earlier run left
  bool interrupted = false;
};

// "12 records read, 6 answered, 5 answered before, 1 failed"
std::string counts_text(const RecordCounts& counts);

struct Record : JsonlRecord {
  Json id;            // as given; "line:7" when the record has none
  int64_t index = 0;  // 0 for the first record

  // Members are found under the names that other programs give them, too: "max_new_tokens" is "max_tokens".
  JsonMembers members() const;
};

// Throws Error{kBadData} for an "id" that is neither string nor number.
Json id_of(const Record& record);

// {"id", "error": {"message", "where", "hint"}}
Json error_record(const Json& id, const Error& error);
// Whether an error spoils only the record it was found in. Others end the run.
bool spoils_one_record(const Error& error);

struct RecordJob {
  std::string input = "-";
  OutputStream* output = nullptr;  // none: results are counted only
  AnswerFile* answers = nullptr;   // in place of output: what is answered in it is not done again
  std::function<bool()> stop_requested;
  bool flush_each = false;  // for slow jobs: results are seen as they come
  std::string bad_lines;    // lines of records that failed go to this file as they were; empty: nowhere
  std::function<void(const RecordCounts&)> on_written;  // after each result; may be empty
  // Tells people about a bad record ("file:line: what"); may be empty.
  std::function<void(const Error&)> on_bad;
  // Tells people about a member that is not known, once per name; may be empty.
  std::function<void(const std::string&)> on_note;
  // Known members that have no effect in this job, and why: told as unknown ones are.
  std::map<std::string, std::string, std::less<>> idle_members;
};

using MemberNames = std::vector<std::string_view>;  // of literals

class JsonlRecordReader {
 public:
  // Records that have a "body" know these members, and in the body these.
  struct WithBody {
    MemberNames known, known_in_body;
  };
  // Members other than `known` and their synonyms are told to job.on_note, as are job.idle_members.
  JsonlRecordReader(const RecordJob& job, MemberNames known, WithBody with_body = {});

  // The next record, nothing at the end or when asked to stop. A line that is no JSON object, or whose "id"
  // is neither string nor number, is handed to on_bad with what is known of its id: an id that stands before
  // what is wrong with the line, else "line:7". So is the later of a record without an id and another that
  // has its name for an id.
  using OnBad = std::function<void(const Json& id, const Error&, std::string_view line)>;
  std::optional<Record> next(const OnBad& on_bad);
  int64_t n_read() const { return reader_.n_read(); }
  bool interrupted() const { return interrupted_; }
  // Whether next() waits for a record that is not yet there, as it does at first; at_end() tells then.
  void wait_for_input(bool waits) { reader_.wait_for_input(waits); }
  bool at_end() const { return reader_.at_end(); }

 private:
  void note_unknown(const Record& record);
  void keep_names_apart(const Record& record);
  void note_unknown(const Json& object, const MemberNames& known, const std::string& where);

  const RecordJob& job_;
  MemberNames known_;
  WithBody with_body_;
  JsonlReader reader_;
  std::set<std::string, std::less<>> noted_;
  std::vector<bool> nameless_;              // by line: a record without an id
  std::map<int64_t, int64_t> taken_names_;  // a later line to the one whose id is its name
  bool interrupted_ = false;
};

// Where results go, and the counting of them.
class RecordWriter {
 public:
  explicit RecordWriter(const RecordJob& job);
  void write(const Json& result, const Record& record);
  // An answer that an earlier run left.
  void keep(const AnswerFile::Line& answer);
  void write_error(const Json& result, const Error& error, std::string_view line);
  // Everything out and closed. n_read is checked against what was written.
  RecordCounts finish(int64_t n_read, bool interrupted);

 private:
  void count();
  void put(const std::string& line);

  const RecordJob& job_;
  std::unique_ptr<AtomicFile> bad_lines_;
  RecordCounts counts_;
};

// How many records a file holds, counted up to `most`; 0 where reading them would take them away: stdin, a
// pipe.
int64_t count_records(const std::string& path, int64_t most = INT64_MAX);

// Runs `handle` over all records, which have `known` members; what it returns is written with the record's id
// in front.
using RecordHandler = std::function<Json(const Record&)>;
RecordCounts for_each_record(const RecordJob& job, MemberNames known, const RecordHandler& handle);

// Throws Error{kBadData} unless the record has exactly one of these members.
void require_one_of(const Record& record, const MemberNames& names);

// A list of token ids. Throws Error{kBadData} naming the member and `where`.
std::optional<std::vector<int32_t>> ids_member(const JsonMembers& members, std::string_view name);

}  // namespace ds::infer
