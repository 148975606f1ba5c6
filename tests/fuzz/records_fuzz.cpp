// Bytes as JSONL lines: every line is a record or an Error, never a crash.
#include <cstdint>

#include "core/json_value.h"
#include "infer/records.h"
#include "infer/request.h"
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
    try {
      Record record;
      record.where = "fuzz:1";
      record.line_number = line_number;
      record.json = parse_jsonl_line(text.substr(0, end), record.where);
      const Json id = id_of(record);
      DS_CHECK(id.is_string() || id.is_number());
      // What was read can be written and read again.
      const std::string again = dump(record.json);
      DS_CHECK(dump(parse_jsonl_line(again, "fuzz:1")) == again);
      const JsonMembers members = record.members();
      members.string("prompt");
      members.boolean("thinking");
      members.number("temperature");
      members.count("max_tokens");
      ids_member(members, "input_ids");
      if (const Json* messages = members.list("messages")) chat_of(record, *messages, {}, ChatEnd::kAnswer);
    } catch (const Error& e) {
      dump(error_record("line", e));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return 0;
}
