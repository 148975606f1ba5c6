// The output of a JSONL job that a later run goes on with: what is answered in it is not asked for again.
//
// The file grows by whole lines as answers come, so that a kill at any moment costs at most the line under
// way. Answers find their records by id ("line:7" where a record has none), those of one id in the order of
// the file. Error records are tried again; what that gives stands at the end of the file until finish() puts
// all answers into the order of the records.
#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/json.h"
#include "io/files.h"

namespace ds::infer {

class AnswerFile {
 public:
  // A place in the file.
  struct Line {
    int64_t offset = 0, n_bytes = 0;
  };

  // Opens or makes the file, for this run alone. `mark`: the member that every result of the job has. A last
  // line that was cut goes, as do error records. Throws Error{kBadData} for a file that holds anything but
  // such results, {kCannotCreate} when it cannot be opened or another run writes it.
  AnswerFile(const std::string& path, const char* mark);
  int64_t n_found() const { return n_found_; }    // answers that were there
  int64_t n_failed() const { return n_failed_; }  // error records that were there

  // The answer to a record of this id, if one is there that no other record took.
  std::optional<Line> take(const Json& id);
  // What comes next in the order of the records: an answer that was taken, or a new one.
  void keep(const Line& answer) { order_.push_back(answer); }
  void append(const std::string& line);
  // After the last record: all in place and on the disk. Throws Error{kBadData} when answers are left that no
  // record took; they stay.
  void finish();

 private:
  void open();
  void read();
  void replace_by(const std::vector<Line>& lines);

  std::string path_, mark_;
  io::FileHandle fd_;
  int64_t size_ = 0, n_found_ = 0, n_failed_ = 0;
  std::unordered_map<std::string, std::deque<Line>> answers_;  // by id as JSON
  std::vector<Line> answered_, order_;
};

}  // namespace ds::infer
