// What a run is told, and what it tells while it runs.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "filter/passes/batch_reader.h"
#include "filter/stages/stage.h"
#include "io/record.h"

namespace ds::filter {

struct WorkerOptions {
  RecordFields fields;
  bool text_lines = false;  // each line is a text, not JSON
  bool transcode = false;   // GB18030 lines become UTF-8
  bool score_all = false;   // every rule of every stage, even after one has failed
  bool sign = true;         // fill the signature
};

struct Progress {
  uint64_t bytes = 0, total_bytes = 0;  // of the input files as stored; total 0: unknown
  uint64_t content_bytes = 0;
  uint64_t read = 0, kept = 0;
  const char* doing = "";
};
// "judging  31.2 MB/s  64.0 % kept  40 %  12 s left"
std::string progress_text(const Progress& progress, double elapsed_s);

struct FilterOptions {
  std::vector<std::string> inputs;  // files, "-"
  std::vector<std::string> notes;   // what the report is to say of them
  std::string output = "-";         // "-", a file, or a folder (ends with "/" or exists): one file per input
  std::function<void(std::string_view)> write_stdout;  // where "-" goes
  std::string rejects;    // "": not kept; a file, or a folder with one file per stage
  std::string bad_lines;  // "": not kept
  std::string work;       // "": <output>.work, or a temporary folder for "-"
  bool resume = false;
  int shard = 0, n_shards = 1;
  int threads = 1;
  WorkerOptions worker;
  InputOptions input;
  ResourceOptions resources;
  int64_t dedup_memory_bytes = 1'024'000'000;
  std::function<bool()> stop;
  std::function<void(const Progress&)> progress;

  bool stopped() const { return stop && stop(); }
  // How messages call an input.
  std::string shown(size_t file) const {
    return file >= inputs.size() ? "?" : inputs[file] == "-" ? "<stdin>" : inputs[file];
  }
};
// Adds what follows from what was chosen: no input is stdin, folders become the files in them, and stages
// read references as records are read. Throws Error as find_inputs, plan_files and check_formats do.
void complete(FilterOptions& options);

}  // namespace ds::filter
