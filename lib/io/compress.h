// Byte streams that may be gzip, zstd, xz or bzip2: recognised by their first bytes when read, by the file
// name when written. Several members or frames one after another are one stream. Not seekable, except plain
// files.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "io/files.h"

namespace ds::io {

enum class Compression { kNone, kGzip, kZstd, kXz, kBzip2 };
// The ending that names it (".gz", ".zst", ".zstd", ".xz", ".bz2", in any case), a part of `path`; "" when
// none.
std::string_view compression_ending(std::string_view path);
Compression compression_from_name(std::string_view path);  // by that ending
Compression compression_from_bytes(std::string_view head);

class ByteSource {
 public:
  // "-" is stdin. Throws Error{kNoInput}.
  explicit ByteSource(const std::string& path);
  ~ByteSource();
  ByteSource(ByteSource&&) noexcept;

  // Up to n bytes of content; 0 at the end. Throws Error{kBadData} when the compressed stream is damaged or
  // ends early, after all content before that was handed out; {kIo} when reading fails, {kOs} when the stream
  // asks for more memory than there is.
  size_t read(char* out, size_t n);
  // Skips content: seeks in a plain file, reads and drops otherwise. False when the content ends before.
  bool skip(uint64_t n);

  const std::string& name() const;  // "<stdin>" for "-"
  Compression compression() const;
  uint64_t raw_bytes() const;  // read from the file so far, before decompression
  int64_t raw_size() const;    // of a regular file, else -1
  // Asked a few times a second while waiting for input, and after each signal: true makes read() return 0 and
  // compression() kNone. What was read stays; the stream goes on once the answer is false again.
  void stop_when(std::function<bool()> asked);
  // Whether read() waits for input that is not there yet, as it does at first. Else it returns 0 then, too;
  // at_end() tells which it was.
  void wait_for_input(bool waits);
  bool at_end() const;  // nothing more will be read from the file

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Compresses what is written and hands it on. finish() ends the stream; without it the stream is cut.
class ByteSink {
 public:
  ByteSink(Compression compression, std::function<void(std::string_view)> next);
  ~ByteSink();
  ByteSink(ByteSink&&) noexcept;
  void write(std::string_view bytes);
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ds::io
