// What a run did; the same as JSON, as lines for a terminal, as one HTML page.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/json_value.h"
#include "filter/report/statistics.h"
#include "filter/stages/rules.h"

namespace ds::filter {

struct Cluster {
  uint64_t size = 0;
  std::string kept;  // file:line of the representative
};

struct FileResult {
  std::string path;
  std::string damage;  // why it was not read to its end
  uint64_t content_bytes = 0;
};

struct Report {
  // The steps of a distributed run report apart: after kJudge nothing is kept yet, and what kWrite was told
  // of judging is not its own work.
  enum class Step { kWhole, kJudge, kWrite } step = Step::kWhole;
  Profile profile;
  Statistics statistics;
  std::vector<FileResult> files;
  std::vector<Cluster> largest_clusters;
  std::vector<std::pair<std::string, Json>> stage_facts;  // stage, what it said of its resources
  uint64_t n_clusters = 0;
  bool interrupted = false;  // a signal came: outputs were not written, the work folder was kept
  bool damaged = false;      // a file ended early or was unreadable half-way
  bool conserved = false;    // read = kept + dropped + quarantined
  double seconds = 0, dedup_seconds = 0, write_seconds = 0;
  int threads = 1, n_shards = 1, shard = 0;
  std::string work;  // still there, else ""
  std::vector<std::string> notes;
};

// Why a run ends with another code than 0, the reason that decides first. `max_bad`: share of the records
// that may be quarantined.
struct Problem {
  ErrorKind kind;
  std::string says;
};
std::vector<Problem> problems(const Report& report, double max_bad);

Json report_json(const Report& report);
// At most `width` columns; with colour when asked.
std::string report_text(const Report& report, int width, bool colour);
// Self-contained: no network, no scripts from elsewhere.
std::string report_html(const Report& report, const std::string& command_line);

}  // namespace ds::filter
