#include "infer/prompt.h"

#include "core/utf8.h"

namespace ds::infer {

std::string join_prompt(const std::optional<std::string>& instruction, std::string material, bool exact) {
  if (!exact && !material.empty() && material.back() == '\n') {
    material.pop_back();
    if (!material.empty() && material.back() == '\r') material.pop_back();
  }
  if (!instruction) return material;
  // White space alone is what an empty file or a terminal leaves behind.
  if (material.find_first_not_of(" \t\r\n") == std::string::npos) return *instruction;
  return *instruction + "\n\n" + material;
}

bool repair_utf8(std::string& text) {
  if (find_invalid_utf8(text) == std::string::npos) return false;
  text = replace_invalid_utf8(text);
  return true;
}

}  // namespace ds::infer
