#include "filter/passes/outputs.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>

#include "core/json.h"
#include "filter/passes/inputs.h"
#include "filter/passes/worker.h"
#include "io/keep_apart.h"

namespace ds::filter {
namespace {

namespace fs = std::filesystem;

bool is_folder_name(const std::string& path) {
  std::error_code error;
  return !path.empty() && path != "-" && (path.back() == '/' || fs::is_directory(path, error));
}

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw Error(ErrorKind::kCannotCreate, "cannot create the folder: " + error.message(), path);
}

std::string in_folder(const std::string& folder, const std::string& name) {
  return folder + (folder.back() == '/' ? "" : "/") + name;
}

// "raw.jsonl.gz" of shard 0 of 2: "raw-00000-of-00002.jsonl.gz", so that shards of one folder do not meet.
std::string shard_name(const FilterOptions& o, const std::string& name) {
  if (o.n_shards == 1) return name;
  char text[40];
  std::snprintf(text, sizeof text, "-%05d-of-%05d", o.shard, o.n_shards);
  const size_t stem = fs::path(name).parent_path().string().size();
  const size_t dot = std::min(name.find('.', name.find_first_not_of("./", stem)), name.size());
  return name.substr(0, dot) + text + name.substr(dot);
}

std::string rejects_path(const FilterOptions& o, size_t stage_idx) {
  return in_folder(o.rejects, shard_name(o, std::string(stage_table()[stage_idx].name) + ".jsonl"));
}

// One output per input: its file name, or, where two inputs share one, the path below the inputs' common
// folder. Depends on the list of inputs alone, so that all shards agree. A single input is cut into shards:
// each writes a file of its own.
std::vector<std::string> output_paths(const FilterOptions& o) {
  std::vector<fs::path> paths;
  std::map<fs::path, int> names;
  for (const auto& input : o.inputs) {
    paths.push_back(input == "-" ? fs::path("stdin.jsonl") : fs::absolute(input).lexically_normal());
    ++names[paths.back().filename()];
  }
  fs::path common = paths.empty() ? fs::path() : paths[0].parent_path();
  for (const auto& path : paths)
    while (common.has_relative_path() && path.lexically_relative(common).string().rfind("..", 0) == 0)
      common = common.parent_path();
  std::vector<std::string> out;
  for (const auto& path : paths) {
    const bool shared = names.size() < paths.size() && path.is_absolute();
    const std::string name = shared ? path.lexically_relative(common).string() : path.filename().string();
    out.push_back(in_folder(o.output, paths.size() == 1 ? shard_name(o, name) : name));
  }
  return out;
}

// All files that a run writes.
std::vector<std::string> outputs_of(const FilterOptions& o, const std::vector<std::string>& reports) {
  std::vector<std::string> outputs;
  for (const auto& path : reports)
    if (!path.empty()) outputs.push_back(path);
  if (is_folder_name(o.output))
    for (const auto& path : output_paths(o)) outputs.push_back(path);
  else if (!o.output.empty())
    outputs.push_back(o.output);
  if (is_folder_name(o.rejects))
    for (size_t i = 0; i < stage_table().size(); ++i) outputs.push_back(rejects_path(o, i));
  else if (!o.rejects.empty())
    outputs.push_back(o.rejects);
  if (!o.bad_lines.empty()) outputs.push_back(o.bad_lines);
  return outputs;
}

}  // namespace

PackedOutput::PackedOutput(const std::string& path, const std::function<void(std::string_view)>& write_stdout)
    : compression_(compression_from_name(path)), next_(write_stdout) {
  if (path == "-") return;
  file_ = std::make_unique<AtomicFile>(path);
  next_ = [file = file_.get()](std::string_view bytes) { file->write(bytes); };
}

void PackedOutput::write(std::string_view packed) {
  if (packed.empty()) return;
  empty_ = false;
  next_(packed);
}

void PackedOutput::commit() {
  if (empty_ && compression_ != Compression::kNone) next_(pack(compression_, {}));  // nothing, but readable
  if (file_) file_->commit();
}

std::string pack(Compression compression, std::span<const std::string_view> pieces) {
  std::string out;
  ByteSink sink(compression, [&](std::string_view bytes) { out += bytes; });
  for (const auto& piece : pieces) sink.write(piece);
  sink.finish();
  return out;
}

void check_outputs(const FilterOptions& o, const std::vector<std::string>& reports,
                   const std::vector<std::string>& others_read) {
  const std::vector<std::string> outputs = outputs_of(o, reports);
  std::vector<std::string> read = o.inputs;
  read.insert(read.end(), others_read.begin(), others_read.end());
  const auto& resources = o.resources;
  read.insert(read.end(), resources.gazetteers.begin(), resources.gazetteers.end());
  read.insert(read.end(), resources.decontaminate.begin(), resources.decontaminate.end());
  read.insert(read.end(), {resources.references, resources.url_list});
  keep_apart(outputs, read);
  std::error_code error;
  // The work folder goes when the run is done, with all that is in it.
  const fs::path work = o.work.empty() ? fs::path() : fs::weakly_canonical(o.work, error);
  for (const auto& path : outputs) {
    if (work.empty() || path == "-") continue;
    const fs::path below = fs::weakly_canonical(path, error).lexically_relative(work);
    if (!below.empty() && *below.begin() != "..")
      throw Error(ErrorKind::kUsage, "lies in the --work folder, which goes when the run is done", path,
                  "give one of them another place");
  }
  for (const auto& path : outputs) {
    if (fs::exists(path, error) && !fs::is_regular_file(path, error)) continue;  // /dev/null
    if (path == "-") continue;
    const fs::path folder = fs::path(path).parent_path();
    if (!folder.empty()) make_folder(folder.string());
    if (::access(folder.empty() ? "." : folder.c_str(), W_OK) != 0)
      throw Error(ErrorKind::kCannotCreate, "cannot create: " + os_error(), path,
                  "check the folder and its permissions");
  }
}

void refuse_mixture(const FilterOptions& o, const std::vector<std::string>& reports) {
  if (!is_folder_name(o.output)) return;
  const auto place = [](const fs::path& path) { return fs::absolute(path).lexically_normal(); };
  std::set<fs::path> ours;
  FilterOptions part = o;
  for (part.shard = 0; part.shard < o.n_shards; ++part.shard)
    for (const auto& path : outputs_of(part, reports)) ours.insert(place(path));
  std::error_code error;
  for (fs::directory_iterator it(o.output, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    const std::string name = it->path().filename().string();
    if (it->is_regular_file(gone) && is_data_name(name) && !ours.contains(place(it->path())))
      throw Error(ErrorKind::kCannotCreate, "is not empty: " + name + " there is no output of this run",
                  o.output, "give another folder, or empty it: what reads it would read a mixture of runs");
  }
}

Outputs::Outputs(const FilterOptions& options)
    : options_(options), rejects_per_stage_(is_folder_name(options.rejects)) {
  check_outputs(options);
  if (is_folder_name(options.output))
    per_file_ = output_paths(options);
  else
    kept_ = std::make_unique<PackedOutput>(options.output, options.write_stdout);
  if (!options.rejects.empty() && !rejects_per_stage_) {
    reject_compression_ = compression_from_name(options.rejects);
    rejects_[0] = std::make_unique<PackedOutput>(options.rejects, options.write_stdout);
  }
  if (!options.bad_lines.empty()) {
    bad_compression_ = compression_from_name(options.bad_lines);
    bad_ = std::make_unique<PackedOutput>(options.bad_lines, options.write_stdout);
  }
}

Compression Outputs::kept_compression(size_t input) const {
  return compression_from_name(per_file_.empty() ? options_.output : per_file_[input]);
}

void Outputs::begin_file(size_t input) {
  if (per_file_.empty()) return;
  kept_ = std::make_unique<PackedOutput>(per_file_[input], options_.write_stdout);
}

void Outputs::end_file() {
  if (per_file_.empty()) return;
  kept_->commit();
  kept_.reset();
}

void Outputs::reject(int reject_file, std::string_view packed) {
  auto& out = rejects_[reject_file];
  if (!out) out = std::make_unique<PackedOutput>(rejects_path(options_, reject_file), options_.write_stdout);
  out->write(packed);
}

void Outputs::finish() {
  if (kept_) kept_->commit();
  for (auto& [stage, out] : rejects_) out->commit();
  if (bad_) bad_->commit();
}

std::string duplicate_reject(const Profile& profile, const FilterOptions& o, size_t file,
                             const SegmentEntry& e, const Duplicate& d, int rule) {
  std::string t = "\"ds_filter\":{\"verdict\":\"drop\",\"stage\":\"";
  t += stage_table()[stage_of_rule(rule)].name;
  t += "\",\"rule\":\"";
  t += all_rules()[rule]->id;
  t += "\",\"value\":";
  append_json_number(t, d.exact ? 1.0 : d.similarity);
  t += ",\"drop_when\":\">\",\"threshold\":";
  append_json_number(t, d.exact ? 0.0 : profile.duplicates.min_similarity);
  t += ",\"unit\":";
  append_json_string(t, all_rules()[rule]->unit);
  t += ",\"profile\":";
  append_json_string(t, profile.name);
  t += ",\"file\":";
  append_json_string(t, o.shown(file));
  t += ",\"line\":" + std::to_string(e.line) + ",\"offset\":" + std::to_string(e.offset) +
       ",\"duplicate_of\":{\"file\":";
  append_json_string(t, o.shown(d.kept_ordinal.file));
  t += ",\"line\":" + std::to_string(d.kept_line) + ",\"offset\":" + std::to_string(d.kept_ordinal.offset) +
       ",\"cluster_size\":" + std::to_string(d.cluster_size) + "}}";
  if (!o.worker.text_lines) return with_member(e.bytes, t);
  std::string record = "{\"text\":";
  append_json_string(record, e.bytes);
  return record + "," + t + "}";
}

}  // namespace ds::filter
