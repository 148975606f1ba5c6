#include "filter/input.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "core/utf8.h"
#include "io/compress.h"
#include "io/record.h"

namespace ds::filter {
namespace {

namespace fs = std::filesystem;

constexpr size_t kReadAhead = 2;
constexpr size_t kChunk = 1 << 18;
// Bytes of an oversize line that are kept for the quarantine.
constexpr int64_t kOversizeHead = 1 << 16;

bool is_data_file(const std::string& path) {
  std::string name = path;
  for (const char* packed : {".gz", ".zst", ".zstd"})
    if (name.size() > std::strlen(packed) && name.ends_with(packed)) {
      name.resize(name.size() - std::strlen(packed));
      break;
    }
  return name.ends_with(".jsonl") || name.ends_with(".json") || name.ends_with(".ndjson") ||
         name.ends_with(".txt");
}

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

std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs) {
  std::vector<std::string> files;
  for (const auto& input : inputs) {
    std::error_code error;
    if (input != "-" && fs::is_directory(input, error)) {
      std::vector<std::string> found;
      for (auto it =
               fs::recursive_directory_iterator(input, fs::directory_options::skip_permission_denied, error);
           !error && it != fs::recursive_directory_iterator(); it.increment(error))
        if (it->is_regular_file(error) && is_data_file(it->path().string()))
          found.push_back(it->path().string());
      if (error) throw Error(ErrorKind::kNoInput, "cannot list: " + error.message(), input);
      if (found.empty())
        throw Error(ErrorKind::kNoInput, "no .jsonl, .json, .ndjson or .txt file in the folder", input);
      std::sort(found.begin(), found.end());
      files.insert(files.end(), found.begin(), found.end());
    } else {
      if (input != "-" && !file_exists(input)) throw Error(ErrorKind::kNoInput, "does not exist", input);
      files.push_back(input);
    }
  }
  return files;
}

BatchReader::BatchReader(std::vector<FilePlan> plan, InputOptions options)
    : plan_(std::move(plan)), options_(std::move(options)), thread_([this] { run(); }) {}

BatchReader::~BatchReader() {
  {
    const std::lock_guard lock(mutex_);
    abandon_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void BatchReader::run() {
  try {
    for (const FilePlan& plan : plan_) {
      if (abandon_ || (options_.stop && options_.stop())) break;
      read_file(plan);
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    error_ = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  changed_.notify_all();
}

bool BatchReader::put(std::unique_ptr<Batch> batch) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return abandon_ || ready_.size() < kReadAhead; });
  if (abandon_) return false;
  ready_.push_back(std::move(batch));
  changed_.notify_all();
  return true;
}

std::unique_ptr<Batch> BatchReader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done_ || !ready_.empty(); });
  if (ready_.empty()) {
    if (error_) std::rethrow_exception(error_);
    return nullptr;
  }
  auto batch = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  return batch;
}

void BatchReader::read_file(const FilePlan& plan) {
  ByteSource source(plan.path);
  if (options_.stop) source.stop_when(options_.stop);
  const auto fresh = [&] {
    auto batch = std::make_unique<Batch>();
    batch->file = plan.file;
    batch->bytes.reserve(static_cast<size_t>(options_.batch_bytes) + kChunk + kRecordPadding);
    return batch;
  };
  std::unique_ptr<Batch> batch = fresh();
  std::string carry;  // the beginning of a line that the last batch could not finish
  std::vector<char> chunk(kChunk);
  uint64_t offset = plan.offset, line_number = plan.line;
  std::unique_ptr<Utf16Decoder> utf16;
  const char* encoding = "";
  bool first = true, at_end = false, transcoded = false;
  std::string damage;

  // The mark at the very start decides about the encoding, also when going on in the middle.
  std::string head(4, '\0');
  const auto read_more = [&](std::string& out) {
    size_t n = 0;
    try {
      n = source.read(chunk.data(), chunk.size());
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kBadData) throw;
      damage = e.what();
    }
    if (n == 0) {
      if (utf16) utf16->finish(out);
      at_end = true;
      return;
    }
    std::string_view bytes(chunk.data(), n);
    if (first) {
      first = false;
      const bool little = bytes.substr(0, 2) == "\xFF\xFE", big = bytes.substr(0, 2) == "\xFE\xFF";
      if (little || big) {
        encoding = "UTF-16";
        if (options_.transcode) {
          utf16 = std::make_unique<Utf16Decoder>(big);
          bytes.remove_prefix(2);
          encoding = "";
          transcoded = true;
        }
      } else if (bytes.substr(0, 3) == "\xEF\xBB\xBF") {
        bytes.remove_prefix(3);
      }
    }
    if (utf16)
      utf16->decode(bytes, out);
    else
      out.append(bytes);
  };

  size_t scan = 0, begin = 0;  // in batch->bytes
  uint64_t oversize = 0;       // bytes of the current line that were dropped from memory
  bool skip_line = false;
  if (plan.offset > 0) {
    // Content offsets count decompressed, decoded bytes. Seek when they equal file bytes, else read and drop;
    // a shard that begins inside a file counts the lines before it: places are the same in every shard.
    const bool count_lines = plan.find_line_start;
    const auto drop = [&](size_t n) {
      const std::string_view gone = std::string_view(batch->bytes).substr(0, n);
      if (count_lines) line_number += static_cast<uint64_t>(std::count(gone.begin(), gone.end(), '\n'));
      batch->bytes.erase(0, n);
    };
    read_more(batch->bytes);
    if (!count_lines && source.compression() == Compression::kNone && !utf16 && source.raw_size() >= 0 &&
        plan.offset > batch->bytes.size()) {
      source.skip(plan.offset - batch->bytes.size());
      batch->bytes.clear();
    } else {
      uint64_t dropped = 0;
      while (batch->bytes.size() < plan.offset - dropped && !at_end) {
        dropped += batch->bytes.size();
        drop(batch->bytes.size());
        read_more(batch->bytes);
      }
      drop(std::min<uint64_t>(plan.offset - dropped, batch->bytes.size()));
    }
    skip_line = plan.find_line_start;
  }

  const auto finish_line = [&](size_t end, bool cut) {
    const uint64_t length = end - begin;
    ++line_number;
    if (!skip_line && offset < plan.end)
      batch->lines.push_back({begin, length, offset, line_number, oversize > 0, length + oversize, cut});
    skip_line = false;
    offset += length + oversize + 1;
    oversize = 0;
  };
  const auto hand_over = [&](bool ends) {
    batch->bytes.resize(batch->bytes.size() + kRecordPadding);
    batch->ends_file = ends;
    batch->damage = damage;
    batch->encoding = encoding;
    batch->transcoded = transcoded;
    batch->end_offset = offset;
    batch->end_line = line_number;
    batch->raw_bytes = source.raw_bytes();
    if (!put(std::move(batch))) return false;
    batch = fresh();
    return true;
  };
  for (;;) {
    std::string& buffer = batch->bytes;
    const size_t newline = buffer.find('\n', scan);
    if (newline != std::string::npos) {
      finish_line(newline, false);
      begin = scan = newline + 1;
      const bool past_end = offset >= plan.end;
      if (past_end || begin >= static_cast<size_t>(options_.batch_bytes)) {
        carry.assign(buffer, begin);
        buffer.resize(begin);
        if (!hand_over(past_end)) return;
        if (past_end) return;
        batch->bytes = carry;
        begin = scan = 0;
      }
      continue;
    }
    scan = buffer.size();
    if (static_cast<int64_t>(buffer.size() - begin) > options_.max_line_bytes) {
      // Keep the head, count the rest: memory stays bounded whatever the line.
      oversize += buffer.size() - begin - kOversizeHead;
      buffer.resize(begin + kOversizeHead);
      scan = buffer.size();
    } else if (oversize > 0) {
      oversize += buffer.size() - begin - kOversizeHead;
      buffer.resize(begin + kOversizeHead);
      scan = buffer.size();
    }
    if (at_end) {
      const bool stopped = options_.stop && options_.stop();
      // What a stop cut off is no line; what the file's end cut off is.
      if (begin < buffer.size() && !stopped) finish_line(buffer.size(), !damage.empty());
      if (!stopped || !batch->lines.empty()) hand_over(!stopped);
      return;
    }
    read_more(buffer);
  }
}

}  // namespace ds::filter
