#include "io/compress.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

namespace ds::io {
namespace {

constexpr size_t kRawBytes = 1 << 17;
// A frame that asks for more window than this is refused: it would be a way to take all memory.
constexpr int kMaxZstdWindowLog = 27;
constexpr int kGzipLevel = 6, kZstdLevel = 3;

// What compressed streams begin with. A skippable zstd frame may come first (pzstd, seekable zstd): its first
// byte has 16 values, all of which count as 0x50 here.
struct Magic {
  std::string_view bytes;
  Compression kind;
};
constexpr Magic kMagics[] = {{"\x1f\x8b", Compression::kGzip},
                             {"\x28\xb5\x2f\xfd", Compression::kZstd},
                             {"\x50\x2a\x4d\x18", Compression::kZstd}};

// Whether as many bytes as both have are the same.
bool agree(std::string_view head, const Magic& magic) {
  const size_t n = std::min(head.size(), magic.bytes.size());
  if (n == 0) return true;
  const char first = magic.bytes[0] == '\x50' ? static_cast<char>(head[0] & 0xF0) : head[0];
  return first == magic.bytes[0] && head.substr(1, n - 1) == magic.bytes.substr(1, n - 1);
}

bool ends_with(std::string_view s, std::string_view tail) {
  return s.size() >= tail.size() && s.substr(s.size() - tail.size()) == tail;
}

}  // namespace

Compression compression_from_name(std::string_view path) {
  if (ends_with(path, ".gz")) return Compression::kGzip;
  if (ends_with(path, ".zst") || ends_with(path, ".zstd")) return Compression::kZstd;
  return Compression::kNone;
}

Compression compression_from_bytes(std::string_view head) {
  for (const Magic& magic : kMagics)
    if (head.size() >= magic.bytes.size() && agree(head, magic)) return magic.kind;
  return Compression::kNone;
}

struct ByteSource::State {
  std::string name;
  FileHandle owned;
  int fd = STDIN_FILENO;
  int64_t size = -1;
  uint64_t n_raw = 0;
  std::optional<Compression> kind;  // unset: too little was read to know
  std::vector<char> raw = std::vector<char>(kRawBytes);
  size_t begin = 0, end = 0;  // unread part of raw
  bool at_end = false;
  bool in_frame = false;  // inside a gzip member or zstd frame
  std::function<bool()> stop;
  z_stream gzip{};
  bool gzip_ready = false;
  ZSTD_DStream* zstd = nullptr;

  ~State() {
    if (gzip_ready) inflateEnd(&gzip);
    if (zstd) ZSTD_freeDStream(zstd);
  }
  [[noreturn]] void damaged(const std::string& what) const {
    throw Error(ErrorKind::kBadData, what, name, "the part before the damage was read; get the file again");
  }
  // False: asked to stop. A signal between the question and poll() is seen 200 ms late at most.
  bool wait_for_input() const {
    constexpr int kAskEveryMs = 200;
    while (stop) {
      if (stop()) return false;
      pollfd ready{fd, POLLIN, 0};
      const int n = ::poll(&ready, 1, kAskEveryMs);
      if (n > 0 || (n < 0 && errno != EINTR)) break;  // an error shows again in read()
    }
    return true;
  }
  // What the stream is. Reads no more than it takes to tell: where lines come one by one, the next one may be
  // long in coming.
  void recognise() {
    const auto head = [this] { return std::string_view(raw.data() + begin, end - begin); };
    const auto undecided = [&](const Magic& m) { return head().size() < m.bytes.size() && agree(head(), m); };
    while (!kind) {
      if (std::any_of(std::begin(kMagics), std::end(kMagics), undecided) && fill()) continue;
      if (stop && stop()) return;
      kind = compression_from_bytes(head());
    }
  }
  // Reads more raw bytes behind what is left. False at the end of the file, or when asked to stop.
  bool fill() {
    if (at_end) return false;
    if (begin == end) begin = end = 0;
    if (end == raw.size()) {
      std::memmove(raw.data(), raw.data() + begin, end - begin);
      end -= begin;
      begin = 0;
    }
    for (;;) {
      if (!wait_for_input()) return false;
      const ssize_t n = ::read(fd, raw.data() + end, raw.size() - end);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw Error(ErrorKind::kIo, "reading failed: " + os_error(), name);
      if (n == 0) break;
      end += n;
      n_raw += n;
      return true;
    }
    at_end = true;
    return false;
  }
  size_t read_plain(char* out, size_t n) {
    if (begin == end && !fill()) return 0;
    n = std::min(n, end - begin);
    std::memcpy(out, raw.data() + begin, n);
    begin += n;
    return n;
  }
  size_t read_gzip(char* out, size_t n) {
    for (;;) {
      if (begin == end && !fill()) {
        if (in_frame && !(stop && stop())) damaged("the gzip stream ends early");
        return 0;
      }
      if (!in_frame) {
        // Zero padding after the last member is allowed (tape blocks); anything else must be a member.
        if (raw[begin] == 0) {
          ++begin;
          continue;
        }
        if ((gzip_ready ? inflateReset(&gzip) : inflateInit2(&gzip, 15 + 16)) != Z_OK)
          throw Error(ErrorKind::kOs, "zlib cannot start", name);
        gzip_ready = in_frame = true;
      }
      gzip.next_in = reinterpret_cast<Bytef*>(raw.data() + begin);
      gzip.avail_in = static_cast<uInt>(end - begin);
      gzip.next_out = reinterpret_cast<Bytef*>(out);
      gzip.avail_out = static_cast<uInt>(std::min<size_t>(n, 1 << 30));
      const uInt asked = gzip.avail_out;
      const int rc = inflate(&gzip, Z_NO_FLUSH);
      begin = end - gzip.avail_in;
      if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        damaged(std::string("the gzip stream is damaged: ") + (gzip.msg ? gzip.msg : "unknown"));
      if (rc == Z_STREAM_END) in_frame = false;
      if (asked != gzip.avail_out) return asked - gzip.avail_out;
    }
  }
  size_t read_zstd(char* out, size_t n) {
    if (!zstd) {
      zstd = ZSTD_createDStream();
      if (!zstd) throw Error(ErrorKind::kOs, "zstd cannot start", name);
      ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax, kMaxZstdWindowLog);
    }
    for (;;) {
      const bool more = begin != end || fill();
      if (!more && (!in_frame || (stop && stop()))) return 0;
      ZSTD_inBuffer in{raw.data() + begin, end - begin, 0};
      ZSTD_outBuffer o{out, n, 0};
      const size_t rc = ZSTD_decompressStream(zstd, &o, &in);
      begin += in.pos;
      if (ZSTD_isError(rc)) damaged(std::string("the zstd stream is damaged: ") + ZSTD_getErrorName(rc));
      in_frame = rc != 0;
      if (o.pos) return o.pos;
      if (!more && in_frame) damaged("the zstd stream ends early");
    }
  }
};

ByteSource::ByteSource(const std::string& path) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.name = path == "-" ? "<stdin>" : path;
  if (path != "-") {
    s.owned = FileHandle(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (s.owned.get() < 0) throw Error(ErrorKind::kNoInput, "cannot open: " + os_error(), path);
    s.fd = s.owned.get();
  }
  struct stat st {};
  if (::fstat(s.fd, &st) == 0) {
    if (S_ISDIR(st.st_mode)) throw Error(ErrorKind::kNoInput, "is a folder, a file was expected", path);
    if (S_ISREG(st.st_mode)) s.size = st.st_size;
  }
}
ByteSource::~ByteSource() = default;
ByteSource::ByteSource(ByteSource&&) noexcept = default;

size_t ByteSource::read(char* out, size_t n) {
  if (n == 0) return 0;
  state_->recognise();
  if (!state_->kind) return 0;  // asked to stop
  switch (*state_->kind) {
    case Compression::kGzip:
      return state_->read_gzip(out, n);
    case Compression::kZstd:
      return state_->read_zstd(out, n);
    case Compression::kNone:
      break;
  }
  return state_->read_plain(out, n);
}

bool ByteSource::skip(uint64_t n) {
  State& s = *state_;
  s.recognise();
  if (s.kind == Compression::kNone && s.size >= 0) {
    const uint64_t buffered = std::min<uint64_t>(n, s.end - s.begin);
    s.begin += buffered;
    n -= buffered;
    if (n == 0) return true;
    const off_t at = ::lseek(s.fd, static_cast<off_t>(n), SEEK_CUR);
    s.n_raw += n;
    return at >= 0 && at <= s.size;
  }
  std::vector<char> drop(1 << 16);
  while (n > 0) {
    const size_t got = read(drop.data(), std::min<uint64_t>(n, drop.size()));
    if (got == 0) return false;
    n -= got;
  }
  return true;
}

const std::string& ByteSource::name() const { return state_->name; }
Compression ByteSource::compression() const {
  state_->recognise();
  return state_->kind.value_or(Compression::kNone);
}
uint64_t ByteSource::raw_bytes() const { return state_->n_raw; }
int64_t ByteSource::raw_size() const { return state_->size; }
void ByteSource::stop_when(std::function<bool()> asked) { state_->stop = std::move(asked); }

struct ByteSink::State {
  Compression kind;
  std::function<void(std::string_view)> next;
  std::vector<char> out = std::vector<char>(1 << 16);
  z_stream gzip{};
  bool gzip_ready = false;
  ZSTD_CStream* zstd = nullptr;

  ~State() {
    if (gzip_ready) deflateEnd(&gzip);
    if (zstd) ZSTD_freeCStream(zstd);
  }
  void run_gzip(std::string_view bytes, int flush) {
    do {
      const size_t part = std::min<size_t>(bytes.size(), 1 << 30);
      gzip.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
      gzip.avail_in = static_cast<uInt>(part);
      do {
        gzip.next_out = reinterpret_cast<Bytef*>(out.data());
        gzip.avail_out = static_cast<uInt>(out.size());
        deflate(&gzip, flush);
        if (out.size() != gzip.avail_out) next({out.data(), out.size() - gzip.avail_out});
      } while (gzip.avail_out == 0);
      bytes.remove_prefix(part);
    } while (!bytes.empty());
  }
  void run_zstd(std::string_view bytes, ZSTD_EndDirective end) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer o{out.data(), out.size(), 0};
      const size_t left = ZSTD_compressStream2(zstd, &o, &in, end);
      if (ZSTD_isError(left)) throw Error(ErrorKind::kOs, ZSTD_getErrorName(left), "zstd");
      if (o.pos) next({out.data(), o.pos});
      if (end == ZSTD_e_continue ? in.pos == in.size : left == 0) return;
    }
  }
};

ByteSink::ByteSink(Compression compression, std::function<void(std::string_view)> next)
    : state_(std::make_unique<State>()) {
  state_->kind = compression;
  state_->next = std::move(next);
  if (compression == Compression::kGzip) {
    if (deflateInit2(&state_->gzip, kGzipLevel, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
      throw Error(ErrorKind::kOs, "zlib cannot start", "gzip");
    state_->gzip_ready = true;
  } else if (compression == Compression::kZstd) {
    state_->zstd = ZSTD_createCStream();
    if (!state_->zstd) throw Error(ErrorKind::kOs, "zstd cannot start", "zstd");
    ZSTD_CCtx_setParameter(state_->zstd, ZSTD_c_compressionLevel, kZstdLevel);
    ZSTD_CCtx_setParameter(state_->zstd, ZSTD_c_checksumFlag, 1);
  }
}
ByteSink::~ByteSink() = default;
ByteSink::ByteSink(ByteSink&&) noexcept = default;

void ByteSink::write(std::string_view bytes) {
  if (bytes.empty()) return;
  switch (state_->kind) {
    case Compression::kNone:
      return state_->next(bytes);
    case Compression::kGzip:
      return state_->run_gzip(bytes, Z_NO_FLUSH);
    case Compression::kZstd:
      return state_->run_zstd(bytes, ZSTD_e_continue);
  }
}

void ByteSink::finish() {
  if (state_->kind == Compression::kGzip) state_->run_gzip({}, Z_FINISH);
  if (state_->kind == Compression::kZstd) state_->run_zstd({}, ZSTD_e_end);
}

}  // namespace ds::io
