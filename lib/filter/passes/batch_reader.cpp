#include "filter/passes/batch_reader.h"

#include <sys/stat.h>

#include <algorithm>

#include "core/utf8.h"
#include "io/compress.h"
#include "io/files.h"
#include "io/other_formats.h"
#include "io/record.h"

namespace ds::filter {
namespace {

constexpr size_t kChunk = 1 << 18;
constexpr std::string_view kMark = "\xEF\xBB\xBF";  // of byte order, in UTF-8
// Bytes of an oversize line that are kept for the quarantine.
constexpr int64_t kOversizeHead = 1 << 16;

// UTF-16 to UTF-8 on the fly; unpaired surrogates and a cut last unit become U+FFFD.
class Utf16Decoder {
 public:
  explicit Utf16Decoder(bool big) : big_(big) {}
  void decode(std::string_view in, std::string& out) {
    for (const char c : in) {
      if (!half_) {
        first_ = static_cast<uint8_t>(c);
        half_ = true;
        continue;
      }
      half_ = false;
      const uint8_t second = static_cast<uint8_t>(c);
      unit(big_ ? first_ << 8 | second : second << 8 | first_, out);
    }
  }
  void finish(std::string& out) {
    if (half_ || high_) append_utf8(out, 0xFFFD);
    half_ = false;
    high_ = 0;
  }

 private:
  void unit(uint32_t u, std::string& out) {
    if (high_) {
      if (u >= 0xDC00 && u <= 0xDFFF) {
        append_utf8(out, 0x10000 + ((high_ - 0xD800) << 10) + (u - 0xDC00));
        high_ = 0;
        return;
      }
      append_utf8(out, 0xFFFD);
      high_ = 0;
    }
    if (u >= 0xD800 && u <= 0xDBFF)
      high_ = u;
    else
      append_utf8(out, u >= 0xDC00 && u <= 0xDFFF ? 0xFFFD : u);
  }
  bool big_, half_ = false;
  uint8_t first_ = 0;
  uint32_t high_ = 0;
};

}  // namespace

bool has_utf16_mark(std::string_view head) {
  head = head.substr(0, 2);
  return head == "\xFF\xFE" || head == "\xFE\xFF";
}

// The file being read: where it is, and what was read behind the last whole batch.
class BatchReader::OpenFile {
 public:
  // Throws Error{kNoInput}.
  OpenFile(const FilePlan& plan, const InputOptions& options)
      : plan_(plan),
        options_(options),
        source_(plan.path),
        offset_(plan.offset),
        line_number_(plan.line),
        before_(state()) {
    if (options.stop) source_.stop_when(options.stop);
    if (plan.offset > 0 || plan.find_line_start) go_to_start();
  }
  // The next batch; false when there is none. over() is then, or with the last batch, true.
  bool next(LineBatch& batch);
  bool over() const { return over_; }

 private:
  struct State {
    bool known = false;
    int64_t size = 0, changed_ns = 0;
    uint64_t inode = 0;
  };
  State state() const;
  void go_to_start();
  void read_more(std::string& out);
  void look_for_changes(LineBatch& batch) const;
  bool stopped() const { return options_.stop && options_.stop(); }

  const FilePlan& plan_;
  const InputOptions& options_;
  ByteSource source_;
  std::vector<char> chunk_ = std::vector<char>(kChunk);
  std::string rest_;  // read behind the last batch
  uint64_t offset_, line_number_;
  std::unique_ptr<Utf16Decoder> utf16_;
  bool first_ = true, at_end_ = false, transcoded_ = false, over_ = false;
  bool skip_line_ = false;
  std::string damage_;
  State before_;
};

BatchReader::OpenFile::State BatchReader::OpenFile::state() const {
  struct stat st {};
  State s;
  if (plan_.path == "-" || ::stat(plan_.path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return s;
  s.known = true;
  s.size = st.st_size;
  s.changed_ns = mtime_ns(st);
  s.inode = st.st_ino;
  return s;
}

void BatchReader::OpenFile::read_more(std::string& out) {
  size_t n = 0;
  try {
    n = source_.read(chunk_.data(), chunk_.size());
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kBadData) throw;
    damage_ = e.what();
  }
  if (n == 0) {
    if (utf16_) utf16_->finish(out);
    at_end_ = true;
    return;
  }
  std::string_view bytes(chunk_.data(), n);
  if (first_) {
    // The mark at the very start decides about the encoding, also when going on in the middle.
    first_ = false;
    if (options_.transcode && has_utf16_mark(bytes)) {
      utf16_ = std::make_unique<Utf16Decoder>(bytes[0] == '\xFE');
      bytes.remove_prefix(2);
      transcoded_ = true;
      std::string head;
      Utf16Decoder(*utf16_).decode(bytes.substr(0, kTellingBytes), head);
      refuse_other_formats(head, !options_.text_lines, source_.name());
    } else {
      refuse_other_formats(bytes.substr(0, kTellingBytes), !options_.text_lines, source_.name());
    }
    if (bytes.substr(0, kMark.size()) == kMark) {
      bytes.remove_prefix(kMark.size());
    }
  }
  if (utf16_)
    utf16_->decode(bytes, out);
  else
    out.append(bytes);
}

// Content offsets count decompressed, decoded bytes. Seek when they equal file bytes, else read and drop; a
// shard that begins inside a file counts the lines before it: places are the same in every shard.
void BatchReader::OpenFile::go_to_start() {
  const bool count_lines = plan_.find_line_start;
  const auto drop = [&](size_t n) {
    const std::string_view gone = std::string_view(rest_).substr(0, n);
    if (count_lines) line_number_ += static_cast<uint64_t>(std::count(gone.begin(), gone.end(), '\n'));
    rest_.erase(0, n);
  };
  read_more(rest_);
  if (!count_lines && source_.compression() == Compression::kNone && !utf16_ && source_.raw_size() >= 0 &&
      plan_.offset > rest_.size()) {
    source_.skip(plan_.offset - rest_.size());
    rest_.clear();
  } else {
    uint64_t dropped = 0;
    while (rest_.size() < plan_.offset - dropped && !at_end_) {
      dropped += rest_.size();
      drop(rest_.size());
      read_more(rest_);
    }
    drop(std::min<uint64_t>(plan_.offset - dropped, rest_.size()));
  }
  skip_line_ = plan_.find_line_start;
}

// A file that shrank has lost what was there when the run began: that is damage. Other changes are said.
void BatchReader::OpenFile::look_for_changes(LineBatch& batch) const {
  const State now = state();
  if (!before_.known || stopped()) return;
  if (static_cast<int64_t>(source_.raw_bytes()) < source_.raw_size() && batch.damage.empty() &&
      offset_ < plan_.end)
    batch.damage = "became shorter while it was read: " + std::to_string(source_.raw_size()) +
                   " bytes at first, " + std::to_string(source_.raw_bytes()) + " were there";
  else if (!now.known)
    batch.note = "was removed while it was read; all of it was read";
  else if (now.inode != before_.inode)
    batch.note = "was replaced while it was read; the file it was is what was read";
  else if (now.size != before_.size || now.changed_ns != before_.changed_ns)
    batch.note = "changed while it was read (" + std::to_string(before_.size) + " bytes at first, " +
                 std::to_string(now.size) + " now)";
}

bool BatchReader::OpenFile::next(LineBatch& batch) {
  std::string& buffer = batch.bytes;
  buffer.swap(rest_);
  rest_.clear();
  batch.lines.clear();
  batch.file = plan_.file;
  batch.damage.clear();
  batch.note.clear();
  size_t scan = 0, begin = 0;  // in buffer
  uint64_t oversize = 0;       // bytes of the current line that were dropped from memory
  // Keeps a line's head and counts the rest: memory stays bounded whatever the line.
  const size_t head = static_cast<size_t>(std::min(kOversizeHead, options_.max_line_bytes));
  const auto cut_line = [&](size_t end) {
    oversize += end - begin - head;
    buffer.erase(begin + head, end - begin - head);
  };
  const auto finish_line = [&](size_t end, bool cut) {
    const uint64_t length = end - begin;
    ++line_number_;
    // Files that were joined bring their marks along: no part of a record.
    size_t mark = 0;
    while (buffer.compare(begin + mark, kMark.size(), kMark) == 0) mark += kMark.size();
    if (!skip_line_ && offset_ < plan_.end)
      batch.lines.push_back(
          {begin + mark, length - mark, offset_, line_number_, oversize > 0, length - mark + oversize, cut});
    skip_line_ = false;
    offset_ += length + oversize + 1;
    oversize = 0;
  };
  const auto hand_over = [&](bool ends) {
    over_ = over_ || ends;
    batch.damage = damage_;
    if (ends) look_for_changes(batch);
    buffer.resize(buffer.size() + kRecordPadding);
    batch.ends_file = ends;
    batch.transcoded = transcoded_;
    batch.end_offset = offset_;
    batch.end_line = line_number_;
    batch.raw_bytes = source_.raw_bytes();
    return true;
  };
  for (;;) {
    size_t newline = buffer.find('\n', scan);
    const size_t end = std::min(newline, buffer.size());
    if (end - begin > (oversize ? head : static_cast<size_t>(options_.max_line_bytes))) {
      cut_line(end);
      if (newline != std::string::npos) newline = begin + head;
    }
    if (newline != std::string::npos) {
      finish_line(newline, false);
      begin = scan = newline + 1;
      const bool past_end = offset_ >= plan_.end;
      if (past_end || begin >= static_cast<size_t>(options_.batch_bytes)) {
        rest_.assign(buffer, begin);
        buffer.resize(begin);
        return hand_over(past_end);
      }
      continue;
    }
    scan = buffer.size();
    if (at_end_) {
      // What a stop cut off is no line; what the file's end cut off is.
      const bool stop = stopped();
      if (begin < buffer.size() && !stop) finish_line(buffer.size(), !damage_.empty());
      over_ = true;
      return (!stop || !batch.lines.empty()) && hand_over(!stop);
    }
    read_more(buffer);
  }
}

BatchReader::BatchReader(std::vector<FilePlan> plan, InputOptions options)
    : plan_(std::move(plan)), options_(std::move(options)) {}

BatchReader::~BatchReader() = default;

bool BatchReader::next(LineBatch& batch) {
  for (;;) {
    if (!file_) {
      if (next_file_ == plan_.size() || (options_.stop && options_.stop())) return false;
      const FilePlan& plan = plan_[next_file_++];
      try {
        file_ = std::make_unique<OpenFile>(plan, options_);
      } catch (const Error& e) {
        // It was there when the run began: the other files' work is not thrown away.
        if (e.kind() != ErrorKind::kNoInput) throw;
        batch = {};
        batch.file = plan.file;
        batch.ends_file = true;
        batch.damage = e.what();
        batch.end_offset = plan.offset;
        batch.end_line = plan.line;
        return true;
      }
    }
    const bool made = file_->next(batch);
    if (file_->over()) file_.reset();
    if (made) return true;
  }
}

}  // namespace ds::filter
