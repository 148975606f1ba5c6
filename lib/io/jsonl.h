// JSONL: a JSON object a line, with its place for messages.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/json_value.h"
#include "io/lines.h"

namespace ds::io {

struct JsonlRecord {
  Json json;          // an object
  std::string where;  // file:line
  std::string line;   // as read
  int64_t line_number = 0;
};

// Parses one line as io/json.h reads records. Throws Error{kBadData} naming `where` for what is no JSON
// object.
Json parse_jsonl_line(std::string_view line, const std::string& where);

class JsonlReader {
 public:
  // "-" is stdin. Longer lines throw Error{kBadData}; the next call goes on after them.
  explicit JsonlReader(const std::string& path, int64_t max_line_bytes = int64_t{1} << 30);

  // Receives a line that is no JSON object, which is then skipped.
  using OnBad = std::function<void(const Error&, std::string_view line)>;
  // The next record; nothing at the end, or when asked to stop. Blank lines are none. Without `on_bad` a bad
  // line throws Error{kBadData}.
  std::optional<JsonlRecord> next(const OnBad& on_bad = {});

  void stop_when(std::function<bool()> stop);
  bool stopped() const { return stop_ && stop_(); }
  void wait_for_input(bool waits) { lines_.wait_for_input(waits); }  // as LineReader's
  bool at_end() const { return lines_.at_end(); }
  int64_t n_read() const { return n_read_; }  // records and bad lines
  int64_t line_number() const { return lines_.line_number(); }
  std::string where() const { return lines_.where(); }

 private:
  LineReader lines_;
  std::function<bool()> stop_;
  int64_t n_read_ = 0;
};

}  // namespace ds::io
