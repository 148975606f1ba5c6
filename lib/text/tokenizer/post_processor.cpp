// The "post_processor" of tokenizer.json, as far as one text goes: which ids stand before and behind it.
#include "core/json_members.h"
#include "text/tokenizer/tokenizer_parts.h"

namespace ds::text {
namespace {

class PostProcessorReader {
 public:
  PostProcessorReader(size_t n_ids, const std::string& where) : n_ids_(n_ids), where_(where) {}

  void read(const Json& step, int depth) {
    if (depth > 8) refuse("nested too deeply");
    const JsonMembers m = members(step);
    const std::string* type = m.string("type");
    if (!type) refuse("needs a \"type\"");
    if (*type == "ByteLevel") return;  // offsets alone
    if (*type == "TemplateProcessing") return read_template(m);
    if (*type == "BertProcessing" || *type == "RobertaProcessing") {
      frame.before.insert(frame.before.begin(), pair_id(m, "cls"));
      frame.after.push_back(pair_id(m, "sep"));
      return;
    }
    if (*type != "Sequence") refuse("\"" + *type + "\" is not supported");
    const Json* steps = m.list("processors");
    if (!steps) refuse("Sequence needs a list \"processors\"");
    for (const Json& inner : steps->as_array()) read(inner, depth + 1);
  }

  TextFrame frame;

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorKind::kBadModel, "post_processor: " + what, where_, "tokenizer.json cannot be used");
  }
  JsonMembers members(const Json& json) const { return {json, where_, ErrorKind::kBadModel}; }

  int32_t checked(const Json& id) const {
    if (!id.is_int() || id.as_int() < 0 || id.as_int() >= static_cast<int64_t>(n_ids_))
      refuse("token id " + id.dump() + " is not in 0.." + std::to_string(n_ids_ - 1));
    return static_cast<int32_t>(id.as_int());
  }
  // ["<s>", 1]
  int32_t pair_id(const JsonMembers& m, const char* name) const {
    const Json* pair = m.list(name);
    if (!pair || pair->as_array().size() != 2) refuse(std::string(name) + " must be a token and its id");
    return checked(pair->as_array()[1]);
  }

  // {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
  //  "special_tokens": {"<s>": {"ids": [1]}}}
  void read_template(const JsonMembers& m) {
    const Json* single = m.list("single");
    if (!single) refuse("TemplateProcessing needs a list \"single\"");
    const Json* tokens = m.object("special_tokens");
    TextFrame own;
    bool behind = false;
    for (const Json& piece : single->as_array()) {
      if (members(piece).object("Sequence")) {
        if (behind) refuse("the text stands twice in \"single\"");
        behind = true;
        continue;
      }
      const Json* special = members(piece).object("SpecialToken");
      const std::string* name = special ? members(*special).string("id") : nullptr;
      if (!name) refuse("\"single\" holds what is neither \"Sequence\" nor \"SpecialToken\"");
      const Json* token = tokens ? tokens->find(*name) : nullptr;
      const Json* ids = token ? members(*token).list("ids") : nullptr;
      if (!ids) refuse("\"" + *name + "\" is not in \"special_tokens\"");
      for (const Json& id : ids->as_array()) (behind ? own.after : own.before).push_back(checked(id));
    }
    if (!behind) refuse("the text does not stand in \"single\"");
    frame.before.insert(frame.before.begin(), own.before.begin(), own.before.end());
    frame.after.insert(frame.after.end(), own.after.begin(), own.after.end());
  }

  size_t n_ids_;
  const std::string& where_;
};

}  // namespace

TextFrame read_post_processor(const Json& post_processor, size_t n_ids, const std::string& where) {
  PostProcessorReader reader(n_ids, where);
  if (!post_processor.is_null()) reader.read(post_processor, 0);
  return std::move(reader.frame);
}

}  // namespace ds::text
