#include "filter/passes/work_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "core/json_value.h"
#include "filter/stages/profile.h"
#include "io/files.h"

namespace ds::filter {
namespace {

namespace fs = std::filesystem;

// Empty file of a work folder whose first pass is over.
constexpr char kComplete[] = "complete";
constexpr int64_t kMostManifestBytes = 1 << 30;

// What must be the same for --resume to go on.
Json run_identity(const Profile& profile, const FilterOptions& o) {
  Json files = Json::array();
  for (const auto& path : o.inputs) {
    struct stat st {};
    int64_t size = -1, mtime = 0;
    if (path != "-" && ::stat(path.c_str(), &st) == 0) {
      size = st.st_size;
      mtime = mtime_ns(st);
    }
    files.push_back(Json{{"path", path}, {"size", size}, {"mtime", mtime}});
  }
  Json out;
  out["format"] = 3;
  out["profile"] = profile_json(profile);
  out["inputs"] = std::move(files);
  out["shard"] = std::to_string(o.shard) + "/" + std::to_string(o.n_shards);
  out["text_field"] = o.worker.fields.text_field;
  out["id_field"] = o.worker.fields.id_field;
  out["url_field"] = o.worker.fields.url_field;
  out["text_lines"] = o.worker.text_lines;
  out["transcode"] = o.input.transcode;
  out["no_short_circuit"] = o.worker.score_all;
  out["max_line_bytes"] = o.input.max_line_bytes;
  Json extra = Json::array();
  for (const auto& g : o.resources.gazetteers) extra.push_back(Json(g));
  for (const auto& d : o.resources.decontaminate) extra.push_back(Json(d));
  extra.push_back(Json(o.resources.embedder));
  extra.push_back(Json(o.resources.references));
  extra.push_back(Json(o.resources.url_list));
  out["resources"] = std::move(extra);
  return out;
}

// Only what such a folder holds is removed: a mistyped --work must not cost data. Returns the checkpoints
// lost.
size_t empty_folder(const std::string& work) {
  std::error_code error;
  size_t n_segments = 0;
  for (const auto& entry : fs::directory_iterator(work, error)) {
    const std::string name = entry.path().filename().string();
    const std::string base = name.substr(0, name.rfind(".partial"));
    const bool segment = name.rfind("s-", 0) == 0;
    if (!segment && base != "manifest.json" && base != kComplete)
      throw Error(ErrorKind::kUsage, "holds '" + name + "', which no run of ds-filter made", work,
                  "choose another --work folder");
    n_segments += segment && name.ends_with(".seg");
  }
  // The folder itself stays: this run holds it.
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(work, error)) all.push_back(entry.path());
  for (const auto& path : all) fs::remove_all(path, error);
  return n_segments;
}

void make_work(const std::string& work) {
  std::error_code error;
  fs::create_directories(work, error);
  if (error) throw Error(ErrorKind::kCannotCreate, "cannot create: " + error.message(), work);
}

}  // namespace

std::string open_work(const Profile& profile, const FilterOptions& o) {
  const std::string manifest = o.work + "/manifest.json";
  const Json identity = run_identity(profile, o);
  if (o.resume && file_exists(manifest)) {
    if (read_file(manifest, kMostManifestBytes) != dump(identity) + "\n")
      throw Error(ErrorKind::kUsage, "the unfinished run had other inputs or another configuration", manifest,
                  "give the same arguments, or delete " + o.work + " to start over");
    return "";
  }
  const size_t n_lost = file_exists(o.work) ? empty_folder(o.work) : 0;
  make_work(o.work);
  AtomicFile file(manifest);
  file.write(dump(identity) + "\n");
  file.commit();
  if (n_lost == 0) return "";
  return "started over: " + std::to_string(n_lost) + (n_lost == 1 ? " checkpoint" : " checkpoints") +
         " of an unfinished run in " + o.work + " thrown away (--resume would have gone on)";
}

void drop_stale_segments(const std::string& work, const std::vector<size_t>& n_segments) {
  std::error_code error;
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(work, error)) {
    size_t file = 0, segment = 0;
    if (std::sscanf(entry.path().filename().c_str(), "s-%zu-%zu", &file, &segment) == 2 &&
        (file >= n_segments.size() || segment >= n_segments[file]))
      stale.push_back(entry.path());
  }
  for (const auto& path : stale) fs::remove(path, error);
}

void mark_first_pass_complete(const std::string& work) { AtomicFile(work + "/" + kComplete).commit(false); }

bool first_pass_complete(const std::string& work) { return file_exists(work + "/" + kComplete); }

std::vector<std::string> signature_files(const std::string& work) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(work, error))
    if (entry.path().extension() == ".sig") files.push_back(entry.path().string());
  if (error) throw Error(ErrorKind::kNoInput, "cannot list: " + error.message(), work);
  std::sort(files.begin(), files.end());
  return files;
}

WorkFolder::WorkFolder(const FilterOptions& o) : path_(o.work) {
  if (path_.empty() && o.output == "-") {
    const char* tmp = std::getenv("TMPDIR");
    path_ = std::string(tmp && *tmp ? tmp : "/tmp") + "/ds-filter-XXXXXX";
    if (!::mkdtemp(path_.data()))
      throw Error(ErrorKind::kCannotCreate, "cannot create: " + os_error(), path_);
    remove_ = true;
    return;
  }
  if (path_.empty()) {
    path_ = o.output;
    while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
    path_ = output_place(path_) + ".work";
  }
  make_work(path_);
  lock_.emplace(path_);
}

WorkFolder::~WorkFolder() {
  std::error_code error;
  if (remove_)
    fs::remove_all(path_, error);
  else
    ::rmdir(path_.c_str());  // refuses a folder that holds anything
}

}  // namespace ds::filter
