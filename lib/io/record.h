// One JSONL record: the few fields a data tool needs, taken straight from the line. The line is checked as a
// whole (RFC 8259, strict UTF-8), yet nothing is built for the fields nobody asked for.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ds::io {

// Bytes that must be readable (any value) behind a line given to FieldReader.
constexpr size_t kRecordPadding = 64;

struct RecordFields {
  // Where the text is: a member, "meta.text" for a member of a member, several separated by commas. A member
  // may hold a string, a list of strings, or the messages of a conversation, whose contents are the text.
  std::string text_field = "text", id_field = "id", url_field = "url";
};

// A string of the line that is part of the text.
struct TextPiece {
  size_t begin, end;            // in the line, quotes included
  size_t text_begin, text_end;  // in the text
};

struct FieldRecord {
  bool ok = false;
  const char* error = nullptr;  // when not ok: static text for people
  bool has_text = false;
  std::string_view text;          // valid until the reader's next call; pieces are joined by newlines
  std::vector<TextPiece> pieces;  // where the text is not the one string of one member
  // Of members of the text that occur more than once the last is taken: the values [begin, end) of the
  // others.
  std::vector<std::pair<size_t, size_t>> superseded;
  std::string_view url;
  std::string id;  // a string as it is, a number in its digits, else empty
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

// Calls visit(name) with the path of each string of a line that FieldReader could read and of each list of
// messages, so that people can be told what there is instead of the text. Two levels deep.
void each_text_member(std::string_view line, const std::function<void(const std::string&)>& visit);

// The line with the strings [begin, end) replaced by texts, as JSON strings; all other bytes stay. In line
// order.
struct StringEdit {
  size_t begin, end;
  std::string text;
};
std::string replace_strings(std::string_view line, const std::vector<StringEdit>& edits);
// Where the value of the top-level member `key` stands, the last one's: [begin, end), 0 when it has none.
std::pair<size_t, size_t> find_member(std::string_view line, std::string_view key);

}  // namespace ds::io
