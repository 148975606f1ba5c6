// Stage 1: is there a text at all, is it intact, is it in a wanted language, does its address stand on a
// list.

#include <algorithm>

#include "filter/stages/stage.h"
#include "filter/stages/urls.h"
#include "filter/text/characters.h"
#include "filter/text/language.h"

namespace ds::filter {
namespace {

enum Rule { kMinChars, kMaxChars, kControl, kReplacement, kMojibake, kLanguage, kUrl };
const RuleSpec kRules[] = {
    {"s1.min_chars", DropWhen::kBelow, {20, 20}, {true, true}, "characters", "length of the text"},
    {"s1.max_chars", DropWhen::kAbove, {5e6, 5e6}, {true, true}, "characters", "length of the text"},
    {"s1.control_chars",
     DropWhen::kAbove,
     {.001, .001},
     {true, true},
     "share of characters",
     "control characters (NUL included; not tab, newline, carriage return)"},
    {"s1.replacement_chars", DropWhen::kAbove, {.001, .001}, {true, true}, "share of characters", "U+FFFD"},
    {"s1.mojibake",
     DropWhen::kAbove,
     {.005, .005},
     {true, true},
     "share of characters",
     "sequences that UTF-8 read as Latin-1 or GBK leaves behind"},
    {"s1.language",
     DropWhen::kBelow,
     {.65, .65},
     {true, true},
     "probability",
     "the text is in a wanted language (1 when too short to tell)"},
    {"s1.blocked_url",
     DropWhen::kAbove,
     {0, 0},
     {true, true},
     "list entries",
     "entries of --url-list that match the url"},
};

// Characters inside sequences such as "Ã©", "â€™", "ï¿½", "锟斤拷".
uint32_t mojibake_chars(const Document& doc) {
  uint32_t n = 0;
  for (uint32_t i = 0; i + 1 < doc.size(); ++i) {
    if (!(doc.flags[i] & kSuspect)) continue;
    const uint32_t c = doc.chars[i];
    if (c == 0x951F) {
      if (doc.chars[i + 1] == 0x65A4) n += 3, i += 2;
      continue;
    }
    // A lead byte must be followed by what its continuation bytes look like in Latin-1 or Windows-1252.
    const int more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
    int k = 0;
    while (k < more && i + 1 + k < doc.size()) {
      const uint32_t d = doc.chars[i + 1 + k];
      const bool continuation = (d >= 0x80 && d <= 0xBF) || d == 0x20AC || d == 0x2122 || d == 0x0153 ||
                                d == 0x0152 || d == 0x0161 || d == 0x0178 || d == 0x017D || d == 0x017E ||
                                (d >= 0x2013 && d <= 0x203A) || d == 0x02C6 || d == 0x02DC;
      if (!continuation) break;
      ++k;
    }
    if (k == more) {
      n += 1 + k;
      i += k;
    }
  }
  return n;
}

class Integrity : public Stage {
 public:
  Integrity(const Profile& profile, const Resources& resources)
      : profile_(profile), urls_(resources.blocked_urls) {}

  void judge(Document& doc, Scorecard& j, std::vector<Edit>&) override {
    const double n = doc.size();
    if (j.test(kMinChars, n) || j.test(kMaxChars, n)) return;
    const double share = n > 0 ? 1 / n : 0;
    if (j.test(kControl, doc.counts.control * share) || j.test(kReplacement, doc.counts.replacement * share))
      return;
    if (j.test(kMojibake, doc.counts.suspect ? mojibake_chars(doc) * share : 0)) return;
    if (urls_ && !doc.url.empty()) {
      const std::string entry = urls_->match(doc.url);
      if (!entry.empty()) j.set_note(entry);
      if (j.test(kUrl, entry.empty() ? 0 : 1)) return;
    }
    if (j.wants(kLanguage)) {
      const Language language = detect_language(doc);
      doc.language = language.code;
      doc.language_score = language.score;
      const bool wanted = std::find(profile_.languages.begin(), profile_.languages.end(), language.code) !=
                          profile_.languages.end();
      const bool unknown = doc.language == std::string_view("und");
      j.test(kLanguage, unknown ? 1 : wanted ? language.score : 0);
    }
  }

 private:
  const Profile& profile_;
  std::shared_ptr<const UrlList> urls_;
};

}  // namespace

StageRow integrity_stage() {
  return {"integrity", kRules,
          [](const Profile& p, const Resources& r) -> std::unique_ptr<Stage> {
            return std::make_unique<Integrity>(p, r);
          },
          "text present and intact, wanted language, url lists"};
}

}  // namespace ds::filter
