// The "post_processor" of tokenizer.json, as far as one text goes: which ids stand before and behind it.
#include "core/json_members.h"
#include "core/json_value.h"
#include "text/tokenizer/tokenizer_parts.h"

namespace ds::text {
namespace {

class PostProcessorReader {
 public:
  PostProcessorReader(size_t n_ids, const std::string& where) : n_ids_(n_ids), where_(where) {}

  TextFrame read(const Json& post_processor) {
    if (!post_processor.is_null()) run(post_processor, 0);
    TextFrame frame;
    bool behind = false;
    for (const Piece& piece : pieces_)
      for (const int32_t id : piece) {
        if (id == kText && behind) refuse("the text stands twice in it");
        if (id == kText)
          behind = true;
        else
          (behind ? frame.after : frame.before).push_back(id);
      }
    if (!behind) refuse("the text does not stand in it");
    return frame;
  }

 private:
  // Ids, and kText for the text's own. Steps pass on lists of pieces; like the reference library, a template
  // takes the pieces that the step before it made for a pair of texts when they are two.
  using Piece = std::vector<int32_t>;
  static constexpr int32_t kText = -1;

  void run(const Json& step, int depth) {
    if (depth > 8) refuse("nested too deeply");
    const JsonMembers m = members(step);
    const std::string* type = m.string("type");
    if (!type) refuse("needs a \"type\"");
    if (*type == "ByteLevel") return;  // offsets alone
    if (*type == "TemplateProcessing") return run_template(m);
    if (*type == "BertProcessing" || *type == "RobertaProcessing") {
      if (pieces_.size() != 1) refuse(*type + " behind a template is not supported");
      pieces_[0].insert(pieces_[0].begin(), pair_id(m, "cls"));
      pieces_[0].push_back(pair_id(m, "sep"));
      return;
    }
    if (*type != "Sequence") refuse("\"" + *type + "\" is not supported");
    const Json* steps = m.list("processors");
    if (!steps) refuse("Sequence needs a list \"processors\"");
    for (const Json& inner : *steps) run(inner, depth + 1);
  }

  // {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
  //  "special_tokens": {"<s>": {"ids": [1]}}}
  void run_template(const JsonMembers& m) {
    if (pieces_.size() > 2) refuse("a template behind templates is not supported");
    const char* name = pieces_.size() == 1 ? "single" : "pair";
    const Json* list = m.list(name);
    if (!list) refuse(std::string("TemplateProcessing needs a list \"") + name + "\"");
    const Json* tokens = m.object("special_tokens");
    std::vector<Piece> out;
    for (const Json& piece : *list) {
      if (const Json* sequence = members(piece).object("Sequence")) {
        const std::string* id = members(*sequence).string("id");
        const size_t index = id && *id == "B" ? 1 : 0;
        if (!id || index >= pieces_.size()) refuse(std::string("\"") + name + "\" names no such text");
        out.push_back(pieces_[index]);
        continue;
      }
      const Json* special = members(piece).object("SpecialToken");
      const std::string* id = special ? members(*special).string("id") : nullptr;
      if (!id)
        refuse(std::string("\"") + name + "\" holds what is neither \"Sequence\" nor \"SpecialToken\"");
      const Json* token = tokens ? find(*tokens, *id) : nullptr;
      const Json* ids = token ? members(*token).list("ids") : nullptr;
      if (!ids) refuse("\"" + *id + "\" is not in \"special_tokens\"");
      out.emplace_back();
      for (const Json& value : *ids) out.back().push_back(checked(value));
    }
    pieces_ = std::move(out);
  }

  int32_t checked(const Json& id) const {
    if (!is_int(id) || as_int(id) < 0 || as_int(id) >= static_cast<int64_t>(n_ids_))
      refuse("token id " + dump(id) + " is not in 0.." + std::to_string(n_ids_ - 1));
    return static_cast<int32_t>(as_int(id));
  }
  // ["<s>", 1]
  int32_t pair_id(const JsonMembers& m, const char* name) const {
    const Json* pair = m.list(name);
    if (!pair || pair->size() != 2) refuse(std::string(name) + " must be a token and its id");
    return checked((*pair)[1]);
  }
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorKind::kBadModel, "post_processor: " + what, where_, "tokenizer.json cannot be used");
  }
  JsonMembers members(const Json& json) const { return {json, where_, ErrorKind::kBadModel}; }

  size_t n_ids_;
  const std::string& where_;
  std::vector<Piece> pieces_{{kText}};
};

}  // namespace

TextFrame read_post_processor(const Json& post_processor, size_t n_ids, const std::string& where) {
  return PostProcessorReader(n_ids, where).read(post_processor);
}

}  // namespace ds::text
