// Which language a text is in: by its script and its commonest words when they decide, else by CLD2.
#pragma once
#include "filter/text/document.h"

namespace ds::filter {

struct Language {
  const char* code = "und";  // ISO 639-1, "zh" for both scripts of Chinese; "und": too short or no letters
  double score = 0;
};
Language detect_language(const Document& doc);

}  // namespace ds::filter
