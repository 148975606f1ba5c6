// Bytes as JSONL lines: every line is a record or an Error, never a crash.
#include <cstdint>

#include "infer/records.h"
#include "infer/text_jobs.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    ds::parse_ids(text, "fuzz");
  } catch (const ds::Error&) {
  }
  for (int64_t line_number = 1; !text.empty(); ++line_number) {
    const size_t end = std::min(text.find('\n'), text.size());
    ds::Json id;
    try {
      const ds::Record record = ds::parse_record(text.substr(0, end), "fuzz:1", line_number, id);
      DS_CHECK(id.is_string() || id.is_number());
      ds::string_member(record, "prompt");
      ds::bool_member(record, "thinking");
      ds::number_member(record, "temperature");
      ds::count_member(record, "max_tokens");
      ds::ids_member(record, "input_ids");
      // What was read can be written and read again.
      const std::string again = record.json.dump();
      ds::Json same_id;
      DS_CHECK(ds::parse_record(again, "fuzz:1", line_number, same_id).json.dump() == again);
    } catch (const ds::Error& e) {
      ds::error_record(id, e).dump();
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return 0;
}
