#include "infer/request.h"

#include "core/json_value.h"

namespace ds::infer {

bool has_role(const Json& message, std::string_view role) {
  const Json* given = find(message, "role");
  return given && given->is_string() && as_string(*given) == role;
}

namespace {

std::vector<std::string> stop_strings(const Record& record, const Json& value) {
  std::vector<std::string> stops;
  const auto add = [&](const Json& stop) {
    if (!stop.is_string() || as_string(stop).empty())
      throw Error(ErrorKind::kBadData, "\"stop\" must be a text or a list of texts, none of them empty",
                  record.where);
    stops.push_back(as_string(stop));
  };
  if (value.is_array()) {
    for (const Json& stop : value) add(stop);
  } else {
    add(value);
  }
  return stops;
}

// A count for which -1 means no limit, as 0 does.
std::optional<int64_t> limit_member(const JsonMembers& members, std::string_view name) {
  const auto value = members.integer(name);
  return value == -1 ? 0 : members.count(name);
}

const Json* first_of(const Json& messages) {
  return messages.is_array() && !messages.empty() ? &messages.front() : nullptr;
}

bool has_text(const Json& message, const std::string& text) {
  const Json* content = find(message, "content");
  return content && content->is_string() && as_string(*content) == text;
}

// Whether a conversation ends in an answer that was begun: text of the assistant that calls no tools.
bool ends_begun(const Json& messages) {
  if (!first_of(messages)) return false;
  const Json& last = messages.back();
  const Json *content = find(last, "content"), *calls = find(last, "tool_calls");
  return has_role(last, "assistant") && content && !content->is_null() && (!calls || calls->is_null());
}

// DeepSeek's "prefix": true, which stands in the message that is to be gone on with.
bool is_prefix(const JsonMembers& members, const Json& messages) {
  const Json* prefix = first_of(messages) ? find(messages.back(), "prefix") : nullptr;
  if (!prefix || prefix->is_null()) return false;
  if (!prefix->is_boolean()) members.refuse("prefix", "true or false");
  if (prefix->get<bool>() && !has_role(messages.back(), "assistant"))
    throw Error(ErrorKind::kBadData, "\"prefix\" is for a last message of role assistant", members.where());
  return prefix->get<bool>();
}

// "continue_final_message": true, or the member of the last message to go on with. Empty: none.
std::string continue_member(const JsonMembers& members, bool otherwise) {
  const Json* value = members.find("continue_final_message");
  if (!value) return otherwise ? "content" : "";
  if (value->is_string()) return as_string(*value);
  return *members.boolean("continue_final_message") ? "content" : "";
}

}  // namespace

GenerationOverrides overrides_of(const Record& record) {
  const JsonMembers members = record.members();
  GenerationOverrides o;
  o.max_tokens = limit_member(members, "max_tokens");
  o.temperature = members.number("temperature");
  if (members.boolean("do_sample") == false) o.temperature = 0;  // as transformers: whatever else is given
  o.top_k = limit_member(members, "top_k");
  o.top_p = members.number("top_p");
  o.min_p = members.number("min_p");
  o.repeat_penalty = members.number("repeat_penalty");
  o.seed = members.count("seed");
  if (const Json* stop = members.find("stop")) o.stop = stop_strings(record, *stop);
  return o;
}

Json make_message(const std::string& role, const std::string& text) {
  Json message;
  message["role"] = role;
  message["content"] = text;
  return message;
}

std::vector<int32_t> encode_chat(const ModelText& text, const RenderRequest& chat, const std::string& where) {
  return text.tokenizer().encode(text.render(chat, where));
}

MemberNames and_chat_members(MemberNames own) {
  own.insert(own.end(), {"messages", "system", "tools", "thinking", "extra", "add_generation_prompt",
                         "continue_final_message"});
  return own;
}

MemberNames request_members() {
  return and_chat_members({"id", "prompt", "input_ids", "raw", "return_ids", "max_tokens", "temperature",
                           "top_k", "top_p", "min_p", "repeat_penalty", "seed", "stop", "do_sample"});
}

RenderRequest chat_of(const Record& record, const Json& messages, const RequestDefaults& defaults,
                      ChatEnd end) {
  const JsonMembers members = record.members();
  RenderRequest chat;
  chat.messages = messages;
  const std::string* system = members.string("system");
  const std::string& text = system ? *system : defaults.system;
  const Json* first = first_of(messages);
  const bool has_own = first && (has_role(*first, "system") || has_role(*first, "developer"));
  if (system && !system->empty() && has_own && !has_text(*first, *system))
    throw Error(ErrorKind::kBadData,
                "\"system\" and a first message of role system are both there and differ", record.where,
                "give one of them");
  if (first && !text.empty() && !has_own) {
    auto& list = chat.messages.get_ref<Json::array_t&>();
    list.insert(list.begin(), make_message("system", text));
  }
  if (const Json* tools = members.list("tools")) chat.tools = *tools;
  if (const Json* extra = members.object("extra")) chat.extra = *extra;
  chat.thinking = members.boolean("thinking");
  if (!chat.thinking) chat.thinking = defaults.thinking;
  const auto opens = members.boolean("add_generation_prompt");
  chat.continue_member = continue_member(
      members, is_prefix(members, messages) || (end == ChatEnd::kAnswer && !opens && ends_begun(messages)));
  if (opens.value_or(false) && !chat.continue_member.empty())
    throw Error(ErrorKind::kBadData,
                "\"continue_final_message\" (or \"prefix\") and \"add_generation_prompt\" exclude each other",
                record.where);
  chat.add_generation_prompt = opens.value_or(end != ChatEnd::kWhole) && chat.continue_member.empty();
  return chat;
}

RecordRequest make_request(const Engine& engine, const Record& record, const RequestDefaults& defaults) {
  const JsonMembers members = record.members();
  RecordRequest request;
  request.id = record.id;
  // A record with a seed of its own is answered alike wherever it stands; those that share a seed differ.
  request.generate.stream = members.find("seed") ? 0 : static_cast<uint64_t>(record.index);
  request.generate.settings =
      with_overrides(defaults.settings, overrides_of(record), ErrorKind::kBadData, record.where);

  const std::string* prompt = members.string("prompt");
  const Json* messages = members.find("messages");
  auto input_ids = ids_member(members, "input_ids");
  require_one_of(record, {"prompt", "messages", "input_ids"});

  request.return_ids = members.boolean("return_ids").value_or(defaults.return_ids || input_ids.has_value());
  const bool raw = members.boolean("raw").value_or(defaults.raw);
  if (input_ids) {
    request.generate.prompt = std::move(*input_ids);
  } else if (prompt && raw) {
    request.generate.prompt = engine.text().encode_plain(*prompt);
  } else {
    const Json given = prompt ? Json::array({make_message("user", *prompt)}) : *messages;
    request.generate.prompt =
        encode_chat(engine.text(), chat_of(record, given, defaults, ChatEnd::kAnswer), record.where);
  }
  return request;
}

Json token_usage(const Generation& answer) {
  const auto n_completion = static_cast<int64_t>(answer.ids.size());
  Json usage;
  usage["prompt_tokens"] = answer.n_prompt_tokens;
  usage["completion_tokens"] = n_completion;
  usage["total_tokens"] = answer.n_prompt_tokens + n_completion;
  return usage;
}

Json answer_record(const Engine& engine, const RecordRequest& request, const Generation& answer) {
  Json usage = token_usage(answer);
  usage["cached_tokens"] = answer.n_cached_tokens;
  Json out;
  out["id"] = request.id;
  out["text"] = engine.has_text() ? Json(answer.text) : Json();
  out["reasoning"] = engine.has_text() ? Json(answer.reasoning) : Json();
  out["finish_reason"] = finish_reason_name(answer.finish_reason);
  out["usage"] = std::move(usage);
  if (request.return_ids) {
    Json::array_t ids;
    ids.reserve(answer.ids.size());
    for (const int32_t id : answer.ids) ids.push_back(id);
    out["output_ids"] = std::move(ids);
  }
  return out;
}

Json timing_record(const RecordRequest& request, const Generation& answer) {
  Json::array_t times;
  times.reserve(answer.token_ns.size());
  for (const int64_t t : answer.token_ns) times.push_back(t - answer.start_ns);
  Json out;
  out["id"] = request.id;
  out["prompt_tokens"] = answer.n_prompt_tokens;
  out["cached_tokens"] = answer.n_cached_tokens;
  out["completion_tokens"] = static_cast<int64_t>(answer.ids.size());
  out["ttft_ns"] = answer.token_ns.empty() ? Json() : Json(answer.token_ns[0] - answer.start_ns);
  out["token_ns"] = std::move(times);
  return out;
}

}  // namespace ds::infer
