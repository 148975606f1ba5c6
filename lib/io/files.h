// Files: whole reads, mapped reads, buffered output, outputs that appear whole.
#pragma once
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/parallel.h"

namespace ds::io {

// "errno text" of the last failed call, for messages.
std::string os_error();

bool file_exists(const std::string& path);
int64_t mtime_ns(const struct stat& st);  // time of modification, nanoseconds since 1970
// The whole file; "-" is stdin. Throws Error{kNoInput} when it cannot be opened, {kIo} when reading fails,
// {kBadData} when it is longer than max_bytes.
std::string read_file(const std::string& path, int64_t max_bytes = int64_t{1} << 40);

// A file descriptor that closes itself.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(other.release()) {}
  FileHandle& operator=(FileHandle&& other) noexcept;
  ~FileHandle() { reset(); }
  int get() const { return fd_; }
  int release();
  void reset();

 private:
  int fd_ = -1;
};

// A file mapped read-only. Pages come from the page cache; nothing is copied.
class MappedFile {
 public:
  // Throws Error{kNoInput} when missing, {kIo} when it cannot be mapped.
  explicit MappedFile(const std::string& path);
  // The file that is open as `fd`, whatever the path names by now.
  MappedFile(FileHandle fd, std::string path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  int fd() const { return fd_.get(); }
  // Replaces the mapping by a private copy of the same bytes at the same addresses, in 2 MiB pages where the
  // system has them: a streaming read then loses no time on address translation, which is worth a factor of
  // two on some machines. Costs one read of the file and memory that no other process shares. Nobody may read
  // meanwhile. Throws Error{kIo} when the file cannot be read whole, {kOs} when there is no memory; it then
  // stays mapped or is gone.
  void copy_into_large_pages(ThreadPool& pool) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  FileHandle fd_;  // kept: the path may name another file later
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  void* space_ = nullptr;  // the reserved addresses, size_ and one large page
};

// Writes all bytes. EPIPE throws BrokenPipe; anything else Error{kIo} naming `where`.
void write_all(int fd, std::string_view bytes, const std::string& where);

// Reads or writes exactly so many bytes at an offset, from any thread. A short file is Error{kBadData}.
void read_at(int fd, void* to, size_t n, uint64_t offset, const std::string& where);
void write_at(int fd, const void* from, size_t n, uint64_t offset, const std::string& where);

// Buffered output to a descriptor it does not own. Errors are thrown by the call that meets them; call
// flush() at the end, a destructor cannot report.
class OutputStream {
 public:
  OutputStream(int fd, std::string where) : fd_(fd), where_(std::move(where)) {}
  void write(std::string_view bytes);
  void flush();

 private:
  int fd_;
  std::string where_;
  std::string buffer_;
};

// An output that appears whole or not at all: written as PATH.partial, then synced and renamed by commit();
// without it removed. What a killed run left is taken over, a living run's refused (io/run_lock.h). A link at
// PATH is followed, one at PATH.partial never; what is no regular file (a device, a pipe) is written in
// place. kReplace: what lies under either name is replaced, never written through: inside a folder this run
// holds.
class AtomicFile {
 public:
  enum class Existing { kFollow, kReplace };
  // Throws Error{kCannotCreate}.
  explicit AtomicFile(const std::string& path, Existing existing = Existing::kFollow);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(std::string_view bytes);
  void flush();  // to the system: what was written survives a kill, in PATH.partial
  int fd() const { return fd_.get(); }
  // Without `sync` the rename does not wait for the disk: whole for every reader, but not for a power cut.
  void commit(bool sync = true);

 private:
  std::string path_, partial_;
  bool in_place_;
  FileHandle fd_;
  std::string buffer_;
  bool committed_ = false;
};

}  // namespace ds::io
