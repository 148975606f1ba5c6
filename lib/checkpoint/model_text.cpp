#include "checkpoint/model_text.h"

#include <algorithm>

#include "checkpoint/locate.h"
#include "checkpoint/messages.h"
#include "checkpoint/model_file.h"
#include "checkpoint/other_folders.h"
#include "core/json_value.h"

namespace ds::checkpoint {
namespace {

constexpr int64_t kMaxConfigBytes = int64_t{1} << 28;

std::string read_tokenizer_json(const std::string& folder) {
  const std::string path = folder + "/tokenizer.json";
  require_tokenizer(folder);
  return read_model_file(path, kMaxConfigBytes);
}

}  // namespace

std::unique_ptr<const ModelText> ModelText::open(const std::string& name, const ModelTextOptions& options) {
  const std::string folder = locate_model(name);
  const std::string json = read_tokenizer_json(folder);
  const TokenizerFiles files = read_tokenizer_files(folder);
  std::unique_ptr<ModelText> text(
      new ModelText(Tokenizer::from_json(json, folder + "/tokenizer.json", files.added), folder, files));
  text->read_templates(options, files.config);
  return text;
}

ModelText::ModelText(Tokenizer tokenizer, std::string folder, const TokenizerFiles& files)
    : tokenizer_(std::move(tokenizer)),
      folder_(std::move(folder)),
      special_variables_(files.special),
      frame_(tokenizer_.frame()) {
  for (const std::string& eos : files.eos)
    if (const auto id = tokenizer_.token_id(eos)) eos_ids_.push_back(*id);
  if (!frame_.empty()) return;
  const auto asked_for = [&](const char* flag, const char* name, std::vector<int32_t>& ids) {
    const Json *asked = find(files.config, flag), *token = find(files.special, name);
    if (!asked || !asked->is_boolean() || !asked->get<bool>() || !token) return;
    if (const auto id = tokenizer_.token_id(as_string(*token))) ids.push_back(*id);
  };
  asked_for("add_bos_token", "bos_token", frame_.before);
  asked_for("add_eos_token", "eos_token", frame_.after);
}

void ModelText::set_template(Template& slot, const std::string& source, const std::string& where) {
  slot.source_found = true;
  try {
    slot.parsed.emplace(ChatTemplate::parse(source, where));
  } catch (const Error& e) {
    slot.error = e;
  }
}

void ModelText::read_templates(const ModelTextOptions& options, const Json& config) {
  if (!options.chat_template.empty()) {
    set_template(template_, read_file(options.chat_template, kMaxConfigBytes), options.chat_template);
    if (template_.error) throw *template_.error;
    return;
  }
  // In files of their own, where they replace those of tokenizer_config.json.
  const std::string jinja = folder_ + "/chat_template.jinja";
  const std::string tool_jinja = folder_ + "/additional_chat_templates/tool_use.jinja";
  if (model_file_exists(jinja)) set_template(template_, read_model_file(jinja, kMaxConfigBytes), jinja);
  if (model_file_exists(tool_jinja))
    set_template(tool_template_, read_model_file(tool_jinja, kMaxConfigBytes), tool_jinja);
  if (template_.source_found || tool_template_.source_found) return;
  Json own;
  std::string where = folder_ + "/tokenizer_config.json";
  const Json* value = find(config, "chat_template");
  // Of models that also see or hear: their tokenizer's own template comes first.
  const std::string json = folder_ + "/chat_template.json";
  if ((!value || value->is_null()) && model_file_exists(json)) {
    own = read_model_json(json, kMaxConfigBytes);
    value = find(own, "chat_template");
    where = json;
  }
  if (!value) return;
  if (value->is_string()) return set_template(template_, as_string(*value), where);
  if (!value->is_array()) return;
  for (const Json& entry : *value) {  // several named templates
    const Json *name = find(entry, "name"), *source = find(entry, "template");
    if (!name || !name->is_string() || !source || !source->is_string()) continue;
    if (as_string(*name) == "default") set_template(template_, as_string(*source), where);
    if (as_string(*name) == "tool_use") set_template(tool_template_, as_string(*source), where);
  }
}

const ChatTemplate& ModelText::choose(bool with_tools) const {
  const Template& chosen = with_tools && tool_template_.source_found ? tool_template_ : template_;
  if (!chosen.source_found)
    throw Error(ErrorKind::kUsage, "the model has no chat template", folder_,
                "complete plain text with --raw, or give a template with --chat-template FILE");
  if (chosen.error) throw *chosen.error;
  return *chosen.parsed;
}

bool ModelText::can_switch_thinking() const {
  return template_.parsed &&
         (template_.parsed->mentions("enable_thinking") || template_.parsed->mentions("thinking"));
}

bool ModelText::uses_tools() const {
  const Template& chosen = tool_template_.source_found ? tool_template_ : template_;
  return chosen.parsed && chosen.parsed->mentions("tools");
}

std::string ModelText::render(const RenderRequest& request, const std::string& where) const {
  const bool with_tools = !request.tools.is_null();
  const ChatTemplate& chat_template = choose(with_tools);
  Json messages = normalized_messages(
      request.messages, message_form(chat_template, special_variables_, request.messages), where);
  const bool goes_on = !request.continue_member.empty();
  const std::string begun =
      goes_on ? mark_final_message(messages, request.continue_member, where) : std::string();
  Json variables = special_variables_;
  variables["messages"] = std::move(messages);
  // Absent tools and documents are passed as none rather than left undefined, as the reference library does.
  variables["tools"] = request.tools;
  variables["documents"] = Json();
  variables["add_generation_prompt"] = request.add_generation_prompt;
  if (request.thinking) {
    bool known = false;
    for (const char* name : {"enable_thinking", "thinking"}) {
      if (!chat_template.mentions(name)) continue;
      variables[name] = *request.thinking;
      known = true;
    }
    if (!known)
      throw Error(ErrorKind::kUsage, "the chat template has no switch for reasoning", folder_,
                  "run without --think and --no-think; the model decides by itself");
  }
  if (request.extra.is_object())
    for (const auto& [name, value] : request.extra.items()) variables[name] = value;
  std::string rendered;
  try {
    rendered = chat_template.render(variables);
  } catch (const Error& e) {
    // What the template refuses is this conversation, wherever the refusal was raised.
    throw Error(ErrorKind::kBadData, "chat template: " + std::string(e.what()),
                where.empty() ? e.where() : where, e.hint());
  }
  return goes_on ? cut_at_mark(std::move(rendered), begun, where) : rendered;
}

std::vector<int32_t> ModelText::encode_plain(std::string_view text, bool parse_special) const {
  std::vector<int32_t> ids = tokenizer_.encode(text, parse_special);
  const auto& [before, after] = frame_;
  if (ids.size() < before.size() || !std::equal(before.begin(), before.end(), ids.begin()))
    ids.insert(ids.begin(), before.begin(), before.end());
  if (ids.size() < before.size() + after.size() || !std::equal(after.rbegin(), after.rend(), ids.rbegin()))
    ids.insert(ids.end(), after.begin(), after.end());
  return ids;
}

std::string ModelText::frame_text() const {
  std::string out;
  const auto add = [&](const std::vector<int32_t>& ids, const char* place) {
    if (ids.empty()) return;
    if (!out.empty()) out += ", ";
    for (const int32_t id : ids)
      out += std::to_string(id) + " (" + std::string(tokenizer_.token_bytes(id)) + ") ";
    out += place;
  };
  add(frame_.before, "before the text");
  add(frame_.after, "behind it");
  return out;
}

}  // namespace ds::checkpoint
