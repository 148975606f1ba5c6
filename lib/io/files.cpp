#include "io/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "io/run_lock.h"

namespace ds::io {
namespace {

constexpr size_t kBufferBytes = 1 << 16;
constexpr size_t kLargePageBytes = 2 << 20;

FileHandle open_for_reading(const std::string& path) {
  FileHandle fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) throw Error(ErrorKind::kNoInput, "cannot open: " + os_error(), path);
  struct stat st {};
  if (::fstat(fd.get(), &st) == 0 && S_ISDIR(st.st_mode))
    throw Error(ErrorKind::kNoInput, "is a folder, a file was expected", path);
  return fd;
}

bool is_folder(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

[[noreturn]] void cannot_create(int error, std::string path) {
  // Where the folder is at fault, the name that was asked for says more than the temporary one.
  constexpr std::string_view kPartial = ".partial";
  const bool folder = error == ENOENT || error == ENOTDIR || error == EROFS;
  if (folder && path.ends_with(kPartial)) path.resize(path.size() - kPartial.size());
  throw Error(ErrorKind::kCannotCreate, std::string("cannot create: ") + std::strerror(error), path,
              "check the folder and its permissions");
}

// Whether `path` still names the file that is open as fd: its run may have renamed or removed it meanwhile.
bool is_still(const std::string& path, int fd) {
  struct stat named {
  }, opened{};
  return ::lstat(path.c_str(), &named) == 0 && ::fstat(fd, &opened) == 0 && named.st_dev == opened.st_dev &&
         named.st_ino == opened.st_ino;
}

// PATH.partial, locked and empty: a new file, or what a run that has ended left behind.
FileHandle open_partial(const std::string& path) {
  for (;;) {
    FileHandle fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (fd.get() < 0 && errno != EEXIST) cannot_create(errno, path);
    if (fd.get() < 0) {
      struct stat st {};
      if (::lstat(path.c_str(), &st) != 0 && errno == ENOENT) continue;  // gone again
      if (!S_ISREG(st.st_mode))
        throw Error(ErrorKind::kCannotCreate, "is in the way, and no file of an earlier run", path,
                    "delete it");
      fd = FileHandle(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
      if (fd.get() < 0 && errno == ENOENT) continue;
      if (fd.get() < 0) cannot_create(errno, path);
    }
    RunLock::take(fd.get(), path);
    if (!is_still(path, fd.get())) continue;
    if (::ftruncate(fd.get(), 0) != 0) cannot_create(errno, path);
    return fd;
  }
}

// What lies there is no run's: a file of a folder that we hold, left by a killed run, or a link elsewhere.
FileHandle open_replacing(const std::string& path) {
  ::unlink(path.c_str());
  FileHandle fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (fd.get() < 0) cannot_create(errno, path);
  return fd;
}

FileHandle open_in_place(const std::string& path) {
  FileHandle fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd.get() < 0) cannot_create(errno, path);
  return fd;
}

bool is_special(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

FileHandle open_to_map(const std::string& path) {
  // Asked before opening: that would wait for a pipe's other end.
  if (is_special(path)) throw Error(ErrorKind::kNoInput, "is no regular file", path);
  return open_for_reading(path);
}

}  // namespace

std::string os_error() { return std::strerror(errno); }

bool file_exists(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0;
}

int64_t mtime_ns(const struct stat& st) {
  return st.st_mtim.tv_sec * int64_t{1'000'000'000} + st.st_mtim.tv_nsec;
}

std::string read_file(const std::string& path, int64_t max_bytes) {
  FileHandle owned;
  int fd = STDIN_FILENO;
  if (path != "-") {
    owned = open_for_reading(path);
    fd = owned.get();
  }
  std::string bytes;
  struct stat st {};
  if (::fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= max_bytes) bytes.reserve(st.st_size + 1);
  for (;;) {
    const size_t old = bytes.size();
    const size_t room = bytes.capacity() > old ? bytes.capacity() - old : kBufferBytes;
    bytes.resize(old + room);
    const ssize_t n = ::read(fd, bytes.data() + old, room);
    if (n < 0 && errno == EINTR) {
      bytes.resize(old);
      continue;
    }
    if (n < 0) throw Error(ErrorKind::kIo, "reading failed: " + os_error(), path);
    bytes.resize(old + n);
    if (static_cast<int64_t>(bytes.size()) > max_bytes)
      throw Error(ErrorKind::kBadData, "longer than " + std::to_string(max_bytes) + " bytes", path);
    if (n == 0) return bytes;
  }
}

MappedFile::MappedFile(const std::string& path) : MappedFile(open_to_map(path), path) {}

MappedFile::MappedFile(FileHandle fd, std::string path) : path_(std::move(path)), fd_(std::move(fd)) {
  struct stat st {};
  if (::fstat(fd_.get(), &st) != 0) throw Error(ErrorKind::kIo, "cannot stat: " + os_error(), path_);
  size_ = st.st_size;
  if (size_ == 0) return;
  // Addresses are reserved first so that the file can begin at a multiple of the large page size.
  const size_t reserved = size_ + kLargePageBytes;
  void* space = ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (space == MAP_FAILED)
    throw Error(errno == ENOMEM ? ErrorKind::kOs : ErrorKind::kIo,
                "cannot map " + std::to_string(size_) + " bytes: " + os_error(), path_,
                errno == ENOMEM ? "ulimit -v leaves too few addresses" : "");
  const size_t misaligned = reinterpret_cast<uintptr_t>(space) % kLargePageBytes;
  std::byte* aligned = static_cast<std::byte*>(space) + (misaligned ? kLargePageBytes - misaligned : 0);
  void* address = ::mmap(aligned, size_, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd_.get(), 0);
  if (address == MAP_FAILED) {
    const std::string reason = os_error();
    ::munmap(space, reserved);
    throw Error(ErrorKind::kIo, "cannot map: " + reason, path_);
  }
  data_ = aligned;
  space_ = space;
  // Where kernel and file system have large pages for files this alone may bring them. Advice: a refusal
  // changes nothing.
  ::madvise(address, size_, MADV_HUGEPAGE);
}

void MappedFile::copy_into_large_pages(ThreadPool& pool) const {
  if (size_ == 0) return;
  auto* data = const_cast<std::byte*>(data_);
  if (::mmap(data, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
      MAP_FAILED)
    throw Error(ErrorKind::kOs, "no memory for a copy: " + os_error(), path_);
  ::madvise(data, size_, MADV_HUGEPAGE);
  const auto n_chunks = static_cast<int64_t>((size_ + kLargePageBytes - 1) / kLargePageBytes);
  pool.parallel_for(n_chunks, 2, [&](int64_t begin, int64_t end, int) {
    size_t at = begin * kLargePageBytes;
    const size_t stop = std::min(size_, end * kLargePageBytes);
    while (at < stop) {
      const ssize_t n = ::pread(fd_.get(), data + at, stop - at, static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0)
        throw Error(ErrorKind::kIo,
                    n < 0 ? "reading failed: " + os_error() : "became shorter while it was read", path_);
      at += n;
    }
  });
  ::mprotect(data, size_, PROT_READ);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::move(other.fd_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      space_(std::exchange(other.space_, nullptr)) {}

MappedFile::~MappedFile() {
  if (data_) ::munmap(space_, size_ + kLargePageBytes);
}

FileHandle& FileHandle::operator=(FileHandle&& other) noexcept {
  const int fd = other.release();  // first: other may be this very handle
  reset();
  fd_ = fd;
  return *this;
}
int FileHandle::release() { return std::exchange(fd_, -1); }
void FileHandle::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void write_all(int fd, std::string_view bytes, const std::string& where) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(n);
    } else if (errno == EPIPE) {
      throw BrokenPipe{};
    } else if (errno != EINTR) {
      const bool full = errno == ENOSPC || errno == EDQUOT;
      throw Error(ErrorKind::kIo, "writing failed: " + os_error(), where,
                  full ? "free some space and run again" : "");
    }
  }
}

void read_at(int fd, void* to, size_t n, uint64_t offset, const std::string& where) {
  char* at = static_cast<char*>(to);
  while (n > 0) {
    const ssize_t got = ::pread(fd, at, n, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(ErrorKind::kIo, "reading failed: " + os_error(), where);
    if (got == 0)
      throw Error(ErrorKind::kBadData, "ends " + std::to_string(n) + " bytes early", where,
                  "did it change while it was read?");
    at += got, n -= got, offset += got;
  }
}

void write_at(int fd, const void* from, size_t n, uint64_t offset, const std::string& where) {
  const char* at = static_cast<const char*>(from);
  while (n > 0) {
    const ssize_t put = ::pwrite(fd, at, n, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0)
      throw Error(ErrorKind::kIo, "writing failed: " + os_error(), where,
                  errno == ENOSPC ? "free some space and run again" : "");
    at += put, n -= put, offset += put;
  }
}

void OutputStream::write(std::string_view bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() > kBufferBytes) {
    write_all(fd_, bytes, where_);
  } else {
    buffer_ += bytes;
  }
}

void OutputStream::flush() {
  const std::string bytes = std::exchange(buffer_, {});
  write_all(fd_, bytes, where_);
}

AtomicFile::AtomicFile(const std::string& path, Existing existing)
    : path_(existing == Existing::kFollow ? output_place(path) : path),
      partial_(existing == Existing::kFollow && is_special(path_) ? path_ : path_ + ".partial"),
      in_place_(partial_ == path_) {
  if (is_folder(path_)) throw Error(ErrorKind::kCannotCreate, "is a folder, a file was expected", path_);
  fd_ = in_place_                       ? open_in_place(partial_)
        : existing == Existing::kFollow ? open_partial(partial_)
                                        : open_replacing(partial_);
}

AtomicFile::~AtomicFile() {
  if (!committed_ && !in_place_ && fd_.get() >= 0) ::unlink(partial_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() > kBufferBytes) {
    write_all(fd_.get(), bytes, partial_);
  } else {
    buffer_ += bytes;
  }
}

void AtomicFile::flush() {
  write_all(fd_.get(), buffer_, partial_);
  buffer_.clear();
}

void AtomicFile::commit(bool sync) {
  flush();
  committed_ = in_place_;
  if (in_place_) return;
  if (sync && ::fsync(fd_.get()) != 0) throw Error(ErrorKind::kIo, "cannot sync: " + os_error(), partial_);
  if (::rename(partial_.c_str(), path_.c_str()) != 0)
    throw Error(ErrorKind::kCannotCreate, "cannot rename to " + path_ + ": " + os_error(), partial_);
  committed_ = true;
  if (!sync) return;
  sync_folder(folder_of(path_));  // the rename itself is durable only then
}

}  // namespace ds::io
