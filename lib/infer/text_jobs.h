// ds-run --tokenize, --detokenize, --render: jobs on text alone, without weights.
#pragma once
#include <string>
#include <vector>

#include "checkpoint/model_text.h"
#include "infer/records.h"
#include "infer/request.h"

namespace ds::infer {

// {"id", "text", "parse_special" (true), "add_special" (as given)} to {"id", "ids"}. add_special: the frame
// is put around the text as for --raw and --score.
RecordCounts tokenize_records(const ModelText& text, const RecordJob& job, bool add_special);
// {"id", "ids", "skip_special" (false)} to {"id", "text"}.
RecordCounts detokenize_records(const ModelText& text, const RecordJob& job);
// {"id", "prompt" | "messages", "raw", "system", "tools", "thinking", "extra", "add_generation_prompt" (true,
// or false where the last message is gone on with), "continue_final_message"} to {"id", "text"}: what a model
// would be given to answer the record.
RecordCounts render_records(const ModelText& text, const RecordJob& job, const RequestDefaults& defaults);

// Token ids separated by white space or written as JSON lists. Throws Error{kBadData} naming `where` and the
// position.
std::vector<int32_t> parse_ids(std::string_view text, const std::string& where);
// "1 2 3\n"
void write_ids(const std::vector<int32_t>& ids, OutputStream& out);

}  // namespace ds::infer
