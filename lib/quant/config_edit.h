// config.json and the index as text: what is not ours to change keeps its bytes (1e-06 stays 1e-06).
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"

namespace ds::quant {

// The top-level object of `text` (valid JSON) with members replaced, appended, or removed (no value).
std::string edit_json_members(const std::string& text,
                              const std::vector<std::pair<std::string, std::optional<std::string>>>& edits);

// With line breaks and two spaces a level, as the files in model folders are written.
std::string pretty_json(const Json& value, int depth = 0);

}  // namespace ds::quant
