#include "text/jinja/chat_template.h"

#include "core/error.h"
#include "core/json_value.h"
#include "core/utf8.h"
#include "text/jinja/ast.h"
#include "text/jinja/interpreter.h"

namespace ds::text {

struct ChatTemplate::Parsed {
  jinja::Template tree;
  std::string where;
};

ChatTemplate ChatTemplate::parse(std::string source, const std::string& where) {
  constexpr size_t kMaxSource = size_t{4} << 20;
  if (find_invalid_utf8(source) != std::string_view::npos)
    throw Error(ErrorKind::kBadModel, "the chat template is not UTF-8", where);
  if (source.size() > kMaxSource)
    throw Error(ErrorKind::kBadModel, "the chat template is longer than 4 MiB", where);
  ChatTemplate out;
  out.parsed_ = std::make_shared<const Parsed>(Parsed{jinja::parse_template(source, where), where});
  return out;
}

std::string ChatTemplate::render(const Json& variables) const {
  jinja::Interpreter interpreter;
  try {
    return interpreter.render(parsed_->tree, variables);
  } catch (const jinja::Failure& failure) {
    if (failure.raised) throw Error(ErrorKind::kBadData, failure.what, parsed_->where);
    throw Error(failure.unsupported ? ErrorKind::kBadModel : ErrorKind::kBadData,
                "template line " + std::to_string(interpreter.line()) + ": " + failure.what, parsed_->where);
  }
}

bool ChatTemplate::mentions(std::string_view variable) const {
  return parsed_->tree.reads.find(variable) != parsed_->tree.reads.end();
}

}  // namespace ds::text
