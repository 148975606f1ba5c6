// Reading the golden files of this room.
#pragma once
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "io/json.h"

namespace ds::text {

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::vector<Json> read_records(const std::string& path) {
  std::vector<Json> out;
  const std::string text = read_text(path);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) out.push_back(io::parse_json(std::string_view(text).substr(begin, end - begin), path));
    begin = end + 1;
  }
  return out;
}

inline const std::string kTextGoldens = DS_SOURCE_DIR "/tests/golden/text/";

}  // namespace ds::text
