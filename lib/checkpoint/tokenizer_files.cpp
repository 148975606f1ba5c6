#include "checkpoint/tokenizer_files.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "checkpoint/model_file.h"
#include "core/json_members.h"
#include "core/json_value.h"

namespace ds::checkpoint {
namespace {

constexpr int64_t kMaxConfigBytes = int64_t{1} << 28;
constexpr size_t kMaxTokenBytes = 4096;
constexpr const char* kNamed[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};

Json read_object(const std::string& path) {
  if (!model_file_exists(path)) return Json::object();
  Json json = read_model_json(path, kMaxConfigBytes);
  if (!json.is_object())
    throw Error(ErrorKind::kBadModel, "must be a JSON object", path, "download the file again");
  return json;
}

// A token as its text alone or as an object with flags; nothing for what is neither.
std::optional<AddedToken> read_token(const Json* value, bool special, const std::string& where) {
  const Json* content = value && value->is_object() ? find(*value, "content") : value;
  if (!content || !content->is_string() || as_string(*content).empty()) return std::nullopt;
  if (as_string(*content).size() > kMaxTokenBytes)
    throw Error(ErrorKind::kBadModel, "a token longer than 4 KiB", where);
  AddedToken token;
  token.content = as_string(*content);
  const JsonMembers flags(*value, where, ErrorKind::kBadModel);
  token.special = special || flags.boolean("special").value_or(false);
  token.normalized = flags.boolean("normalized").value_or(!token.special);
  token.lstrip = flags.boolean("lstrip").value_or(false);
  token.rstrip = flags.boolean("rstrip").value_or(false);
  token.single_word = flags.boolean("single_word").value_or(false);
  return token;
}

[[noreturn]] void bad_id(const std::string& token, const std::string& id, const std::string& where) {
  throw Error(ErrorKind::kBadModel,
              "token \"" + token + "\" has the id " + id + ", which is no integer of 32 bits, 0 or more",
              where, "download the file again");
}

class FilesReader {
 public:
  explicit FilesReader(const std::string& folder)
      : config_path_(folder + "/tokenizer_config.json"),
        map_path_(folder + "/special_tokens_map.json"),
        added_path_(folder + "/added_tokens.json") {}

  TokenizerFiles read() {
    out_.config = read_object(config_path_);
    Json tokens = out_.config;
    const Json map = read_object(map_path_);
    for (const Json* eos : {find(tokens, "eos_token"), find(map, "eos_token")})
      if (const auto token = read_token(eos, true, config_path_)) out_.eos.push_back(token->content);
    // The decoder tells all that the two older files tell; where it is, they are not read.
    const Json* decoder = find(out_.config, "added_tokens_decoder");
    if (!decoder || decoder->is_null())
      for (const auto& [name, value] : map.items()) tokens[name] = value;
    read_special(tokens);
    if (decoder && !decoder->is_null())
      read_decoder(*decoder);
    else
      read_added(read_object(added_path_));
    out_.special = Json::object();
    for (const auto& [name, token] : named_) {
      out_.special[name] = token.content;
      add_if_absent(token);
    }
    for (const AddedToken& token : extra_) add_if_absent(token);
    return std::move(out_);
  }

 private:
  void read_special(const Json& tokens) {
    for (const char* name : kNamed)
      if (auto token = read_token(find(tokens, name), true, config_path_)) named_.emplace_back(name, *token);
    for (const char* name : {"additional_special_tokens", "extra_special_tokens"}) {
      const Json* list = find(tokens, name);
      if (!list || !list->is_array()) continue;
      for (const Json& value : *list)
        if (auto token = read_token(&value, true, config_path_)) extra_.push_back(std::move(*token));
    }
  }

  bool is_special(const std::string& content) const {
    const auto same = [&](const AddedToken& token) { return token.content == content; };
    return std::any_of(extra_.begin(), extra_.end(), same) ||
           std::any_of(named_.begin(), named_.end(), [&](const auto& n) { return same(n.second); });
  }

  // {"258": {"content": "<tool_call>", "lstrip": false, ...}}
  void read_decoder(const Json& decoder) {
    if (!decoder.is_object())
      throw Error(ErrorKind::kBadModel, "added_tokens_decoder must be an object", config_path_);
    std::map<uint32_t, AddedToken> by_id;
    for (const auto& [key, value] : decoder.items()) {
      auto token = read_token(&value, false, config_path_);
      if (!token)
        throw Error(ErrorKind::kBadModel, "added_tokens_decoder: \"" + key + "\" has no text", config_path_);
      uint32_t id = 0;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (error != std::errc() || end != key.data() + key.size()) bad_id(token->content, key, config_path_);
      token->special = token->special || is_special(token->content);
      by_id.insert_or_assign(id, std::move(*token));
    }
    for (auto& [id, token] : by_id) out_.added.push_back(std::move(token));
  }

  // {"<tool_call>": 258}
  void read_added(const Json& ids) {
    std::map<uint32_t, AddedToken> by_id;
    for (const auto& [content, id] : ids.items()) {
      if (!is_int(id) || as_int(id) < 0 || as_int(id) > UINT32_MAX) bad_id(content, dump(id), added_path_);
      const Json text(content);
      auto token = read_token(&text, is_special(content), added_path_);
      if (!token) continue;
      token->replaces = false;
      by_id.insert_or_assign(static_cast<uint32_t>(as_int(id)), std::move(*token));
    }
    for (auto& [id, token] : by_id) out_.added.push_back(std::move(token));
  }

  void add_if_absent(AddedToken token) {
    token.replaces = false;
    out_.added.push_back(std::move(token));
  }

  const std::string config_path_, map_path_, added_path_;
  TokenizerFiles out_;
  std::vector<std::pair<std::string, AddedToken>> named_;
  std::vector<AddedToken> extra_;
};

}  // namespace

TokenizerFiles read_tokenizer_files(const std::string& folder) { return FilesReader(folder).read(); }

}  // namespace ds::checkpoint
