// What several runs at once must not share, and what a power cut must not undo.
#pragma once
#include <string>

#include "io/files.h"

namespace ds::io {

// A folder, or a file, that one run at a time may write: held until the run ends, however it ends, so that
// nothing stale can block. Where the file system has no locks nothing is held.
class RunLock {
 public:
  // Throws Error{kCannotCreate} "is being written by another run" when another run holds it.
  explicit RunLock(const std::string& path);
  // The same for a file that is open already; it is held while that file description lives.
  static void take(int fd, const std::string& path);

 private:
  FileHandle fd_;
};

// The file or folder that an output at `path` comes to lie at: links are followed, also one whose target is
// not there yet, so that two names of one output are one name.
std::string output_place(const std::string& path);

// Throws now what AtomicFile(path) would throw later: for outputs whose writer comes to be after hours of
// work.
void require_creatable(const std::string& path);

// Makes renames and new names in `folder` durable. Throws Error{kIo}. A file system that has no such thing is
// no error.
void sync_folder(const std::string& folder);
// The folder that a path lies in, "." for a bare name.
std::string folder_of(const std::string& path);

}  // namespace ds::io
