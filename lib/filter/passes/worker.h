// What one thread does with one line: parse, run the record-local stages, sign what is left.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "filter/duplicates/minhash.h"
#include "filter/passes/options.h"
#include "filter/passes/segment.h"
#include "filter/report/statistics.h"
#include "filter/stages/stage.h"
#include "io/record.h"

namespace ds::filter {

// The fate of one line.
struct JudgedLine {
  Fate fate = Fate::kKept;
  bool blank = false;  // nothing but white space: no record
  uint8_t stage = 0;
  bool own = false;  // bytes are in `text`, else the line is passed on as it is
  std::string text;
  bool has_signature = false;
  Signature signature;
};

class Worker {
 public:
  Worker(const Profile& profile, std::span<const LoadedStage> stages, WorkerOptions options);
  // `bytes` is the line, with kRecordPadding readable bytes behind it.
  void judge(std::string_view bytes, const InputLine& line, const LineBatch& batch,
             const std::string& file_name, size_t file, JudgedLine& out);
  // After judge() of a record: what the rules saw.
  const Scorecard& scorecard() const { return scorecard_; }
  const Document& document() const { return doc_; }
  const FieldRecord& record() const { return record_; }
  Statistics& statistics() { return statistics_; }

 private:
  void run_stages();
  void count_entities();
  void quarantine(std::string_view bytes, const InputLine& line, const std::string& file_name,
                  const char* error, const char* hint, JudgedLine& out);
  std::string edited_line(std::string_view line);
  std::string masked_text(size_t from, size_t to) const;
  std::string verdict_member(const std::string& file_name, const InputLine& line) const;

  const Profile& profile_;
  WorkerOptions options_;
  std::vector<std::unique_ptr<Stage>> stages_;  // in the profile's order
  std::vector<int> stage_idx_, first_rule_;
  const int duplicates_;
  FieldReader reader_;
  FieldRecord record_;
  Document doc_;
  Scorecard scorecard_;
  std::vector<Edit> edits_;
  MinHasher hasher_;
  Statistics statistics_;
  std::string converted_;  // a transcoded line
};

// `record`, a JSON object in text form, with a member appended.
std::string with_member(std::string_view record, std::string_view member);

}  // namespace ds::filter
