// Which language a text is in: by its script and its commonest words when they decide, else by CLD2.
#pragma once
#include <string>

#include "filter/text/document.h"

namespace ds::filter {

Language detect_language(const Document& doc);

// Whether texts of this code are ever found.
bool is_language_code(const std::string& code);
// The code that was probably meant by what is none: a name, a country's code, a slip; "" where nothing is
// near.
std::string language_meant(const std::string& word);

}  // namespace ds::filter
