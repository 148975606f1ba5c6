#include "text/tokenizer/pre_tokenizer.h"

#include "core/error.h"
#include "core/json_value.h"

namespace ds::text {
namespace {

constexpr char kGpt2Pattern[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr size_t kMaxSteps = 32;

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Error(ErrorKind::kBadModel, "pre_tokenizer: " + what, where);
}

const std::string& text_member(const Json& json, const char* key, const std::string& where) {
  const Json* value = find(json, key);
  if (!value || !value->is_string()) refuse(std::string("\"") + key + "\" must be a string", where);
  return as_string(*value);
}

bool flag_member(const Json& json, const char* key, bool otherwise, const std::string& where) {
  const Json* value = find(json, key);
  if (!value || value->is_null()) return otherwise;
  if (!value->is_boolean()) refuse(std::string("\"") + key + "\" must be true or false", where);
  return value->get<bool>();
}

SplitBehavior behavior_member(const Json& json, const std::string& where) {
  const std::string& name = text_member(json, "behavior", where);
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  refuse("unknown behavior \"" + name + "\"", where);
}

struct Builder {
  const std::string& where;
  std::vector<std::shared_ptr<const PreTokenizer::Step>> steps;
  bool has_byte_level = false;

  void add(const Json& json, int depth) {
    if (!json.is_object()) refuse("a step must be an object", where);
    if (depth > 8 || steps.size() > kMaxSteps) refuse("too many steps", where);
    const std::string& type = text_member(json, "type", where);
    if (type == "Sequence") {
      const Json* list = find(json, "pretokenizers");
      if (!list || !list->is_array()) refuse("Sequence needs a list \"pretokenizers\"", where);
      for (const Json& step : *list) add(step, depth + 1);
      return;
    }
    // The reference library would hand byte-level letters to what follows; nothing real does that.
    if (has_byte_level) refuse("ByteLevel must be the last step, found " + type + " after it", where);
    if (type == "Split") {
      add_split(json);
    } else if (type == "Digits") {
      steps.push_back(make_digits_step(flag_member(json, "individual_digits", false, where)));
    } else if (type == "Punctuation") {
      const bool has_behavior = find(json, "behavior") != nullptr;
      steps.push_back(
          make_punctuation_step(has_behavior ? behavior_member(json, where) : SplitBehavior::kIsolated));
    } else if (type == "ByteLevel") {
      if (flag_member(json, "add_prefix_space", true, where)) steps.push_back(make_prefix_space_step());
      if (flag_member(json, "use_regex", true, where))
        steps.push_back(make_regex_step(kGpt2Pattern, SplitBehavior::kIsolated, false, where));
      has_byte_level = true;
    } else {
      refuse("step \"" + type + "\" is not supported (byte-level BPE tokenizers only)", where);
    }
  }

  void add_split(const Json& json) {
    const Json* pattern = find(json, "pattern");
    if (!pattern || !pattern->is_object() || pattern->size() != 1 ||
        !pattern->get_ref<const Json::object_t&>().front().second.is_string())
      refuse("Split needs a pattern {\"Regex\": ...} or {\"String\": ...}", where);
    const auto& [kind, value] = pattern->get_ref<const Json::object_t&>().front();
    const std::string& text = as_string(value);
    const SplitBehavior behavior = behavior_member(json, where);
    const bool invert = flag_member(json, "invert", false, where);
    if (text.empty()) refuse("Split has an empty pattern", where);
    if (kind == "Regex")
      steps.push_back(make_regex_step(text, behavior, invert, where));
    else if (kind == "String")
      steps.push_back(make_literal_step(text, behavior, invert));
    else
      refuse("unknown pattern kind \"" + kind + "\"", where);
  }
};

}  // namespace

PreTokenizer PreTokenizer::from_json(const Json& json, const std::string& where) {
  Builder builder{where, {}, false};
  if (json.is_null()) refuse("missing; only byte-level BPE tokenizers are supported", where);
  builder.add(json, 0);
  if (!builder.has_byte_level)
    refuse("no ByteLevel step; only byte-level BPE tokenizers are supported", where);
  PreTokenizer out;
  out.steps_ = std::move(builder.steps);
  return out;
}

void PreTokenizer::run(size_t step, std::string_view text, const Sink& sink) const {
  if (text.empty()) return;
  if (step == steps_.size()) {
    sink(text);
    return;
  }
  if (step + 1 == steps_.size()) {
    steps_[step]->split(text, sink);
    return;
  }
  // One reference is captured, which std::function keeps without an allocation per piece.
  const auto next = [&, step](std::string_view piece) { run(step + 1, piece, sink); };
  steps_[step]->split(text, [&next](std::string_view piece) { next(piece); });
}

}  // namespace ds::text
