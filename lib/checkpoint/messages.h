// Conversations in the form that chat templates expect, as the reference library (transformers) prepares
// them: members that are null go (but see keeps_null_content), reasoning is found under each of its names,
// text parts are joined. Beyond that, arguments of tool calls are turned into what the template can print,
// text or object, and "developer", OpenAI's name for it, becomes "system" where the template does not print
// it.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"
#include "text/jinja/chat_template.h"

namespace ds::checkpoint {

// Which of the two ways to write a message's content and the arguments of its tool calls a template prints,
// found out by rendering both.
struct MessageForm {
  enum class Arguments { kAsGiven, kText, kObject };
  Arguments arguments = Arguments::kAsGiven;
  bool content_in_parts = false;  // a text as content is not printed, a list of parts is
  // Tool calls are printed where content is null, not where it is missing (DeepSeek V3 and R1 ask "is none").
  bool keeps_null_content = false;
  // Roles other than system, user, assistant and tool whose messages the template leaves out.
  std::vector<std::string> lost_roles;
};
// `variables` are those of the folder (bos_token ...). What `messages` have no use for is not tried.
MessageForm message_form(const ChatTemplate& chat_template, const Json& variables, const Json& messages);

// Throws Error{kBadData} naming `where` for what is no list of messages with roles, for roles that the
// template does not know and for content that is no text.
Json normalized_messages(const Json& messages, const MessageForm& form, const std::string& where);

// Going on with a begun message: marks the end of `member` of the last message, so that the rendered prompt
// can be cut there. Returns the begun text. Throws Error{kBadData} when there is none.
std::string mark_final_message(Json& messages, const std::string& member, const std::string& where);
// Throws Error{kBadData} when the template did not print the begun text.
std::string cut_at_mark(std::string rendered, const std::string& begun, const std::string& where);

}  // namespace ds::checkpoint
