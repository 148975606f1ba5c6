#include "infer/model_text.h"

#include "checkpoint/locate.h"
#include "checkpoint/model_file.h"

namespace ds::infer {
namespace {

constexpr int64_t kMaxConfigBytes = int64_t{1} << 28;

// A special token is written as its text or as an object with "content".
const std::string* token_text(const Json* value) {
  if (value && value->is_object()) value = value->find("content");
  return value && value->is_string() ? &value->as_string() : nullptr;
}

std::string read_tokenizer_json(const std::string& folder) {
  const std::string path = folder + "/tokenizer.json";
  if (!model_file_exists(path))
    throw Error(ErrorKind::kNoInput, "missing", path,
                "text needs the model's tokenizer.json; without one only input_ids records can be used");
  return read_model_file(path, kMaxConfigBytes);
}

}  // namespace

std::unique_ptr<const ModelText> ModelText::open(const std::string& name, const ModelTextOptions& options) {
  const std::string folder = locate_model(name);
  const std::string json = read_tokenizer_json(folder);
  std::unique_ptr<ModelText> text(
      new ModelText(Tokenizer::from_json(json, folder + "/tokenizer.json"), folder));
  text->read_tokenizer_config();
  text->read_templates(options, text->tokenizer_config_);
  text->tokenizer_config_ = Json();
  return text;
}

void ModelText::read_tokenizer_config() {
  special_variables_ = Json(Json::Object{});
  const std::string path = folder_ + "/tokenizer_config.json";
  if (!model_file_exists(path)) return;
  tokenizer_config_ = read_model_json(path, kMaxConfigBytes);
  if (!tokenizer_config_.is_object())
    throw Error(ErrorKind::kBadModel, "must be a JSON object", path, "download the file again");
  for (const char* name :
       {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"})
    if (const std::string* token = token_text(tokenizer_config_.find(name)))
      special_variables_.set(name, *token);
  const auto id_of = [&](const char* name) -> std::optional<int32_t> {
    const Json* token = special_variables_.find(name);
    return token ? tokenizer_.token_id(token->as_string()) : std::nullopt;
  };
  bos_id_ = id_of("bos_token");
  eos_id_ = id_of("eos_token");
  const Json* add_bos = tokenizer_config_.find("add_bos_token");
  add_bos_ = add_bos && add_bos->is_bool() && add_bos->as_bool() && bos_id_;
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
  const Json* value = config.find("chat_template");
  // Of models that also see or hear: their tokenizer's own template comes first.
  const std::string json = folder_ + "/chat_template.json";
  if ((!value || value->is_null()) && model_file_exists(json)) {
    own = read_model_json(json, kMaxConfigBytes);
    value = own.find("chat_template");
    where = json;
  }
  if (!value) return;
  if (value->is_string()) return set_template(template_, value->as_string(), where);
  if (!value->is_array()) return;
  for (const Json& entry : value->as_array()) {  // several named templates
    const Json *name = entry.find("name"), *source = entry.find("template");
    if (!name || !name->is_string() || !source || !source->is_string()) continue;
    if (name->as_string() == "default") set_template(template_, source->as_string(), where);
    if (name->as_string() == "tool_use") set_template(tool_template_, source->as_string(), where);
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

std::string ModelText::render(const RenderRequest& request, const std::string& where) const {
  const bool with_tools = !request.tools.is_null();
  const ChatTemplate& chat_template = choose(with_tools);
  Json variables = special_variables_;
  variables.set("messages", request.messages);
  // Absent tools and documents are passed as none rather than left undefined, as the reference library does.
  variables.set("tools", request.tools);
  variables.set("documents", Json());
  variables.set("add_generation_prompt", request.add_generation_prompt);
  if (request.thinking) {
    bool known = false;
    for (const char* name : {"enable_thinking", "thinking"}) {
      if (!chat_template.mentions(name)) continue;
      variables.set(name, *request.thinking);
      known = true;
    }
    if (!known)
      throw Error(ErrorKind::kUsage, "the chat template has no switch for reasoning", folder_,
                  "run without --think and --no-think; the model decides by itself");
  }
  if (request.extra.is_object())
    for (const auto& [name, value] : request.extra.as_object()) variables.set(name, value);
  try {
    return chat_template.render(variables);
  } catch (const Error& e) {
    // What the template refuses is this conversation, wherever the refusal was raised.
    throw Error(ErrorKind::kBadData, "chat template: " + std::string(e.what()),
                where.empty() ? e.where() : where, e.hint());
  }
}

std::vector<int32_t> ModelText::encode_plain(const std::string& text) const {
  std::vector<int32_t> ids = tokenizer_.encode(text);
  if (add_bos_ && (ids.empty() || ids[0] != *bos_id_)) ids.insert(ids.begin(), *bos_id_);
  return ids;
}

TokenTexts ModelText::token_texts() const {
  TokenTexts texts;
  texts.bytes = [this](int32_t id) { return tokenizer_.token_bytes(id); };
  texts.is_special = [this](int32_t id) { return tokenizer_.is_special(id); };
  const auto open = tokenizer_.token_id("<think>"), close = tokenizer_.token_id("</think>");
  if (open && close) {
    texts.think_open = *open;
    texts.think_close = *close;
  }
  return texts;
}

}  // namespace ds::infer
