// One JSONL record: the few fields a data tool needs, taken straight from the line. The line is checked as a
// whole (RFC 8259, strict UTF-8), yet nothing is built for the fields nobody asked for.
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace ds::io {

// Bytes that must be readable (any value) behind a line given to FieldReader.
constexpr size_t kRecordPadding = 64;

struct RecordFields {
  std::string text_field = "text", id_field = "id", url_field = "url";
};

struct FieldRecord {
  bool ok = false;
  const char* error = nullptr;  // when not ok: static text for people
  bool has_text = false;        // the field is there and is a string
  bool duplicate_keys = false;  // the text field occurs more than once; the first one is taken
  std::string_view text;        // valid until the reader's next call
  std::string_view url;
  std::string id;  // a string as it is, a number in digits, else empty
};

// Not thread-safe: one per thread.
class FieldReader {
 public:
  explicit FieldReader(RecordFields fields);
  ~FieldReader();
  FieldReader(FieldReader&&) noexcept;
  // The line without its newline; kRecordPadding bytes behind it must be readable.
  void parse(std::string_view line, FieldRecord& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The line with the value of the top-level member `key` replaced by `text` as a JSON string; all other bytes
// stay. `line` must have passed FieldReader.
std::string replace_text(std::string_view line, std::string_view key, std::string_view text);

}  // namespace ds::io
