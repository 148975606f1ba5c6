#include "io/compress.h"

#include <bzlib.h>
#include <fcntl.h>
#include <lzma.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "core/cpu.h"

namespace ds::io {
namespace {

constexpr size_t kRawBytes = 1 << 17;
constexpr size_t kOutBytes = 1 << 16;
constexpr int kGzipLevel = 6, kZstdLevel = 3, kXzPreset = 4, kBzip2Level = 9;
constexpr int kLeastWindowLog = 27, kMostWindowLog = 31;  // what every zstd reads unasked; the format's limit

// What compressed streams begin with. A skippable zstd frame may come first (pzstd, seekable zstd): its first
// byte has 16 values, all of which count as 0x50 here.
struct Magic {
  std::string_view bytes;
  Compression kind;
};
constexpr Magic kMagics[] = {{"\x1f\x8b", Compression::kGzip},
                             {"\x28\xb5\x2f\xfd", Compression::kZstd},
                             {"\x50\x2a\x4d\x18", Compression::kZstd},
                             {{"\xFD"
                               "7zXZ\0",
                               6},
                              Compression::kXz},
                             {"BZh", Compression::kBzip2}};

// Whether as many bytes as both have are the same.
bool agree(std::string_view head, const Magic& magic) {
  const size_t n = std::min(head.size(), magic.bytes.size());
  if (n == 0) return true;
  const char first = magic.bytes[0] == '\x50' ? static_cast<char>(head[0] & 0xF0) : head[0];
  return first == magic.bytes[0] && head.substr(1, n - 1) == magic.bytes.substr(1, n - 1);
}

struct Named {
  std::string_view ending;
  Compression kind;
};
constexpr Named kNamed[] = {{".gz", Compression::kGzip},
                            {".zst", Compression::kZstd},
                            {".zstd", Compression::kZstd},
                            {".xz", Compression::kXz},
                            {".bz2", Compression::kBzip2}};

const Named* find_named(std::string_view path) {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  for (const Named& n : kNamed)
    if (path.size() > n.ending.size() &&
        std::equal(path.end() - static_cast<ptrdiff_t>(n.ending.size()), path.end(), n.ending.begin(), same))
      return &n;
  return nullptr;
}

// The longest zstd window for which half of the free memory is enough. A frame names its window, up to 2 GiB
// (zstd --long=31), and costs that much only as far as its content goes.
int max_window_log() {
  const uint64_t half = static_cast<uint64_t>(std::max<int64_t>(0, available_memory_bytes())) / 2;
  int log = kLeastWindowLog;
  while (log < kMostWindowLog && (uint64_t{2} << log) <= half) ++log;
  return log;
}

// Bytes on their way through a codec: what is left of the input, and of the place for the output.
struct Flow {
  const char* in;
  size_t n_in;
  char* out;
  size_t n_out;
};

// Decodes one member or frame after another.
class StreamDecoder {
 public:
  virtual ~StreamDecoder() = default;
  // Moves `flow` on, as far as one call of the library goes. Sets `ended` at the end of a member. A message
  // when the stream is damaged: what was put out before stays.
  virtual std::string step(Flow& flow, bool& ended) = 0;
  virtual ErrorKind kind() const { return ErrorKind::kBadData; }
};

class GzipDecoder : public StreamDecoder {
 public:
  GzipDecoder() {
    if (inflateInit2(&z_, 15 + 16) != Z_OK) throw Error(ErrorKind::kOs, "zlib cannot start", "gzip");
  }
  ~GzipDecoder() override { inflateEnd(&z_); }
  std::string step(Flow& f, bool& ended) override {
    z_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(f.in));
    z_.avail_in = static_cast<uInt>(f.n_in);
    z_.next_out = reinterpret_cast<Bytef*>(f.out);
    z_.avail_out = static_cast<uInt>(f.n_out);
    const int rc = inflate(&z_, Z_NO_FLUSH);
    f = {reinterpret_cast<const char*>(z_.next_in), z_.avail_in, reinterpret_cast<char*>(z_.next_out),
         z_.avail_out};
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) return z_.msg ? z_.msg : "unknown";
    ended = rc == Z_STREAM_END;
    if (ended) inflateReset(&z_);
    return "";
  }

 private:
  z_stream z_{};
};

class ZstdDecoder : public StreamDecoder {
 public:
  ZstdDecoder() : d_(ZSTD_createDStream()) {
    if (!d_) throw Error(ErrorKind::kOs, "zstd cannot start", "zstd");
    ZSTD_DCtx_setParameter(d_, ZSTD_d_windowLogMax, window_log_);
  }
  ~ZstdDecoder() override { ZSTD_freeDStream(d_); }
  std::string step(Flow& f, bool& ended) override {
    // No more than the library asks for: a block, then the checksum. Given both at once it keeps what the
    // block put out to itself when the checksum is wrong.
    ZSTD_inBuffer in{f.in, std::min(f.n_in, wanted_), 0};
    ZSTD_outBuffer out{f.out, f.n_out, 0};
    const size_t rc = ZSTD_decompressStream(d_, &out, &in);
    f = {f.in + in.pos, f.n_in - in.pos, f.out + out.pos, f.n_out - out.pos};
    if (ZSTD_isError(rc)) {
      const auto code = ZSTD_getErrorCode(rc);
      if (code != ZSTD_error_frameParameter_windowTooLarge && code != ZSTD_error_memory_allocation)
        return ZSTD_getErrorName(rc);
      kind_ = ErrorKind::kOs;
      return "its window (zstd --long) needs more memory than half of what is free: at most " +
             std::to_string((uint64_t{1} << window_log_) >> 20) + " MB here";
    }
    ended = rc == 0;
    // A full output: what is left of the block is taken before any more goes in.
    wanted_ = rc == 0 ? ZSTD_DStreamInSize() : out.pos == out.size ? 0 : rc;
    return "";
  }
  ErrorKind kind() const override { return kind_; }

 private:
  ZSTD_DStream* d_;
  const int window_log_ = max_window_log();
  size_t wanted_ = ZSTD_DStreamInSize();
  ErrorKind kind_ = ErrorKind::kBadData;
};

class XzDecoder : public StreamDecoder {
 public:
  ~XzDecoder() override { lzma_end(&x_); }
  std::string step(Flow& f, bool& ended) override {
    constexpr uint64_t kMostMemory = uint64_t{1} << 31;
    if (!begun_ && lzma_stream_decoder(&x_, kMostMemory, 0) != LZMA_OK)
      throw Error(ErrorKind::kOs, "liblzma cannot start", "xz");
    begun_ = true;
    x_.next_in = reinterpret_cast<const uint8_t*>(f.in);
    x_.avail_in = f.n_in;
    x_.next_out = reinterpret_cast<uint8_t*>(f.out);
    x_.avail_out = f.n_out;
    const lzma_ret rc = lzma_code(&x_, LZMA_RUN);
    f = {reinterpret_cast<const char*>(x_.next_in), x_.avail_in, reinterpret_cast<char*>(x_.next_out),
         x_.avail_out};
    ended = rc == LZMA_STREAM_END;
    begun_ = !ended;
    if (ended || rc == LZMA_OK || rc == LZMA_BUF_ERROR) return "";
    if (rc == LZMA_MEM_ERROR || rc == LZMA_MEMLIMIT_ERROR) {
      kind_ = ErrorKind::kOs;
      return "it needs more memory than there is";
    }
    return rc == LZMA_FORMAT_ERROR ? "what follows is no xz stream" : "its bytes do not fit its checksums";
  }
  ErrorKind kind() const override { return kind_; }

 private:
  lzma_stream x_ = LZMA_STREAM_INIT;
  bool begun_ = false;
  ErrorKind kind_ = ErrorKind::kBadData;
};

class Bzip2Decoder : public StreamDecoder {
 public:
  ~Bzip2Decoder() override { end(); }
  std::string step(Flow& f, bool& ended) override {
    if (!begun_ && BZ2_bzDecompressInit(&b_, 0, 0) != BZ_OK)
      throw Error(ErrorKind::kOs, "libbz2 cannot start", "bzip2");
    begun_ = true;
    b_.next_in = const_cast<char*>(f.in);
    b_.avail_in = static_cast<unsigned>(f.n_in);
    b_.next_out = f.out;
    b_.avail_out = static_cast<unsigned>(f.n_out);
    const int rc = BZ2_bzDecompress(&b_);
    f = {b_.next_in, b_.avail_in, b_.next_out, b_.avail_out};
    ended = rc == BZ_STREAM_END;
    if (ended) end();
    return ended || rc == BZ_OK        ? ""
           : rc == BZ_DATA_ERROR_MAGIC ? "what follows is no bzip2 stream"
                                       : "its bytes do not fit its checksums";
  }

 private:
  void end() {
    if (begun_) BZ2_bzDecompressEnd(&b_);
    b_ = {};
    begun_ = false;
  }
  bz_stream b_{};
  bool begun_ = false;
};

const char* name_of(Compression kind) {
  constexpr const char* kNames[] = {"plain", "gzip", "zstd", "xz", "bzip2"};
  return kNames[static_cast<int>(kind)];
}

std::unique_ptr<StreamDecoder> make_decoder(Compression kind) {
  switch (kind) {
    case Compression::kGzip:
      return std::make_unique<GzipDecoder>();
    case Compression::kZstd:
      return std::make_unique<ZstdDecoder>();
    case Compression::kXz:
      return std::make_unique<XzDecoder>();
    case Compression::kBzip2:
      return std::make_unique<Bzip2Decoder>();
    case Compression::kNone:
      break;
  }
  return nullptr;
}

}  // namespace

std::string_view compression_ending(std::string_view path) {
  const Named* named = find_named(path);
  return named ? path.substr(path.size() - named->ending.size()) : std::string_view();
}

Compression compression_from_name(std::string_view path) {
  const Named* named = find_named(path);
  return named ? named->kind : Compression::kNone;
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
  std::unique_ptr<StreamDecoder> decoder;
  std::vector<char> raw = std::vector<char>(kRawBytes);
  size_t begin = 0, end = 0;  // unread part of raw
  bool at_end = false;
  bool in_frame = false;        // inside a member or frame
  std::optional<Error> damage;  // to be thrown once all content before it is handed out
  std::function<bool()> stop;
  bool waits = true;

  // More may come, but not now.
  bool is_held_up() const { return (stop && stop()) || (!waits && !at_end); }
  // False: asked to stop, or not to wait. A signal between the question and poll() is seen 200 ms late at
  // most.
  bool wait_for_input() const {
    constexpr int kAskEveryMs = 200;
    if (!waits) {
      pollfd ready{fd, POLLIN, 0};
      return ::poll(&ready, 1, 0) != 0;
    }
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
      const bool needs_more = std::any_of(std::begin(kMagics), std::end(kMagics), undecided);
      if (needs_more && fill()) continue;
      if (needs_more && is_held_up()) return;
      kind = compression_from_bytes(head());
      decoder = make_decoder(*kind);
    }
  }
  // Reads more raw bytes behind what is left. False at the end of the file, or when held up.
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
  size_t read_packed(char* out, size_t n) {
    n = std::min<size_t>(n, 1 << 30);
    while (!damage) {
      const bool more = begin != end || fill();
      if (!in_frame) {
        if (!more) return 0;
        // Zero padding behind a member is allowed (tape blocks, xz); anything else must be a member.
        if (raw[begin] == 0) {
          ++begin;
          continue;
        }
        in_frame = true;
      }
      Flow flow{raw.data() + begin, end - begin, out, n};
      bool ended = false;
      const std::string what = decoder->step(flow, ended);
      begin = end - flow.n_in;
      if (ended) in_frame = false;
      const size_t produced = n - flow.n_out;
      if (!what.empty())
        note_damage(decoder->kind(), decoder->kind() == ErrorKind::kOs ? what : "stream is damaged: " + what);
      else if (!more && !ended && produced == 0 && !is_held_up())
        note_damage(ErrorKind::kBadData, "stream ends early");
      if (produced || (!more && !damage)) return produced;
    }
    throw *damage;
  }
  void note_damage(ErrorKind cause, const std::string& what) {
    damage.emplace(cause,
                   std::string(cause == ErrorKind::kOs ? "" : "the ") +
                       (cause == ErrorKind::kOs ? "" : std::string(name_of(*kind)) + " ") + what,
                   name,
                   cause == ErrorKind::kOs
                       ? "give it to ds-filter through a pipe from the program that unpacks it"
                       : "the part before the damage was read; get the file again");
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
  return state_->decoder ? state_->read_packed(out, n) : state_->read_plain(out, n);
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
void ByteSource::wait_for_input(bool waits) { state_->waits = waits; }
bool ByteSource::at_end() const { return state_->at_end; }

namespace {

// Encodes one stream.
class StreamEncoder {
 public:
  virtual ~StreamEncoder() = default;
  // Moves `flow` on, as far as one call of the library goes; with `finish` the stream ends behind its input.
  // False: done, there is nothing more to put out.
  virtual bool step(Flow& flow, bool finish) = 0;
};

class GzipEncoder : public StreamEncoder {
 public:
  GzipEncoder() {
    if (deflateInit2(&z_, kGzipLevel, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
      throw Error(ErrorKind::kOs, "zlib cannot start", "gzip");
  }
  ~GzipEncoder() override { deflateEnd(&z_); }
  bool step(Flow& f, bool finish) override {
    z_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(f.in));
    z_.avail_in = static_cast<uInt>(f.n_in);
    z_.next_out = reinterpret_cast<Bytef*>(f.out);
    z_.avail_out = static_cast<uInt>(f.n_out);
    deflate(&z_, finish ? Z_FINISH : Z_NO_FLUSH);
    f = {reinterpret_cast<const char*>(z_.next_in), z_.avail_in, reinterpret_cast<char*>(z_.next_out),
         z_.avail_out};
    return f.n_out == 0 || f.n_in > 0;
  }

 private:
  z_stream z_{};
};

class ZstdEncoder : public StreamEncoder {
 public:
  ZstdEncoder() : c_(ZSTD_createCStream()) {
    if (!c_) throw Error(ErrorKind::kOs, "zstd cannot start", "zstd");
    ZSTD_CCtx_setParameter(c_, ZSTD_c_compressionLevel, kZstdLevel);
    ZSTD_CCtx_setParameter(c_, ZSTD_c_checksumFlag, 1);
  }
  ~ZstdEncoder() override { ZSTD_freeCStream(c_); }
  bool step(Flow& f, bool finish) override {
    ZSTD_inBuffer in{f.in, f.n_in, 0};
    ZSTD_outBuffer out{f.out, f.n_out, 0};
    const size_t left = ZSTD_compressStream2(c_, &out, &in, finish ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left)) throw Error(ErrorKind::kOs, ZSTD_getErrorName(left), "zstd");
    f = {f.in + in.pos, f.n_in - in.pos, f.out + out.pos, f.n_out - out.pos};
    return finish ? left != 0 : f.n_in > 0;
  }

 private:
  ZSTD_CStream* c_;
};

class XzEncoder : public StreamEncoder {
 public:
  XzEncoder() {
    if (lzma_easy_encoder(&x_, kXzPreset, LZMA_CHECK_CRC64) != LZMA_OK)
      throw Error(ErrorKind::kOs, "liblzma cannot start", "xz");
  }
  ~XzEncoder() override { lzma_end(&x_); }
  bool step(Flow& f, bool finish) override {
    x_.next_in = reinterpret_cast<const uint8_t*>(f.in);
    x_.avail_in = f.n_in;
    x_.next_out = reinterpret_cast<uint8_t*>(f.out);
    x_.avail_out = f.n_out;
    const lzma_ret rc = lzma_code(&x_, finish ? LZMA_FINISH : LZMA_RUN);
    if (rc != LZMA_OK && rc != LZMA_STREAM_END && rc != LZMA_BUF_ERROR)
      throw Error(ErrorKind::kOs, "no memory", "xz");
    f = {reinterpret_cast<const char*>(x_.next_in), x_.avail_in, reinterpret_cast<char*>(x_.next_out),
         x_.avail_out};
    return finish ? rc != LZMA_STREAM_END : f.n_in > 0;
  }

 private:
  lzma_stream x_ = LZMA_STREAM_INIT;
};

class Bzip2Encoder : public StreamEncoder {
 public:
  Bzip2Encoder() {
    if (BZ2_bzCompressInit(&b_, kBzip2Level, 0, 0) != BZ_OK)
      throw Error(ErrorKind::kOs, "libbz2 cannot start", "bzip2");
  }
  ~Bzip2Encoder() override { BZ2_bzCompressEnd(&b_); }
  bool step(Flow& f, bool finish) override {
    b_.next_in = const_cast<char*>(f.in);
    b_.avail_in = static_cast<unsigned>(f.n_in);
    b_.next_out = f.out;
    b_.avail_out = static_cast<unsigned>(f.n_out);
    const int rc = finish ? BZ2_bzCompress(&b_, BZ_FINISH) : f.n_in ? BZ2_bzCompress(&b_, BZ_RUN) : BZ_RUN_OK;
    f = {b_.next_in, b_.avail_in, b_.next_out, b_.avail_out};
    return finish ? rc != BZ_STREAM_END : f.n_in > 0;
  }

 private:
  bz_stream b_{};
};

std::unique_ptr<StreamEncoder> make_encoder(Compression kind) {
  switch (kind) {
    case Compression::kGzip:
      return std::make_unique<GzipEncoder>();
    case Compression::kZstd:
      return std::make_unique<ZstdEncoder>();
    case Compression::kXz:
      return std::make_unique<XzEncoder>();
    case Compression::kBzip2:
      return std::make_unique<Bzip2Encoder>();
    case Compression::kNone:
      break;
  }
  return nullptr;
}

}  // namespace

struct ByteSink::State {
  std::unique_ptr<StreamEncoder> encoder;
  std::function<void(std::string_view)> next;
  std::vector<char> out = std::vector<char>(kOutBytes);

  void encode(std::string_view bytes, bool finish) {
    constexpr size_t kMostAtOnce = 1 << 30;  // counts of 32 bits in three of the libraries
    do {
      const size_t part = std::min(bytes.size(), kMostAtOnce);
      Flow flow{bytes.data(), part, nullptr, 0};
      for (bool more = true; more;) {
        flow.out = out.data();
        flow.n_out = out.size();
        more = encoder->step(flow, finish);
        if (flow.n_out < out.size()) next({out.data(), out.size() - flow.n_out});
      }
      bytes.remove_prefix(part);
    } while (!bytes.empty());
  }
};

ByteSink::ByteSink(Compression compression, std::function<void(std::string_view)> next)
    : state_(std::make_unique<State>()) {
  state_->encoder = make_encoder(compression);
  state_->next = std::move(next);
}
ByteSink::~ByteSink() = default;
ByteSink::ByteSink(ByteSink&&) noexcept = default;

void ByteSink::write(std::string_view bytes) {
  if (bytes.empty()) return;
  if (state_->encoder)
    state_->encode(bytes, false);
  else
    state_->next(bytes);
}

void ByteSink::finish() {
  if (state_->encoder) state_->encode({}, true);
}

}  // namespace ds::io
