#include "quant/output_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "core/error.h"
#include "core/json_value.h"
#include "io/json.h"
#include "io/lines.h"
#include "report/words.h"

namespace ds::quant {
namespace {

namespace fs = std::filesystem;

// Marks a folder that a complete one has replaced, until it is deleted.
constexpr const char* kReplaced = ".ds-quantize.replaced";

[[noreturn]] void cannot(const std::string& where, const std::string& what, const std::string& hint = "") {
  throw Error(ErrorKind::kCannotCreate, what, where, hint);
}

std::string staging_of(const std::string& out) { return out + ".partial"; }

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error)
    cannot(path, "cannot create the folder: " + error.message(), "check the path and its permissions");
}

void remove_folder(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) cannot(path, "cannot remove what an earlier run left: " + error.message(), "delete it");
}

void require_writable(const std::string& path) {
  if (::access(path.c_str(), W_OK | X_OK) != 0)
    cannot(path, "cannot write into the folder: " + os_error(), "check its permissions");
}

// Both names change hands in one step where the file system can.
void swap_folders(const std::string& a, const std::string& b) {
#ifdef SYS_renameat2
  constexpr unsigned kExchange = 2;
  if (::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), kExchange) == 0) return;
#endif
  const std::string aside = b + ".replaced";
  if (::rename(b.c_str(), aside.c_str()) != 0 || ::rename(a.c_str(), b.c_str()) != 0 ||
      ::rename(aside.c_str(), a.c_str()) != 0)
    cannot(b, "cannot put " + a + " in its place: " + os_error());
}

// Another one after every start of the machine.
std::string boot_id() {
  const char* path = "/proc/sys/kernel/random/boot_id";
  return file_exists(path) ? read_file(path) : "";
}

// Nothing of anyone's: empty, or a run was killed before its manifest had its name.
bool is_fresh(const std::string& path) {
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
    if (it->path().filename() != std::string(OutputFolder::kManifest) + ".partial") return false;
  return !error;
}

}  // namespace

void check_apart(const std::string& model, const std::string& out) {
  std::error_code error;
  const fs::path from = fs::canonical(model, error);
  if (error) return;  // the reader will say what is wrong with it
  fs::path to = fs::weakly_canonical(fs::absolute(out), error);
  if (error) to = fs::absolute(out).lexically_normal();
  if (!to.has_filename()) to = to.parent_path();
  const auto inside = [](const fs::path& inner, const fs::path& outer) {
    const fs::path relative = inner.lexically_relative(outer);
    return !relative.empty() && *relative.begin() != "..";
  };
  if (from == to)
    throw Error(ErrorKind::kUsage, "is MODEL itself", out, "give another folder: MODEL stays as it is");
  if (inside(to, from)) throw Error(ErrorKind::kUsage, "lies inside MODEL", out, "give a folder beside it");
  if (inside(from, to)) throw Error(ErrorKind::kUsage, "holds MODEL", out, "give a folder beside it");
}

void require_space(const std::string& path, int64_t bytes, const std::string& hint) {
  struct statvfs fs_stat {};
  if (::statvfs(path.c_str(), &fs_stat) != 0) return;  // unknown: writing will tell
  const double free_bytes = static_cast<double>(fs_stat.f_bavail) * static_cast<double>(fs_stat.f_frsize);
  if (static_cast<double>(bytes) > free_bytes)
    throw Error(ErrorKind::kIo,
                "needs " + decimal_size(bytes) + " more, the file system has " +
                    decimal_size(static_cast<int64_t>(free_bytes)) + " free",
                path, hint);
}

OutputFolder::OutputFolder(const std::string& model, const std::string& out, const std::string& fingerprint,
                           bool resume, bool force)
    : out_(out) {
  while (out_.size() > 1 && out_.back() == '/') out_.pop_back();
  check_apart(model, out_);
  struct stat st {};
  const bool exists = ::lstat(out_.c_str(), &st) == 0;
  if (exists && S_ISLNK(st.st_mode))
    cannot(out_, "is a link, and links are never written through", "give the folder it points to");
  if (exists && !S_ISDIR(st.st_mode)) cannot(out_, "exists and is no folder");

  const std::string staging = staging_of(out_);
  path_ = out_;
  if (!exists) make_folder(out_);
  locks_.emplace_back(out_);  // before anything is removed: it may be another run's
  if (file_exists(staging + "/" + kReplaced)) remove_folder(staging);
  if (!exists) {
    sync_folder(folder_of(out_));
  } else if (file_exists(out_ + "/" + kManifest) && (resume || !force)) {
    if (!resume) cannot(out_, "holds a run that was stopped", "--resume continues it, --force starts anew");
  } else if (!is_fresh(out_)) {
    const bool is_model = file_exists(out_ + "/config.json");
    if (!force && resume && is_model) {  // the caller compares it with its plan
      complete_ = true;
      return;
    }
    if (!force) cannot(out_, "exists and is not empty", "--force replaces it once the new one is complete");
    if (!is_model && !file_exists(out_ + "/" + kManifest))
      cannot(out_, "is no model folder (no config.json), so --force does not replace it",
             "delete it yourself");
    path_ = staging;
    if (::lstat(path_.c_str(), &st) == 0) {
      if (!S_ISDIR(st.st_mode) || (!is_fresh(path_) && !file_exists(path_ + "/" + kManifest)))
        cannot(path_, "is in the way", "delete it");
      if (!resume) remove_folder(path_);
    }
    make_folder(path_);
    locks_.emplace_back(path_);  // it becomes `out_`: the next run shall find that locked, too
  }
  require_writable(path_);
  read_manifest(fingerprint, resume);
}

void OutputFolder::read_manifest(const std::string& fingerprint, bool resume) {
  const std::string path = path_ + "/" + kManifest;
  if (!resume || !file_exists(path)) return start_manifest(fingerprint);
  LineReader lines(path);
  const auto first = lines.next();
  Json head;
  try {
    if (first) head = parse_json(*first, path);
  } catch (const Error&) {  // killed while writing its first line: nothing was done yet
  }
  const Json* found = find(head, "fingerprint");
  if (!found || !found->is_string()) return start_manifest(fingerprint);
  if (as_string(*found) != fingerprint)
    throw Error(ErrorKind::kUsage, "the stopped run had other options, or MODEL has changed since", path,
                "repeat the same command, or --force to start anew");
  int64_t good = static_cast<int64_t>(first->size()) + 1;
  while (const auto line = lines.next()) {
    Json entry;
    try {
      entry = parse_json(*line, path);
    } catch (const Error&) {  // the line a kill cut off
      break;
    }
    const Json* name = find(entry, "shard");
    const Json* mtime = find(entry, "mtime_ns");
    const Json* boot = find(entry, "boot");
    const Json* stats = find(entry, "tensors");
    if (!name || !name->is_string() || !mtime || !is_int(*mtime) || !stats || !stats->is_array()) break;
    if (boot && (!boot->is_string() || as_string(*boot) != boot_id())) break;
    FinishedShard& shard = done_[as_string(*name)];
    shard = {as_int(*mtime), {}};
    for (const Json& s : *stats) shard.stats.push_back(TensorStats::from_json(s));
    good += static_cast<int64_t>(line->size()) + 1;
  }
  manifest_ = FileHandle(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  if (manifest_.get() < 0) cannot(path, "cannot open: " + os_error());
  struct stat st {};
  if (::fstat(manifest_.get(), &st) == 0 && st.st_size > good && ::ftruncate(manifest_.get(), good) != 0)
    throw Error(ErrorKind::kIo, "cannot truncate: " + os_error(), path);
  if (st.st_size < good) write_all(manifest_.get(), "\n", path);  // cut off right before a line's end
}

void OutputFolder::start_manifest(const std::string& fingerprint) {
  const std::string path = path_ + "/" + kManifest;
  Json head = Json::object();
  head["fingerprint"] = fingerprint;
  AtomicFile file(path, AtomicFile::Existing::kReplace);
  file.write(dump(head) + "\n");
  file.commit();
  manifest_ = FileHandle(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  if (manifest_.get() < 0) cannot(path, "cannot open: " + os_error());
}

bool OutputFolder::has_shard(const std::string& name, int64_t bytes) const {
  const auto found = done_.find(name);
  struct stat st {};
  return found != done_.end() && ::lstat((path_ + "/" + name).c_str(), &st) == 0 && S_ISREG(st.st_mode) &&
         st.st_size == bytes && mtime_ns(st) == found->second.mtime_ns;
}

void OutputFolder::record_shard(const std::string& name, const std::vector<TensorStats>& stats, bool sync) {
  struct stat st {};
  if (::lstat((path_ + "/" + name).c_str(), &st) != 0)
    throw Error(ErrorKind::kIo, "was there a moment ago: " + os_error(), path_ + "/" + name);
  Json entry = Json::object();
  entry["shard"] = name;
  entry["mtime_ns"] = mtime_ns(st);
  if (!sync) entry["boot"] = boot_id();
  Json::array_t list;
  for (const TensorStats& s : stats) list.push_back(s.to_json());
  entry["tensors"] = std::move(list);
  write_all(manifest_.get(), dump(entry) + "\n", path_ + "/" + kManifest);
  if (sync && ::fsync(manifest_.get()) != 0)
    throw Error(ErrorKind::kIo, "cannot sync: " + os_error(), path_ + "/" + kManifest);
}

void OutputFolder::finish() {
  sync_folder(path_);
  if (path_ != out_) {
    // The old folder is marked only now: from here on it is in the way, not in use.
    const std::string marker = out_ + "/" + kReplaced;
    const FileHandle fd(::open(marker.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (fd.get() < 0) cannot(marker, "cannot create: " + os_error());
    swap_folders(path_, out_);
    sync_folder(folder_of(out_));  // until then a power cut may bring back the old name of the old folder
    if (file_exists(path_ + "/" + kReplaced)) remove_folder(path_);
    path_ = out_;
  }
  std::error_code ignored;
  fs::remove(out_ + "/" + kManifest, ignored);
  sync_folder(out_);
}

}  // namespace ds::quant
