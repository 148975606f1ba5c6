// How the parts of a command line become one prompt.
#pragma once
#include <optional>
#include <string>

namespace ds::infer {

// Instruction, blank line, material. Of piped text the shell's one final line feed is dropped unless `exact`.
std::string join_prompt(const std::optional<std::string>& instruction, std::string material, bool exact);

// Makes text valid UTF-8: each broken part becomes U+FFFD. Returns whether anything was broken.
bool repair_utf8(std::string& text);

}  // namespace ds::infer
