// Which language a text is in: by its script and its commonest words when they decide, else by CLD2.
#pragma once
#include "filter/text/document.h"

namespace ds::filter {

Language detect_language(const Document& doc);

}  // namespace ds::filter
