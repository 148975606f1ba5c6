// The text side of a model folder: tokenizer, chat templates and the special tokens they print. Needs no
// weights and no config.json, so it also opens folders that hold only the tokenizer's files.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/tokenizer_files.h"
#include "core/error.h"
#include "core/json_value.h"
#include "text/jinja/chat_template.h"
#include "text/tokenizer/tokenizer.h"

namespace ds::checkpoint {

struct ModelTextOptions {
  std::string chat_template;  // file that replaces the folder's templates; empty: the folder's
};

// One conversation to be turned into a prompt.
struct RenderRequest {
  Json messages;                      // array of {"role", "content", ...}, as messages.h takes them
  Json tools;                         // array, or null for none
  bool add_generation_prompt = true;  // open the assistant's turn
  std::string continue_member;        // member of the last message to go on with ("content"); empty: none
  std::optional<bool> thinking;       // unset: as the template does by itself
  Json extra;                         // object of further template variables, or null
};

class ModelText {
 public:
  // Reads tokenizer.json, the files beside it (tokenizer_files.h) and the chat template. Throws
  // Error{kNoInput} without a folder or tokenizer.json, {kBadModel} for files that make no sense.
  static std::unique_ptr<const ModelText> open(const std::string& folder,
                                               const ModelTextOptions& options = {});

  const Tokenizer& tokenizer() const { return tokenizer_; }
  bool has_template() const { return template_.source_found; }
  // Whether the template can be told to reason or not (enable_thinking or thinking).
  bool can_switch_thinking() const;

  // Whether the template prints the tools that a conversation may call.
  bool uses_tools() const;

  // The prompt that the template makes. Throws Error{kBadData} naming `where` when the template refuses the
  // conversation, {kUsage} when the folder has no template or the template no such switch.
  std::string render(const RenderRequest& request, const std::string& where) const;

  // Text without a template as tokens: what the model is given for --raw, --score and perplexity. The frame
  // is put around it, except for what stands there already.
  std::vector<int32_t> encode_plain(std::string_view text, bool parse_special = true) const;
  // What the post-processor of tokenizer.json says; where it says nothing, BOS or EOS as
  // tokenizer_config.json asks for them (add_bos_token, add_eos_token).
  const TextFrame& frame() const { return frame_; }
  // "0 (<s>) before the text"; empty when the frame is.
  std::string frame_text() const;

  // Tokens that one of the files calls the EOS.
  const std::vector<int32_t>& eos_ids() const { return eos_ids_; }

 private:
  struct Template {
    bool source_found = false;
    std::optional<ChatTemplate> parsed;
    std::optional<Error> error;  // a template we cannot read only matters to those who need it
  };
  ModelText(Tokenizer tokenizer, std::string folder, const TokenizerFiles& files);
  void read_templates(const ModelTextOptions& options, const Json& tokenizer_config);
  static void set_template(Template& slot, const std::string& source, const std::string& where);
  const ChatTemplate& choose(bool with_tools) const;

  Tokenizer tokenizer_;
  std::string folder_;
  Template template_, tool_template_;
  Json special_variables_;  // object: bos_token, eos_token, ... as the templates see them
  std::vector<int32_t> eos_ids_;
  TextFrame frame_;
};

}  // namespace ds::checkpoint
