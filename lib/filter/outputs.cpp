#include "filter/outputs.h"

#include <filesystem>

#include "core/json.h"

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

std::string shown(const RunOptions& o, size_t file) {
  if (file >= o.inputs.size()) return "?";
  return o.inputs[file] == "-" ? "<stdin>" : o.inputs[file];
}

}  // namespace

LineOutput::LineOutput(const std::string& path, const std::function<void(std::string_view)>& write_stdout) {
  std::function<void(std::string_view)> next = write_stdout;
  if (path != "-") {
    file_ = std::make_unique<AtomicFile>(path);
    next = [file = file_.get()](std::string_view bytes) { file->write(bytes); };
  }
  sink_ = std::make_unique<ByteSink>(compression_from_name(path), next);
}

void LineOutput::line(std::string_view bytes) {
  sink_->write(bytes);
  sink_->write("\n");
}

void LineOutput::commit() {
  sink_->finish();
  if (file_) file_->commit();
}

Outputs::Outputs(const RunOptions& options)
    : options_(options),
      per_file_(is_folder_name(options.output)),
      rejects_per_stage_(is_folder_name(options.rejects)) {
  if (per_file_)
    make_folder(options.output);
  else
    kept_ = std::make_unique<LineOutput>(options.output, options.write_stdout);
  if (rejects_per_stage_) make_folder(options.rejects);
  if (!options.rejects.empty() && !rejects_per_stage_)
    rejects_[0] = std::make_unique<LineOutput>(options.rejects, options.write_stdout);
  if (!options.bad_lines.empty())
    bad_ = std::make_unique<LineOutput>(options.bad_lines, options.write_stdout);
}

std::string Outputs::output_path(const std::string& input) const {
  const std::string name = input == "-" ? "stdin.jsonl" : fs::path(input).filename().string();
  return options_.output + (options_.output.back() == '/' ? "" : "/") + name;
}

void Outputs::begin_file(const std::string& input) {
  if (!per_file_) return;
  kept_ = std::make_unique<LineOutput>(output_path(input), options_.write_stdout);
}

void Outputs::end_file() {
  if (!per_file_) return;
  kept_->commit();
  kept_.reset();
}

void Outputs::keep(std::string_view bytes) { kept_->line(bytes); }

LineOutput& Outputs::reject_output(int stage) {
  if (!rejects_per_stage_) return *rejects_[0];
  auto& out = rejects_[stage];
  if (!out) {
    const std::string folder = options_.rejects + (options_.rejects.back() == '/' ? "" : "/");
    out = std::make_unique<LineOutput>(folder + stage_table()[stage].name + ".jsonl", options_.write_stdout);
  }
  return *out;
}

void Outputs::reject(int stage, std::string_view bytes) {
  if (!options_.rejects.empty()) reject_output(stage).line(bytes);
}

void Outputs::bad_line(std::string_view bytes) {
  if (bad_) bad_->line(bytes);
}

void Outputs::finish() {
  if (kept_) kept_->commit();
  for (auto& [stage, out] : rejects_) out->commit();
  if (bad_) bad_->commit();
}

std::string duplicate_reject(const Profile& profile, const RunOptions& o, size_t file, const SegmentEntry& e,
                             const Duplicate& d, int rule) {
  std::string t = "\"ds_filter\":{\"verdict\":\"drop\",\"stage\":\"duplicates\",\"rule\":\"";
  t += all_rules()[rule]->id;
  t += "\",\"value\":";
  append_json_number(t, d.exact ? 1.0 : d.similarity);
  t += ",\"drop_when\":\">\",\"threshold\":";
  append_json_number(t, d.exact ? 0.0 : profile.min_similarity);
  t += ",\"unit\":";
  append_json_string(t, all_rules()[rule]->unit);
  t += ",\"profile\":";
  append_json_string(t, profile.name);
  t += ",\"file\":";
  append_json_string(t, shown(o, file));
  t += ",\"line\":" + std::to_string(e.line) + ",\"offset\":" + std::to_string(e.offset) +
       ",\"duplicate_of\":{\"file\":";
  append_json_string(t, shown(o, ordinal_file(d.kept_ordinal)));
  t += ",\"line\":" + std::to_string(d.kept_line) +
       ",\"offset\":" + std::to_string(ordinal_offset(d.kept_ordinal)) +
       ",\"cluster_size\":" + std::to_string(d.cluster_size) + "}}";
  if (!o.worker.text_lines) return with_member(e.bytes, t);
  std::string record = "{\"text\":";
  append_json_string(record, e.bytes);
  return record + "," + t + "}";
}

}  // namespace ds::filter
