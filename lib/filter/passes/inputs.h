// Which files a run reads, and which part of them.
#pragma once
#include <string>
#include <vector>

#include "filter/passes/batch_reader.h"

namespace ds::filter {

struct InputFiles {
  std::vector<std::string> paths;
  std::vector<std::string> left_out;  // what lay in the folders and is no data by its name
  std::vector<std::string> absent;    // is data by its name, but its content is not there: a link to nothing
  size_t n_from_folders = 0;
};
// Files as given; a folder stands for the data files below it, sorted: .jsonl, .jsonlines, .jl, .ndjson,
// .ldjson, .json, .txt in any case, compressed or not, and Spark's and Hadoop's part-00000 and part-r-00000.
// What macOS keeps beside a file (._a.jsonl) and what was rotated (a.jsonl.1) is none. Throws Error{kNoInput}
// when one is missing, cannot be read or holds none.
InputFiles find_inputs(const std::vector<std::string>& inputs);
// Whether a folder's file of this name is data.
bool is_data_name(const std::string& file_name);
// How many files the folders gave and which they did not, for people; "" where no folder was given.
std::string folder_note(const InputFiles& inputs);

// Looks at the first bytes of all files before any is read. Throws Error{kBadData} for one of another format
// (io/other_formats.h). Streams are looked at when they are read.
void check_formats(const std::vector<FilePlan>& plan, const InputOptions& options);

// The shard's files, or its part of the only one. Throws Error{kUsage} when that one cannot be split.
std::vector<FilePlan> plan_files(const std::vector<std::string>& inputs, int shard, int n_shards);

}  // namespace ds::filter
