#include "infer/request.h"

namespace ds::infer {
namespace {

// The checked conversation of a record, with the system message in front.
Json messages_of(const Record& record, const Json& given, const std::string& system) {
  if (!given.is_array() || given.as_array().empty())
    throw Error(ErrorKind::kBadData, "\"messages\" must be a list of at least one message", record.where,
                R"(for example [{"role": "user", "content": "hello"}])");
  Json::Array messages;
  for (const Json& message : given.as_array()) {
    const Json* role = message.find("role");
    if (!role || !role->is_string())
      throw Error(ErrorKind::kBadData, "every message must be an object with a \"role\"", record.where);
  }
  if (!system.empty() && given.as_array()[0].find("role")->as_string() != "system")
    messages.push_back(make_message("system", system));
  messages.insert(messages.end(), given.as_array().begin(), given.as_array().end());
  return messages;
}

std::vector<std::string> stop_strings(const Record& record, const Json& value) {
  std::vector<std::string> stops;
  const auto add = [&](const Json& stop) {
    if (!stop.is_string() || stop.as_string().empty())
      throw Error(ErrorKind::kBadData, "\"stop\" must be a text or a list of texts, none of them empty",
                  record.where);
    stops.push_back(stop.as_string());
  };
  if (value.is_array()) {
    for (const Json& stop : value.as_array()) add(stop);
  } else {
    add(value);
  }
  return stops;
}

GenerationOverrides overrides_of(const Record& record) {
  GenerationOverrides o;
  o.max_tokens = count_member(record, "max_tokens");
  o.temperature = number_member(record, "temperature");
  o.top_k = count_member(record, "top_k");
  o.top_p = number_member(record, "top_p");
  o.min_p = number_member(record, "min_p");
  o.repeat_penalty = number_member(record, "repeat_penalty");
  o.seed = count_member(record, "seed");
  if (const Json* stop = record.json.find("stop"); stop && !stop->is_null())
    o.stop = stop_strings(record, *stop);
  return o;
}

}  // namespace

Json make_message(const std::string& role, const std::string& text) {
  Json message;
  message.set("role", role);
  message.set("content", text);
  return message;
}

std::vector<int32_t> encode_chat(const ModelText& text, const RenderRequest& chat, const std::string& where) {
  return text.tokenizer().encode(text.render(chat, where));
}

RecordRequest make_request(const Engine& engine, const Record& record, const RequestDefaults& defaults) {
  RecordRequest request;
  request.id = record.id;
  request.generate.stream = static_cast<uint64_t>(record.index);
  request.generate.settings =
      with_overrides(defaults.settings, overrides_of(record), ErrorKind::kBadData, record.where);

  const std::string* prompt = string_member(record, "prompt");
  const Json* messages = record.json.find("messages");
  auto input_ids = ids_member(record, "input_ids");
  if (messages && messages->is_null()) messages = nullptr;
  if ((prompt != nullptr) + (messages != nullptr) + input_ids.has_value() != 1)
    throw Error(ErrorKind::kBadData, "a record needs one of \"prompt\", \"messages\" and \"input_ids\"",
                record.where);

  request.return_ids =
      bool_member(record, "return_ids").value_or(defaults.return_ids || input_ids.has_value());
  const bool raw = bool_member(record, "raw").value_or(defaults.raw);
  if (input_ids) {
    request.generate.prompt = std::move(*input_ids);
  } else if (prompt && raw) {
    request.generate.prompt = engine.text().encode_plain(*prompt);
  } else {
    const std::string* system = string_member(record, "system");
    const Json given = prompt ? Json(Json::Array{make_message("user", *prompt)}) : *messages;
    RenderRequest chat;
    chat.messages = messages_of(record, given, system ? *system : defaults.system);
    chat.thinking = defaults.thinking;
    if (const auto v = bool_member(record, "thinking")) chat.thinking = v;
    if (const Json* tools = record.json.find("tools"); tools && !tools->is_null()) {
      if (!tools->is_array()) throw Error(ErrorKind::kBadData, "\"tools\" must be a list", record.where);
      chat.tools = *tools;
    }
    request.generate.prompt = encode_chat(engine.text(), chat, record.where);
  }
  return request;
}

Json answer_record(const Engine& engine, const RecordRequest& request, const Generation& answer) {
  const int64_t n_completion = static_cast<int64_t>(answer.ids.size());
  Json usage;
  usage.set("prompt_tokens", answer.n_prompt_tokens);
  usage.set("completion_tokens", n_completion);
  usage.set("total_tokens", answer.n_prompt_tokens + n_completion);
  Json out;
  out.set("id", request.id);
  out.set("text", engine.has_text() ? Json(answer.text) : Json());
  out.set("reasoning", engine.has_text() ? Json(answer.reasoning) : Json());
  out.set("finish_reason", finish_reason_name(answer.finish_reason));
  out.set("usage", std::move(usage));
  if (request.return_ids) {
    Json::Array ids;
    ids.reserve(answer.ids.size());
    for (const int32_t id : answer.ids) ids.push_back(id);
    out.set("output_ids", std::move(ids));
  }
  return out;
}

Json timing_record(const RecordRequest& request, const Generation& answer) {
  Json::Array times;
  times.reserve(answer.token_ns.size());
  for (const int64_t t : answer.token_ns) times.push_back(t - answer.start_ns);
  Json out;
  out.set("id", request.id);
  out.set("prompt_tokens", answer.n_prompt_tokens);
  out.set("completion_tokens", static_cast<int64_t>(answer.ids.size()));
  out.set("ttft_ns", answer.token_ns.empty() ? Json() : Json(answer.token_ns[0] - answer.start_ns));
  out.set("token_ns", std::move(times));
  return out;
}

}  // namespace ds::infer
