// Chat templates: the Jinja language as transformers' apply_chat_template runs it (jinja2 3.1, sandbox,
// trim_blocks and lstrip_blocks on, loopcontrols; tojson keeps characters as they are).
// scripts/check_templates.py compares the two. Not covered, each with a clear error: inheritance and
// includes, recursive loops, * and ** arguments, integers beyond 64 bits, rarely used filters.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "core/json.h"

namespace ds::text {

// Immutable and thread-safe once parsed.
class ChatTemplate {
 public:
  // Syntax errors throw Error{kBadModel} with the line in the message.
  static ChatTemplate parse(std::string source, const std::string& where);

  // variables: an object with messages, add_generation_prompt, bos_token, eos_token, tools and whatever else.
  // Error{kBadData}: the template refused the messages (raise_exception), or cannot work with them.
  // Error{kBadModel}: the template uses what is not covered, or exceeds the limits on time and text.
  std::string render(const Json& variables) const;

  // Whether the template reads that variable.
  bool mentions(std::string_view variable) const;

 private:
  struct Parsed;
  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace ds::text
