// How the parts of a command line become one prompt.
#pragma once
#include <functional>
#include <optional>
#include <string>

namespace ds::infer {

// Instruction, blank line, material. Of piped text the shell's one final line feed is dropped unless `exact`.
std::string join_prompt(const std::optional<std::string>& instruction, std::string material, bool exact);

// Instruction and the material of a file ("-" stdin, "" none) as one prompt in valid UTF-8. Throws
// Error{kUsage} when there is neither, or nothing in them although an answer is wanted.
struct PromptParts {
  std::optional<std::string> instruction;
  std::string material_path;
  bool exact = false;         // a final line feed of the material counts
  bool may_be_empty = false;  // the work is on the text itself
};
std::string read_prompt(const PromptParts& parts, const std::function<void(const std::string&)>& note);

// Makes text valid UTF-8: each broken part becomes U+FFFD. Returns whether anything was broken.
bool repair_utf8(std::string& text);

}  // namespace ds::infer
