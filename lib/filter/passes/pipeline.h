// ds-filter as a library: one call reads, judges, finds duplicates and writes; the report says what happened.
//
// Two passes. The first streams the input through the record-local stages and leaves segments in a work
// folder (see segment.h). Then duplicates are found among the signatures. The second pass copies what stays
// from the segments to the outputs. A record that any record-local stage drops is no candidate: a cluster
// never loses all its members because its representative was bad.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "filter/duplicates/clusters.h"
#include "filter/passes/worker.h"
#include "filter/report/statistics.h"
#include "filter/stages/rules.h"
#include "filter/stages/stage.h"

namespace ds::filter {

struct ResourceOptions {
  std::vector<std::string> gazetteers;  // TSV files over the shipped lexicon
  std::string embedder;                 // "": the shipped one
  std::string references;               // JSONL or text lines: "" keeps the embedder's own
  std::string url_list;
  std::vector<std::string> decontaminate;
};
// Loads what the profile's stages need. Throws Error.
Resources load_resources(const Profile& profile, const ResourceOptions& options, const RecordFields& fields);

struct Progress {
  uint64_t bytes = 0, total_bytes = 0;  // of the input files as stored; total 0: unknown
  uint64_t content_bytes = 0;
  uint64_t read = 0, kept = 0;
  const char* doing = "";
};

struct FilterOptions {
  std::vector<std::string> inputs;  // files, "-"
  std::string output = "-";         // "-", a file, or a folder (ends with "/" or exists): one file per input
  std::function<void(std::string_view)> write_stdout;  // where "-" goes
  std::string rejects;    // "": not kept; a file, or a folder with one file per stage
  std::string bad_lines;  // "": not kept
  std::string work;       // "": <output>.work, or a temporary folder for "-"
  bool resume = false;
  bool keep_work = false;
  int shard = 0, n_shards = 1;
  int threads = 1;
  WorkerOptions worker;
  InputOptions input;
  ResourceOptions resources;
  int64_t dedup_memory_bytes = int64_t{1} << 30;
  std::function<bool()> stop;
  std::function<void(const Progress&)> progress;
};

struct Cluster {
  uint64_t size = 0;
  std::string kept;  // file:offset of the representative
};

struct FileResult {
  std::string path;
  std::string damage;  // why it was not read to its end
  uint64_t content_bytes = 0;
};

// What a run did.
struct Report {
  Profile profile;
  Statistics statistics;
  std::vector<FileResult> files;
  std::vector<Cluster> largest_clusters;
  std::string embedder, embedder_digest, references;
  uint64_t n_clusters = 0;
  bool interrupted = false;  // a signal came: outputs were not written, the work folder was kept
  bool damaged = false;      // a file ended early or was unreadable half-way
  bool conserved = false;    // read = kept + dropped + quarantined
  double seconds = 0, dedup_seconds = 0, write_seconds = 0;
  int threads = 1, n_shards = 1, shard = 0;
  std::string work;  // still there, else ""
  std::vector<std::string> notes;
};

// All of it on one machine.
Report run(const Profile& profile, FilterOptions options);

// The same in steps that share files only, for SLURM arrays and Spark: see shards.h.
// First pass; the segments stay in options.work.
Report run_first_pass(const Profile& profile, const FilterOptions& options);
// Second pass over the segments of options.work; `duplicates` by ordinal.
void run_second_pass(const Profile& profile, const FilterOptions& options,
                     const std::vector<Duplicate>& duplicates, Report& report);

// Whether run_first_pass has come to its end in this work folder: no signature is missing.
bool first_pass_complete(const std::string& work);
// The signature files of a work folder, in input order; none where the inputs left no record.
std::vector<std::string> signature_files(const std::string& work);

}  // namespace ds::filter
