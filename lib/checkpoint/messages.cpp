#include "checkpoint/messages.h"

#include <algorithm>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/json_value.h"
#include "io/json.h"

namespace ds::checkpoint {
namespace {

constexpr std::string_view kReasoningNames[] = {"reasoning_content", "thinking", "reasoning"};
constexpr std::string_view kMark = "CONTINUE_FINAL_MESSAGE_TAG ";
constexpr std::string_view kDeveloper = "developer";
constexpr std::string_view kSpaces = " \t\r\n\v\f";

std::string number_of(size_t i) { return "message " + std::to_string(i + 1); }

bool is_usual(std::string_view role) {
  return role == "system" || role == "user" || role == "assistant" || role == "tool";
}

// Content that is a list of text parts as one text; nothing for content that is no list.
std::optional<std::string> joined_parts(const Json& content, const std::string& name,
                                        const std::string& where) {
  if (!content.is_array()) return std::nullopt;
  std::string text;
  for (const Json& part : content) {
    const Json* type = find(part, "type");
    const Json* own = part.is_string() ? &part : find(part, "text");
    if (own && own->is_string()) {
      text += as_string(*own);
      continue;
    }
    throw Error(ErrorKind::kBadData,
                name + " has a part of type " +
                    (type && type->is_string() ? "\"" + as_string(*type) + "\"" : std::string("unknown")) +
                    ": only text can be read",
                where, R"(parts are {"type": "text", "text": "..."})");
  }
  return text;
}

// The members of a tool call's arguments as the template wants them. Text that is no JSON stays as it is.
void change_arguments(Json& arguments, MessageForm::Arguments form) {
  if (form == MessageForm::Arguments::kText && !arguments.is_string() && !arguments.is_null()) {
    static const ChatTemplate as_text = ChatTemplate::parse("{{ arguments | tojson }}", "arguments");
    Json variables;
    variables["arguments"] = arguments;
    arguments = as_text.render(variables);
  } else if (form == MessageForm::Arguments::kObject && arguments.is_string()) {
    try {
      Json parsed = parse_json(as_string(arguments), "arguments");
      if (parsed.is_object()) arguments = std::move(parsed);
    } catch (const Error&) {
    }
  }
}

void change_tool_calls(Json& message, MessageForm::Arguments form) {
  if (form == MessageForm::Arguments::kAsGiven) return;
  for (auto& [key, calls] : message.get_ref<Json::object_t&>()) {
    if (key != "tool_calls" || !calls.is_array()) continue;
    for (Json& call : calls) {
      if (!call.is_object()) continue;
      for (auto& [name, value] : call.get_ref<Json::object_t&>()) {
        if (name == "arguments") change_arguments(value, form);
        if (name != "function" || !value.is_object()) continue;
        for (auto& [inner, argument] : value.get_ref<Json::object_t&>())
          if (inner == "arguments") change_arguments(argument, form);
      }
    }
  }
}

// Templates read reasoning_content, some (gpt-oss) thinking.
void alias_reasoning(Json& message) {
  const Json* found = nullptr;
  for (const std::string_view name : kReasoningNames)
    if (!found) found = find(message, name);
  if (!found) return;
  const Json reasoning = *found;
  const Json* own = find(message, "thinking");
  Json renamed{{"thinking", own ? *own : reasoning}};
  for (const auto& [key, value] : message.items())
    if (key != "thinking") renamed[key] = value;
  message = std::move(renamed);
  message["reasoning_content"] = reasoning;
}

Json normalized(const Json& given, const MessageForm& form, const std::string& name,
                const std::string& where) {
  const Json* role = find(given, "role");
  if (!role || !role->is_string())
    throw Error(ErrorKind::kBadData, name + " must be an object with a \"role\"", where);
  Json message = Json::object();
  const bool is_lost =
      std::find(form.lost_roles.begin(), form.lost_roles.end(), as_string(*role)) != form.lost_roles.end();
  if (is_lost && as_string(*role) != kDeveloper)
    throw Error(ErrorKind::kBadData,
                name + " has role \"" + as_string(*role) + "\", which the chat template does not print",
                where, "roles are system, user, assistant and tool");
  for (const auto& [key, value] : given.items())
    if (!value.is_null() || (form.keeps_null_content && key == "content")) message[key] = value;
  const Json* own = find(message, "content");
  const bool must_have = as_string(*role) != "assistant" && as_string(*role) != "tool";
  if (must_have && (!own || own->is_null()) && is_usual(as_string(*role)))
    throw Error(ErrorKind::kBadData, name + " has no \"content\"", where);
  if (own && (own->is_number() || own->is_boolean()))
    throw Error(ErrorKind::kBadData, name + ": \"content\" must be a text or a list of text parts", where);
  if (const Json* content = find(message, "content"))
    if (auto text = joined_parts(*content, name, where); text && !form.content_in_parts)
      message["content"] = std::move(*text);
  if (is_lost) message["role"] = "system";
  alias_reasoning(message);
  change_tool_calls(message, form.arguments);
  return message;
}

std::string_view stripped(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

// Whether the template prints `needle` when it is given these messages.
bool prints(const ChatTemplate& chat_template, const Json& variables, Json::array_t messages,
            std::string_view needle) {
  Json all = variables;
  all["messages"] = std::move(messages);
  all["tools"] = Json();
  all["documents"] = Json();
  all["add_generation_prompt"] = false;
  try {
    return chat_template.render(all).find(needle) != std::string::npos;
  } catch (const Error&) {
    return false;
  }
}

Json message_with(const std::string& role, Json content) {
  return Json{{"role", role}, {"content", std::move(content)}};
}

// Whether the template prints messages of this role, wherever they may stand.
bool prints_role(const ChatTemplate& chat_template, const Json& variables, const std::string& role) {
  const Json hello = message_with("user", "hello"), hi = message_with("assistant", "hi");
  const Json parts = Json::array({Json{{"type", "text"}, {"text", "needle"}}});
  for (const Json& content : {Json("needle"), parts}) {
    const Json asked = message_with(role, content);
    for (const Json::array_t& messages : {Json::array_t{asked, hello}, Json::array_t{hello, asked},
                                          Json::array_t{hello, hi, asked}, Json::array_t{asked}})
      if (prints(chat_template, variables, messages, "needle")) return true;
  }
  return false;
}

}  // namespace

MessageForm message_form(const ChatTemplate& chat_template, const Json& variables, const Json& messages) {
  MessageForm form;
  bool has_parts = false, has_calls = false;
  std::set<std::string> other_roles;
  for (const Json& message :
       messages.is_array() ? messages.get_ref<const Json::array_t&>() : Json::array_t()) {
    const Json *content = find(message, "content"), *calls = find(message, "tool_calls");
    has_parts = has_parts || (content && content->is_array());
    has_calls = has_calls || (calls && calls->is_array());
    const Json* role = find(message, "role");
    if (role && role->is_string() && !is_usual(as_string(*role))) other_roles.insert(as_string(*role));
  }
  for (const std::string& role : other_roles)
    if (!prints_role(chat_template, variables, role)) form.lost_roles.push_back(role);
  if (has_parts) {
    const Json parts = Json::array({Json{{"type", "text"}, {"text", "needle"}}});
    form.content_in_parts = !prints(chat_template, variables, {message_with("user", "needle")}, "needle") &&
                            prints(chat_template, variables, {message_with("user", parts)}, "needle");
  }
  if (!has_calls) return form;
  // With quotes that are no longer there once a text is quoted as JSON.
  constexpr std::string_view kNeedle = "\"needle\": \"value\"";
  const auto prints_call = [&](Json assistant, Json arguments, std::string_view needle) {
    Json function{{"name", "needle_name"}, {"arguments", std::move(arguments)}};
    Json call{{"id", "call00001"}, {"type", "function"}, {"function", std::move(function)}};
    assistant["tool_calls"] = Json::array_t{std::move(call)};
    return prints(chat_template, variables, {message_with("user", "hello"), std::move(assistant)}, needle);
  };
  const Json no_content{{"role", "assistant"}}, null_content = message_with("assistant", Json());
  form.keeps_null_content =
      !prints_call(no_content, "{}", "needle_name") && prints_call(null_content, "{}", "needle_name");
  const auto prints_arguments = [&](Json arguments) {
    return prints_call(form.keeps_null_content ? null_content : message_with("assistant", ""),
                       std::move(arguments), kNeedle);
  };
  const bool text = prints_arguments("{" + std::string(kNeedle) + "}");
  const bool object = prints_arguments(Json{{"needle", "value"}});
  if (text != object) form.arguments = text ? MessageForm::Arguments::kText : MessageForm::Arguments::kObject;
  return form;
}

Json normalized_messages(const Json& messages, const MessageForm& form, const std::string& where) {
  if (!messages.is_array() || messages.empty())
    throw Error(ErrorKind::kBadData, "\"messages\" must be a list of at least one message", where,
                R"(for example [{"role": "user", "content": "hello"}])");
  Json::array_t out;
  for (size_t i = 0; i < messages.size(); ++i)
    out.push_back(normalized(messages[i], form, number_of(i), where));
  return out;
}

std::string mark_final_message(Json& messages, const std::string& member, const std::string& where) {
  Json& message = messages.back();
  const Json* given = find(message, member);
  if (!given || !given->is_string())
    throw Error(ErrorKind::kBadData,
                "continue_final_message: the last message has no text \"" + member + "\" to go on with",
                where);
  const std::string begun = as_string(*given);
  message[member] = begun + std::string(kMark);
  // Reasoning stands under several names: the template reads one of them.
  for (const std::string_view name : kReasoningNames)
    if (const Json* copy = find(message, name); copy && copy->is_string() && as_string(*copy) == begun)
      message[std::string(name)] = begun + std::string(kMark);
  return begun;
}

std::string cut_at_mark(std::string rendered, const std::string& begun, const std::string& where) {
  const size_t at = rendered.rfind(stripped(kMark));
  if (at == std::string::npos || rendered.find(stripped(begun)) == std::string::npos)
    throw Error(ErrorKind::kBadData,
                "continue_final_message: the chat template does not print the last message as it is", where);
  const bool keeps_spaces = std::string_view(rendered).substr(at, kMark.size()) == kMark;
  rendered.resize(at);
  if (!keeps_spaces) rendered.resize(rendered.find_last_not_of(kSpaces) + 1);
  return rendered;
}

}  // namespace ds::checkpoint
