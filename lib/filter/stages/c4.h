// The C4 page rules over lines, in the order that the reference runs them.
#pragma once
#include <vector>

#include "filter/stages/settings.h"
#include "filter/text/characters.h"
#include "filter/text/document.h"

namespace ds::filter {

// Calls visit(begin, end) for each line of Python's str.splitlines: "\r\n" is one break, the last break opens
// no empty line.
template <class Visit>
void for_each_splitline(const Document& doc, Visit&& visit) {
  if (doc.counts.other_break == 0) {
    for (size_t i = 0; i < doc.lines.size(); ++i) {
      const Line& l = doc.lines[i];
      if (i + 1 == doc.lines.size() && l.begin == l.end) break;
      visit(l.begin, l.end);
    }
    return;
  }
  uint32_t begin = 0;
  for (uint32_t i = 0; i < doc.size(); ++i) {
    if (!(doc.flags[i] & kLineBreak)) continue;
    visit(begin, i);
    if (doc.chars[i] == '\r' && i + 1 < doc.size() && doc.chars[i + 1] == '\n') ++i;
    begin = i + 1;
  }
  if (begin < doc.size()) visit(begin, doc.size());
}

struct C4Result {
  int lorem_lines = 0, curly_lines = 0;
  int sentences = 0;  // in the lines that stay
};

class C4Rules {
 public:
  // stop_at_*: the page is lost at the first such line, the rest need not be read.
  C4Result judge(const Document& doc, const QualitySettings& settings, bool stop_at_lorem,
                 bool stop_at_curly);

 private:
  std::vector<uint32_t> chars_;  // the stripped line, citations removed
  std::vector<uint16_t> flags_;
  std::vector<Word> words_;
  std::vector<uint64_t> units_;
};

}  // namespace ds::filter
