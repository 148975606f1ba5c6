// The one format between measuring and judging: JSON lines, schema "dsbench/1".
//
//   {"type":"header", ...}    what ran, on what, with which plan
//   {"type":"request", ...}   one per request; times are integers in ns since the run's start
//   {"type":"item", ...}      one per evaluated question
//   {"type":"trailer", ...}   counts, so that a cut-off file is noticed
//
// Any producer may write it; of a request only t_send_ns and t_done_ns must be there. Lines of ds-run
// --timings, and lines of other programs that carry at least "e2e_ms" (and "ttft_ms", "n_in", "n_out",
// "gaps_ms", at the top or under "timings") are understood as requests that ran one after the other.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/records/header.h"
#include "core/json_value.h"

namespace ds::bench {

constexpr const char* kSchema = "dsbench/1";

struct RequestRecord {
  std::string id;
  std::string arm = "a";          // "a" or "b" in an interleaved comparison
  std::string phase = "measure";  // or "warmup"
  std::string point;              // load point of a sweep: "c=4", "r=12.5"
  int32_t run = 0;                // place in RecordSet::runs
  int32_t clock = 0;              // header or file it came under: times of two do not compare
  int64_t block = 0;              // requests of one block were sent next to each other: pairs for tests
  int64_t segment = 0;            // bumped by each resumed run: clocks of two segments do not compare

  int64_t t_plan_ns = 0;         // when the load plan wanted it sent
  int64_t t_send_ns = 0;         // when it was sent
  int64_t t_first_ns = -1;       // first event with content; -1: none came
  int64_t t_answer_ns = -1;      // first event of the answer, where reasoning came before it
  int64_t t_last_ns = -1;        // last event with content
  int64_t t_done_ns = 0;         // end of stream, or exit of the command
  std::vector<int64_t> gaps_ns;  // between successive events with content

  int64_t n_in = -1, n_in_cached = -1, n_out = -1;  // tokens; -1: not known
  int64_t want_in = -1, want_out = -1;              // tokens asked for
  std::string tokens_source;  // "server", "engine", "events", "" when n_out is not known
  std::string finish;         // "stop", "length", ...
  std::string error;  // class: "timeout", "http_500", "exit_1", "bad_stream", ...; empty when it worked
  std::string error_detail;
  int64_t peak_rss_bytes = -1;

  bool ok() const { return error.empty(); }
  bool silent() const { return ok() && t_first_ns < 0 && n_out == 0; }  // ended without a token
  int64_t n_events() const { return t_first_ns < 0 ? 0 : static_cast<int64_t>(gaps_ns.size()) + 1; }
};
Json to_json(const RequestRecord& record);

// One evaluated question.
struct ItemRecord {
  std::string id, set, category, arm = "a";
  int32_t run = 0;        // place in RecordSet::runs
  bool correct = false;   // by the item's own rule
  bool strict = false;    // only the marked final answer counts
  bool flexible = false;  // the last number-like span counts
  bool unparsed = false;  // no answer could be extracted
  int64_t turns = 0, distance = 0;
  int64_t n_in = -1, n_out = -1;
  double e2e_ms = -1;
  std::string expected, text, error, error_detail;
  double nll = -1;  // ppl and kld: sum of -ln p over n_out scored tokens
  double kld = -1;  // mean KL to the baseline over the scored tokens
};
Json to_json(const ItemRecord& record);

// What belongs together: a header and what follows it, or a file without headers. The shards of one plan on
// one target are one run.
struct Run {
  std::string name;             // of the file
  std::vector<size_t> headers;  // places in RecordSet::headers, one per shard; none in a file of strangers
};

// A file (or several) of records, read leniently: a malformed line is counted and reported, never fatal.
struct RecordSet {
  std::vector<Run> runs;
  std::vector<RunHeader> headers;
  std::vector<Json> trailers;
  std::vector<RequestRecord> requests;
  std::vector<ItemRecord> items;
  std::vector<Json> drift;  // ledger entries, for reports
  int64_t n_lines = 0, n_bad = 0;
  std::vector<std::string> bad;  // the first few, "file:line: why"
  bool interrupted = false;      // a trailer says so
  bool cut_off = false;          // a header without a trailer
};
// The first header of a run, or nullptr.
const RunHeader* header_of(const RecordSet& set, int32_t run);

// Fills a set line by line.
class RecordReader {
 public:
  explicit RecordReader(RecordSet& set) : set_(set) {}
  // What follows is another run, unless its header says that it is a shard of an earlier one.
  void begin_file(std::string name);
  // Adds the line's record. Throws Error{kBadData} for a malformed line.
  void add(std::string_view line, const std::string& where);

 private:
  void begin_run(RunHeader header);
  int32_t run();
  void add_request(RequestRecord record);
  int64_t end_of_last() const;

  RecordSet& set_;
  std::string name_ = "records";
  int32_t run_ = -1, clock_ = -1;  // -1: none of this file yet
  int32_t n_clocks_ = 0;
};
// "-" is stdin; an HTML report written by ds-bench is read through its embedded records.
// Throws Error{kBadData} when no record at all is found.
RecordSet read_records(const std::vector<std::string>& paths);
// The set as JSON lines that read back the same, runs with their names.
std::string records_text(const RecordSet& set);

}  // namespace ds::bench
