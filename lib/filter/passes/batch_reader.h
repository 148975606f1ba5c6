// The input as batches of whole lines.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ds::filter {

struct InputLine {
  uint64_t begin, length;  // in LineBatch::bytes, without the newline
  uint64_t offset;         // in the file's (decompressed) content
  uint64_t line;           // from 1
  bool oversize = false;   // only its first bytes are here: `length` of `whole_length`
  uint64_t whole_length = 0;
  bool cut = false;  // the file was damaged inside this line
};

// A stretch of one file.
struct LineBatch {
  size_t file = 0;
  std::string bytes;  // kRecordPadding readable bytes behind the last line
  std::vector<InputLine> lines;
  bool ends_file = false;
  std::string damage;                     // why the file could not be read to its end, else ""
  std::string note;                       // what else happened to the file while it was read
  bool transcoded = false;                // was UTF-16
  uint64_t end_offset = 0, end_line = 0;  // where the next batch begins
  uint64_t raw_bytes = 0;                 // of the file read so far, before decompression
};

// Where to go on in a file; a file that is done is left out.
struct FilePlan {
  size_t file = 0;  // index among all inputs
  std::string path;
  uint64_t offset = 0, line = 0;
  uint64_t end = ~0ull;          // content offset: lines that begin at or behind it belong to the next shard
  bool find_line_start = false;  // offset may be inside a line: that line belongs to the shard before
};

struct InputOptions {
  int64_t batch_bytes = 1 << 20;
  int64_t max_line_bytes = 10'000'000;
  bool transcode = false;   // UTF-16 with a mark is read
  bool text_lines = false;  // no JSON
  std::function<bool()> stop;
};

// Whether a file begins with UTF-16's byte order mark.
bool has_utf16_mark(std::string_view head);

class BatchReader {
 public:
  BatchReader(std::vector<FilePlan> plan, InputOptions options);
  ~BatchReader();
  // Fills `batch`, whose memory is used again, with the next stretch; false at the end or after stop. Throws
  // what reading throws, and Error{kBadData} for a file of another format (io/other_formats.h); a file that
  // cannot be opened is a batch without lines that says so. Where a batch ends depends on the content and
  // batch_bytes only.
  bool next(LineBatch& batch);

 private:
  class OpenFile;

  std::vector<FilePlan> plan_;
  InputOptions options_;
  size_t next_file_ = 0;
  std::unique_ptr<OpenFile> file_;
};

}  // namespace ds::filter
