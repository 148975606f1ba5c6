#include "infer/openai_line.h"

#include "core/hash.h"
#include "core/json_value.h"

namespace ds::infer {
namespace {

constexpr std::string_view kChatUrl = "/v1/chat/completions", kTextUrl = "/v1/completions";

std::string made_id(const std::string& kind, const Record& record) {
  return kind + hex_of(fnv1a(dump(record.json)));
}

bool is_chat(const Record& record) {
  const Json* url = find(record.json, "url");
  return !url || !url->is_string() || as_string(*url) != kTextUrl;
}

// The body as a record of its own.
Record body_of(const Record& record) {
  Record body = record;
  body.json = *record.members().object("body");
  return body;
}

void require_completion(const JsonMembers& members) {
  const std::string *method = members.string("method"), *url = members.string("url");
  if (method && *method != "POST") members.refuse("method", "\"POST\"");
  if (url && *url != kChatUrl && *url != kTextUrl)
    members.refuse("url", "\"" + std::string(kChatUrl) + "\" or \"" + std::string(kTextUrl) + "\"");
}

std::string model_of(const Engine& engine, const Record& record) {
  const Json* body = find(record.json, "body");
  const Json* model = body ? find(*body, "model") : nullptr;
  return model && model->is_string() ? as_string(*model) : engine.name();
}

Json usage_of(const Generation& answer) {
  Json usage = token_usage(answer);
  usage["prompt_tokens_details"]["cached_tokens"] = answer.n_cached_tokens;
  return usage;
}

Json choice_of(const Generation& answer, bool chat) {
  Json choice;
  choice["index"] = 0;
  if (chat) {
    choice["message"] = make_message("assistant", answer.text);
    if (!answer.reasoning.empty()) choice["message"]["reasoning_content"] = answer.reasoning;
  } else {
    choice["text"] = answer.text;
  }
  choice["logprobs"] = Json();
  choice["finish_reason"] = finish_reason_name(answer.finish_reason);
  return choice;
}

Json response_of(const Record& record, int64_t status, Json body) {
  Json out;
  out["status_code"] = status;
  out["request_id"] = made_id("req_", record);
  out["body"] = std::move(body);
  return out;
}

Json line_of(const Record& record, Json response, Json error) {
  Json out;
  out["id"] = made_id("batch_req_", record);
  out["custom_id"] = record.id;
  out["response"] = std::move(response);
  out["error"] = std::move(error);
  return out;
}

}  // namespace

bool is_openai_line(const Json& record) {
  const Json* body = find(record, "body");
  return body && !body->is_null();
}

MemberNames openai_line_members() { return {"id", "method", "url", "body"}; }

MemberNames openai_body_members() {
  MemberNames names = request_members();
  names.insert(names.end(), {"model", "n", "stream"});
  return names;
}

RecordRequest make_openai_request(const Engine& engine, const Record& record,
                                  const RequestDefaults& defaults) {
  require_completion(record.members());
  const bool chat = is_chat(record);
  Record body = body_of(record);
  const JsonMembers members = body.members();
  if (members.integer("n").value_or(1) != 1) members.refuse("n", "1");
  if (members.boolean("stream").value_or(false)) members.refuse("stream", "false");
  if (!members.find(chat ? "messages" : "prompt"))
    throw Error(ErrorKind::kBadData, chat ? "the body needs \"messages\"" : "the body needs \"prompt\"",
                record.where);
  RequestDefaults own = defaults;
  own.raw = !chat;
  return make_request(engine, body, own);
}

Json openai_answer(const Engine& engine, const Record& record, const Generation& answer) {
  const bool chat = is_chat(record);
  Json body;
  body["id"] = made_id(chat ? "chatcmpl-" : "cmpl-", record);
  body["object"] = chat ? "chat.completion" : "text_completion";
  body["created"] = 0;
  body["model"] = model_of(engine, record);
  body["choices"] = Json::array({choice_of(answer, chat)});
  body["usage"] = usage_of(answer);
  return line_of(record, response_of(record, 200, std::move(body)), Json());
}

Json openai_error(const Record& record, const Error& error) {
  Json what;
  what["code"] = "invalid_request_error";
  what["message"] = error.message();
  what["param"] = Json();
  return line_of(record, response_of(record, 400, Json()), std::move(what));
}

}  // namespace ds::infer
