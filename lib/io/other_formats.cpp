#include "io/other_formats.h"

#include "core/error.h"

namespace ds::io {
namespace {

using std::string_view_literals::operator""sv;

struct Format {
  size_t offset;
  std::string_view bytes;
  const char* name;
  const char* remedy;
};
constexpr const char* kNarrow =
    "turn it into UTF-8, as by iconv -f UTF-16 -t UTF-8; ds-filter --transcode reads it where it begins with "
    "a byte order mark";
constexpr const char* kUnpack = "give what is inside, as by unzip -p FILE";
constexpr const char* kNarrow32 = "turn it into UTF-8, as by iconv -f UTF-32 -t UTF-8";
// The longer beginnings first: UTF-32's mark begins as UTF-16's does.
constexpr Format kFormats[] = {
    {0, "\xFF\xFE\0\0"sv, "UTF-32 text", kNarrow32},
    {0, "\0\0\xFE\xFF"sv, "UTF-32 text", kNarrow32},
    {0, "\xFF\xFE"sv, "UTF-16 text", kNarrow},
    {0, "\xFE\xFF"sv, "UTF-16 text", kNarrow},
    {0, "PK\x03\x04"sv, "a zip archive", kUnpack},
    {0, "PK\x05\x06"sv, "an empty zip archive", kUnpack},
    {0, "7z\xBC\xAF\x27\x1C"sv, "a 7z archive", "give what is inside, as by 7z x -so FILE"},
    {257, "ustar"sv, "a tar archive", "give what is inside, as by tar -xOf FILE"},
    {0, "\x04\x22\x4D\x18"sv, "packed with lz4", "unpack it, as by lz4 -dc FILE"},
    {0, "version https://git-lfs."sv, "a git-lfs pointer, the content is not here", "fetch it: git lfs pull"},
    {0, "ARROW1\0\0"sv, "an Arrow file", "write it as JSONL, as by pandas: to_json(lines=True)"},
};

bool has(std::string_view head, size_t offset, std::string_view bytes) {
  return head.size() >= offset + bytes.size() && head.substr(offset, bytes.size()) == bytes;
}

[[noreturn]] void refuse(const std::string& name, const std::string& where, const std::string& remedy) {
  throw Error(ErrorKind::kBadData, "this is " + name + ", lines of UTF-8 were expected", where, remedy);
}

// Text without a mark: in all of the first units every other byte is zero.
void refuse_wide(std::string_view head, const std::string& where) {
  constexpr size_t kUnits = 4;
  if (head.size() < 2 * kUnits) return;
  for (const size_t zero : {0, 1}) {
    size_t n = 0;
    for (size_t i = 0; i < kUnits; ++i) n += head[2 * i + zero] == '\0' && head[2 * i + 1 - zero] != '\0';
    if (n == kUnits)
      refuse("UTF-16 text", where,
             std::string("turn it into UTF-8, as by iconv -f UTF-16") + (zero ? "LE" : "BE") + " -t UTF-8");
  }
}

constexpr std::string_view kBlank = " \t\r\n";

// An object over many lines, as jq and json.dumps(indent=2) write it: its first line opens it or ends in a
// comma, and the next begins with the name of a member, as no record does.
bool is_spread_object(std::string_view text) {
  const size_t line_end = text.find('\n');
  if (!text.starts_with('{')) return false;
  if (line_end == text.npos) return text.find_first_not_of(kBlank, 1) == text.npos;
  const char last = text[text.find_last_not_of(kBlank, line_end)];
  const size_t next = text.find_first_not_of(kBlank, line_end);
  return (last == '{' || last == ',') && next != text.npos && text[next] == '"';
}

}  // namespace

void refuse_other_formats(std::string_view head, bool json, const std::string& where) {
  for (const Format& f : kFormats)
    if (has(head, f.offset, f.bytes)) refuse(f.name, where, f.remedy);
  // A text may begin with the four letters, though none goes on so.
  if (has(head, 0, "PAR1") && (json || (head.size() > 4 && head[4] == '\x15')))
    refuse("a Parquet file", where,
           "write it as JSONL, as by pandas: read_parquet(FILE).to_json(lines=True)");
  refuse_wide(head, where);
  if (has(head, 0, "\xEF\xBB\xBF")) head.remove_prefix(3);
  const size_t first = head.find_first_not_of(kBlank);
  if (!json || first == head.npos) return;
  if (is_spread_object(head.substr(first)))
    throw Error(ErrorKind::kBadData, "this is a JSON object over several lines, a record a line was expected",
                where, "make lines of it: jq -c . FILE");
  if (head[first] != '[') return;
  const size_t next = head.find_first_not_of(" \t\r", first + 1);
  if (next == head.npos || head[next] == '\n' || head[next] == '{')
    throw Error(ErrorKind::kBadData, "this is a JSON array, a record a line was expected", where,
                "make lines of it: jq -c '.[]' FILE");
}

}  // namespace ds::io
