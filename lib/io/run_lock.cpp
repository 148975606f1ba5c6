#include "io/run_lock.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace ds::io {

RunLock::RunLock(const std::string& path) {
  for (struct stat named{}, held{};;) {
    fd_ = FileHandle(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd_.get() < 0) throw Error(ErrorKind::kCannotCreate, "cannot open: " + os_error(), path);
    take(fd_.get(), path);
    // The run that held it may have removed or replaced it meanwhile.
    if (::stat(path.c_str(), &named) == 0 && ::fstat(fd_.get(), &held) == 0 && named.st_ino == held.st_ino &&
        named.st_dev == held.st_dev)
      return;
  }
}

void RunLock::take(int fd, const std::string& path) {
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    throw Error(ErrorKind::kCannotCreate, "is being written by another run", path,
                "give this run an output of its own, or wait");
}

std::string output_place(const std::string& path) {
  constexpr int kMostLinks = 40;  // as the system
  std::string place = path;
  for (int i = 0; i < kMostLinks; ++i) {
    char target[PATH_MAX];
    const ssize_t n = ::readlink(place.c_str(), target, sizeof target);
    if (n <= 0 || n == sizeof target) return place;
    struct stat st {};
    if (::stat(place.c_str(), &st) == 0) {
      // /proc/self/fd/1 "leads to" pipe:[4711], which is no name.
      char* real = ::realpath(place.c_str(), nullptr);
      if (real) place = real;
      std::free(real);
      return place;
    }
    const std::string next(target, n);
    place = next.starts_with('/') ? next : folder_of(place) + "/" + next;
  }
  return path;
}

void require_creatable(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
    return;  // a pipe's reader would see it end
  const AtomicFile rehearsal(path);
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

void sync_folder(const std::string& folder) {
  const FileHandle dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.get() < 0 && errno == EACCES) return ::sync();  // one may write into a folder one may not list
  if (dir.get() < 0) throw Error(ErrorKind::kIo, "cannot open the folder to sync it: " + os_error(), folder);
  if (::fsync(dir.get()) == 0 || errno == EINVAL || errno == ENOTSUP) return;
  throw Error(ErrorKind::kIo, "cannot sync the folder: " + os_error(), folder,
              "what was written there may be lost in a power cut");
}

}  // namespace ds::io
