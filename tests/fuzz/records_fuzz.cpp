// Bytes as JSONL lines: every line is a record or an Error, never a crash.
#include <cstdint>

#include "infer/records.h"
#include "infer/text_jobs.h"

using namespace ds;
using namespace ds::infer;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    parse_ids(text, "fuzz");
  } catch (const Error&) {
  }
  for (int64_t line_number = 1; !text.empty(); ++line_number) {
    const size_t end = std::min(text.find('\n'), text.size());
    Json id;
    try {
      const Record record = parse_record(text.substr(0, end), "fuzz:1", line_number, id);
      DS_CHECK(id.is_string() || id.is_number());
      string_member(record, "prompt");
      bool_member(record, "thinking");
      number_member(record, "temperature");
      count_member(record, "max_tokens");
      ids_member(record, "input_ids");
      // What was read can be written and read again.
      const std::string again = record.json.dump();
      Json same_id;
      DS_CHECK(parse_record(again, "fuzz:1", line_number, same_id).json.dump() == again);
    } catch (const Error& e) {
      error_record(id, e).dump();
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return 0;
}
