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
     "share of the text in wanted languages (1 when too short to tell)"},
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
  Integrity(const Profile& profile, std::shared_ptr<const UrlList> urls)
      : wanted_(profile.integrity.languages), urls_(std::move(urls)) {}

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
      doc.language = detect_language(doc);
      j.test(kLanguage, wanted_share(doc.language));
    }
  }

 private:
  // A text in two wanted languages is as wanted as one in either.
  double wanted_share(const Language& language) const {
    if (language.code == std::string_view("und")) return 1;
    double wanted = 0;
    for (const auto& [code, share] : language.shares)
      if (std::find(wanted_.begin(), wanted_.end(), code) != wanted_.end()) wanted += share;
    // The score is the first share, less where the detector was not sure.
    const double sure = language.shares[0].share > 0 ? language.score / language.shares[0].share : 0;
    return std::min(1.0, wanted * sure);
  }

  const std::vector<std::string>& wanted_;
  std::shared_ptr<const UrlList> urls_;
};

LoadedStage load(const Profile& profile, const ResourceOptions& options) {
  const auto urls = options.url_list.empty() ? nullptr : std::make_shared<const UrlList>(options.url_list);
  std::vector<std::string> notes;
  if (urls && urls->empty()) notes.push_back(options.url_list + " has no entry: no address is dropped");
  return {[&profile, urls] { return std::make_unique<Integrity>(profile, urls); }, notes, {}};
}

}  // namespace

void IntegritySettings::visit(SettingVisitor& v) {
  v.texts("languages", languages);
  for (const std::string& code : languages) {
    if (is_language_code(code)) continue;
    const std::string meant = language_meant(code);
    v.refuse(
        "languages: no language has the code '" + code + "'" +
        (meant.empty() ? "; codes are those of ISO 639-1, as en and zh" : "; did you mean " + meant + "?"));
  }
}

StageRow integrity_stage() {
  return {"integrity", kRules, load, [](Profile& p, SettingVisitor& v) { p.integrity.visit(v); }};
}

}  // namespace ds::filter
