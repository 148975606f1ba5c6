// ds-run --tokenize, --detokenize, --render: jobs on text alone, without weights.
#pragma once
#include <string>
#include <vector>

#include "infer/model_text.h"
#include "infer/records.h"

namespace ds::infer {

// {"id", "text", "parse_special" (true)} to {"id", "ids"}; nothing is added.
RecordCounts tokenize_records(const ModelText& text, const RecordJob& job);
// {"id", "ids", "skip_special" (false)} to {"id", "text"}.
RecordCounts detokenize_records(const ModelText& text, const RecordJob& job);
// {"id", "messages", "add_generation_prompt" (true), "tools", "thinking", "extra"} to {"id", "text"}.
RecordCounts render_records(const ModelText& text, const RecordJob& job);

// Token ids separated by white space or written as JSON lists. Throws Error{kBadData} naming `where` and the
// position.
std::vector<int32_t> parse_ids(std::string_view text, const std::string& where);
// "1 2 3\n"
void write_ids(const std::vector<int32_t>& ids, OutputStream& out);

}  // namespace ds::infer
