// The stop words of the published rules.
#pragma once
#include "filter/text/document.h"

namespace ds::filter {

// Gopher's eight (the be to of and that have with), case-sensitive as in datatrove.
EnglishStopWords count_english_stop_words(const Document& doc);
// Distinct ones of FineWeb-2's 22 for Chinese that occur as characters.
int count_chinese_stop_words(const Document& doc);

}  // namespace ds::filter
