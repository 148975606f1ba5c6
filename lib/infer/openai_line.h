// Lines of OpenAI's batch files, answered in kind: {"custom_id", "method", "url", "body"} give {"id",
// "custom_id", "response": {"status_code", "request_id", "body"}, "error"}, where the body is a
// chat.completion or, for "/v1/completions", a text_completion.
//
// What is made up (ids, "created") follows from the record, so that a run that is repeated or gone on with
// gives the same bytes.
#pragma once
#include "infer/request.h"

namespace ds::infer {

// A record that has a "body".
bool is_openai_line(const Json& record);
MemberNames openai_line_members();
MemberNames openai_body_members();

// Throws Error{kBadData} for what is no request for one completion.
RecordRequest make_openai_request(const Engine& engine, const Record& record,
                                  const RequestDefaults& defaults);
Json openai_answer(const Engine& engine, const Record& record, const Generation& answer);
// Status 400 without a body, and "error": {"code", "message", "param"}.
Json openai_error(const Record& record, const Error& error);

}  // namespace ds::infer
