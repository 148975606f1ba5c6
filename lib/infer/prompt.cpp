#include "infer/prompt.h"

#include <unistd.h>

#include "core/error.h"
#include "core/utf8.h"
#include "io/files.h"

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

namespace {

// A question that takes stdin along is told: in a shell's `while read` loop it swallows the lines to come.
// There stdin is a file of which others have read the beginning.
std::string read_material(const PromptParts& p, const std::function<void(const std::string&)>& note) {
  if (p.material_path.empty()) return "";
  const bool begun = p.material_path == "-" && ::lseek(STDIN_FILENO, 0, SEEK_CUR) > 0;
  std::string material = read_file(p.material_path);
  if (p.instruction && p.material_path == "-" && !material.empty())
    note("the prompt goes on with " + std::to_string(material.size()) + " bytes from stdin" +
         (begun ? ", which others have begun to read: in a shell loop add </dev/null" : ""));
  return material;
}

}  // namespace

std::string read_prompt(const PromptParts& p, const std::function<void(const std::string&)>& note) {
  const char* how = "give it as an argument, with -f FILE, or pipe it in";
  if (!p.instruction && p.material_path.empty()) throw Error(ErrorKind::kUsage, "no prompt", "", how);
  std::string prompt = join_prompt(p.instruction, read_material(p, note), p.exact);
  if (repair_utf8(prompt)) note("the prompt is not valid UTF-8: broken parts were replaced by U+FFFD");
  if (!p.may_be_empty && prompt.find_first_not_of(" \t\r\n") == std::string::npos)
    throw Error(ErrorKind::kUsage,
                "no prompt: " + (p.material_path == "-" ? "stdin" : p.material_path) + " is empty", "", how);
  return prompt;
}

}  // namespace ds::infer
