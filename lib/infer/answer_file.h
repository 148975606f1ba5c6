// The output of a JSONL job that a later run goes on with: what is answered in it is not asked for again.
//
// The file grows by whole lines as answers come, so that a kill at any moment costs at most the line under
// way. Answers find their records by id ("line:7" where a record has none), those of one id in the order of
// the file. Error records are tried again; what that gives stands at the end of the file until finish() puts
// all answers into the order of the records.
//
// The answers alone do not say what they answer. FILE.run beside it does: what they depend on but the records
// (infer/run_identity.h), then a line of two hashes for each answer, written before it: of its record and of
// its own line. A run of another model or other options is refused; a record that is not the one that was
// answered is done again. Where FILE.run is missing, as beside what a run wrote to stdout, or speaks of none
// of the answers, neither is known.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/json_value.h"
#include "io/files.h"

namespace ds::infer {

class AnswerFile {
 public:
  // A place in the file. Without an offset: the next of those of this id that no record is known of; which of
  // them that is shows only at the end, as the last ones count.
  struct Line {
    int64_t offset = -1, n_bytes = 0;
    const std::string* id = nullptr;
  };
  static std::string run_path(const std::string& path) { return path + ".run"; }

  // Opens or makes both files, for this run alone. `mark`: the member that every result of the job has but
  // those in OpenAI's form, which have a "custom_id" and a "response". A last line that was cut goes, as do
  // error records. Throws Error{kBadData} for a file that holds anything but such results, {kUsage} when they
  // are of a run of another `identity`, naming what differs, {kCannotCreate} when it cannot be opened or
  // another run writes it.
  AnswerFile(const std::string& path, const char* mark, const Json& identity);
  int64_t n_found() const { return n_found_; }    // answers that were there
  int64_t n_failed() const { return n_failed_; }  // error records that were there
  // Whether it is known what the answers that were there depend on.
  bool is_known() const { return known_; }

  // The answer to this record, if one is there that no other record took.
  std::optional<Line> take(const Json& id, const Json& record);
  // What comes next in the order of the records: an answer that was taken, a new one, or an error record.
  void keep(const Line& answer) { order_.push_back(answer); }
  void append(const std::string& line, const Json& record);
  void append_error(const std::string& line);
  // After the last record: all in place and on the disk. Throws Error{kBadData} when answers are left whose
  // id no record has; they stay.
  void finish();
  int64_t n_changed() const { return n_changed_; }  // records that were not what had been answered
  int64_t n_twice() const { return n_twice_; }  // answers that finish() left out: later ones have their id

 private:
  // The answers of one id, in the order of the file.
  struct Answers {
    struct Known {
      Line line;
      uint64_t hash;  // of the line
    };
    std::vector<Known> known;   // whose record is known
    std::vector<Line> unknown;  // and whose is not
    size_t n_taken = 0;         // of `unknown`
    bool has_record = false;
  };

  void open();
  void read();
  void read_run();
  void begin_run(const Json& identity);
  bool answers_record(uint64_t line_hash, uint64_t record_hash) const;
  void resolve_order();
  void replace_by(const std::vector<Line>& lines);

  std::string path_, mark_;
  io::FileHandle fd_, run_fd_;
  int64_t size_ = 0, n_found_ = 0, n_failed_ = 0, n_changed_ = 0, n_twice_ = 0;
  Json run_;                                             // FILE.run's first line, null where there is none
  bool known_ = false, any_known_ = false;               // of the answers: all, one of them
  std::unordered_multimap<uint64_t, uint64_t> records_;  // by the hash of the answer's line
  std::map<std::string, Answers> answers_;               // by id as JSON
  std::vector<Line> answered_, order_;
};

}  // namespace ds::infer
