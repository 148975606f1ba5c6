// The published rules on texts small enough to count by hand, and the traps that ports fall into.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "core/json_value.h"
#include "filter/stages/profile.h"
#include "filter/stages/stage.h"
#include "io/json.h"

using namespace ds;
using namespace ds::filter;

namespace {

// All values of a stage for a text.
std::map<std::string, double> scores(const std::string& text, Profile profile = default_profile(),
                                     const char* name = "quality",
                                     const char* first = "s2.gopher.min_words") {
  Document doc;
  doc.text = text;
  prepare(doc);
  Scorecard j(profile, true);
  j.restart(doc.script, rule_index(first));
  std::vector<Edit> edits;
  auto stage = stage_table()[stage_index(name)].load(profile, {}).make();
  stage->judge(doc, j, edits);
  std::map<std::string, double> out;
  for (const RuleValue& v : j.values()) {
    out[all_rules()[v.rule]->id] = v.value;
    CHECK_MESSAGE(!std::isnan(v.value), all_rules()[v.rule]->id);
  }
  return out;
}

std::string verdict(const std::string& text, Profile profile) {
  Document doc;
  doc.text = text;
  prepare(doc);
  Scorecard j(profile, false);
  j.restart(doc.script, rule_index("s2.gopher.min_words"));
  std::vector<Edit> edits;
  auto stage = stage_table()[stage_index("quality")].load(profile, {}).make();
  stage->judge(doc, j, edits);
  return j.dropped() ? all_rules()[j.verdict()]->id : "kept";
}

std::string repeat(const std::string& s, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += s;
  return out;
}

Profile only(std::initializer_list<const char*> rules) {
  Profile p = default_profile();
  for (auto& r : p.rules) r.on[0] = r.on[1] = false;
  for (const char* id : rules) p.rules[rule_index(id)].on[0] = p.rules[rule_index(id)].on[1] = true;
  return p;
}

}  // namespace

TEST_CASE("integrity: shares of control characters, U+FFFD and whole misread sequences") {
  const auto share = [](const std::string& text, const char* rule) {
    return scores(text, default_profile(), "integrity", "s1.min_chars").at(rule);
  };
  const std::string ten = "0123456789";
  // UTF-8 read as Latin-1 or Windows-1252: a lead byte and all that it announces.
  for (const auto& [text, n] : {std::pair("\u00c3\u00a9", 2),
                                {"\u00e2\u20ac\u2122", 3},
                                {"\u00f0\u0178\u02dc\u20ac", 4},
                                {"\u951f\u65a4\u62f7", 3},
                                {"\u00e2\u20ac", 0},
                                {"\u00e2\u20ac ", 0},
                                {"\u00f0\u0178\u02dc", 0},
                                {"\u00c3a", 0},
                                {"\u00c3", 0},
                                {"\u00e9t\u00e9", 0},
                                {"\u951f\u62f7", 0}}) {
    Document doc;
    const std::string all = ten + text + ten;
    doc.text = all;
    prepare(doc);
    CHECK(share(all, "s1.mojibake") == doctest::Approx(double(n) / doc.size()));
  }
  CHECK(share(ten + "\x01\x02\t\n\r", "s1.control_chars") == doctest::Approx(2.0 / 15));
  CHECK(share(ten + "\ufffd", "s1.replacement_chars") == doctest::Approx(1.0 / 11));
}

TEST_CASE("gopher quality: counted by hand") {
  const auto s = scores("The cat ... and the dog # sat.\n- bullet one\n• bullet two\nends here…");
  // Words: The cat ... and the dog # sat . - bullet one • bullet two ends here … ; the bullet U+2022 is no
  // symbol in datatrove's list, so it counts as a word of one character.
  CHECK(s.at("s2.gopher.min_words") == 13);
  CHECK(s.at("s2.gopher.hashes") == doctest::Approx(1.0 / 18));
  CHECK(s.at("s2.gopher.ellipses") == doctest::Approx(2.0 / 18));
  CHECK(s.at("s2.gopher.bullet_lines") == doctest::Approx(0.5));
  CHECK(s.at("s2.gopher.ellipsis_lines") == doctest::Approx(0.25));
  CHECK(s.at("s2.gopher.alpha_words") == doctest::Approx(12.0 / 18));
}

TEST_CASE("a value equal to the threshold is kept") {
  Profile p = only({"s2.gopher.hashes"});
  // 5 number signs among 50 words: exactly 0.1.
  CHECK(verdict(repeat("word ", 45) + repeat("# ", 5), p) == "kept");
  CHECK(verdict(repeat("word ", 44) + repeat("# ", 5), p) == "s2.gopher.hashes");
  p = only({"s2.gopher.min_words"});
  CHECK(verdict(repeat("word ", 50), p) == "kept");
  CHECK(verdict(repeat("word ", 49) + ", . !", p) == "s2.gopher.min_words");
  p = only({"s2.gopher.stop_words"});
  CHECK(verdict("the of", p) == "kept");
  CHECK(verdict("the the the", p) == "s2.gopher.stop_words");  // distinct ones count
  CHECK(verdict("The Of", p) == "s2.gopher.stop_words");       // case-sensitive
}

TEST_CASE("blank lines count among bullet lines' denominator; str.splitlines breaks at more than newlines") {
  CHECK(scores("- a\n\n- b\n\n").at("s2.gopher.bullet_lines") == doctest::Approx(0.5));
  CHECK(scores("- a\x0b- b\x0c"
               "c\u2028d")
            .at("s2.gopher.bullet_lines") == doctest::Approx(0.5));
  CHECK(scores("- a\r\n- b\r\nc\r\nd").at("s2.gopher.bullet_lines") == doctest::Approx(0.5));
}

TEST_CASE("fineweb splits at newline only and does not strip lines") {
  const auto s = scores("Ends with a stop.\nTrailing blank. \nnone\n\n中文句子。");
  CHECK(s.at("s2.fineweb.line_punctuation") ==
        doctest::Approx(0.5));  // blank line left out, "blank. " does not count
  CHECK(s.at("s2.fineweb.short_lines") == 1);
  CHECK(scores("one\x0btwo").at("s2.fineweb.short_lines") == 1);
  // Characters of repeated lines over characters without newlines.
  CHECK(scores("abcd\nabcd\nefgh").at("s2.fineweb.repeated_lines") == doctest::Approx(4.0 / 12));
  CHECK(scores("a b\nc\n").at("s2.fineweb.newlines") == doctest::Approx(2.0 / 3));
}

TEST_CASE("word lengths are means over words that are no symbols, short lines end at 30 characters") {
  CHECK(scores("four five of a . !").at("s2.gopher.mean_word_low") == doctest::Approx(11.0 / 4));
  CHECK(scores(std::string(30, 'x') + "\n" + std::string(31, 'y')).at("s2.fineweb.short_lines") == 0.5);
  CHECK(scores("a b c # #").at("s2.gopher.max_words") == 3);
}

TEST_CASE("repeats after the first count, blank elements at the edges too") {
  const auto s = scores("x\nx\ny\n\nx\n");
  // "x\nx\ny\n\nx\n" splits into x, x, y, x and an empty last element.
  CHECK(s.at("s2.rep.lines") == doctest::Approx(2.0 / 5));
  CHECK(s.at("s2.rep.line_chars") == doctest::Approx(2.0 / 9));
  const auto p = scores("para one\n\npara one\n\n\npara two");
  CHECK(p.at("s2.rep.paragraphs") == doctest::Approx(1.0 / 3));
}

TEST_CASE("top n-gram: length with spaces times count over the text's length; once is no repetition") {
  const auto s = scores("a b a b c");
  CHECK(s.at("s2.rep.top2") == doctest::Approx(3.0 * 2 / 9));
  CHECK(s.at("s2.rep.top4") == 0);
  Profile datatrove = default_profile();
  datatrove.quality.count_guard = false;
  // Four words, each 4-gram once: datatrove calls the whole text repetitive.
  CHECK(scores("This is a test", datatrove).at("s2.rep.top4") == 1);
  CHECK(scores("This is a test").at("s2.rep.top4") == 0);
  // Most frequent first, ties by first seen.
  CHECK(scores("long words long words x y x y").at("s2.rep.top2") == doctest::Approx(10.0 * 2 / 29));
}

TEST_CASE("duplicate n-grams: left to right, a hit is jumped over, spaces left out") {
  // The second "a b c d e" is a hit and is jumped over; then "f".
  CHECK(scores("a b c d e a b c d e f").at("s2.rep.dup5") == doctest::Approx(5.0 / 21));
  // Ten equal words: the 5-gram at 1 repeats the one at 0 and jumps to 6; nothing fits behind.
  CHECK(scores("w w w w w w w w w w").at("s2.rep.dup5") == doctest::Approx(5.0 / 19));
  CHECK(scores("a b c d e f g h i j").at("s2.rep.dup5") == 0);
  Profile covered = default_profile();
  covered.quality.repetition_formula = kCovered;
  CHECK(scores("a b c d e a b c d e f", covered).at("s2.rep.dup5") == doctest::Approx(10.0 / 11));
}

TEST_CASE("duplicate n-grams agree with a naive reading on random words") {
  uint32_t seed = 12345;
  const auto next = [&] { return seed = seed * 1664525u + 1013904223u; };
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> words;
    const int n = 5 + static_cast<int>(next() >> 16) % 120, alphabet = 2 + static_cast<int>(next() >> 16) % 6;
    std::string text;
    for (int i = 0; i < n; ++i) {
      words.push_back(std::string(1, static_cast<char>('a' + (next() >> 16) % alphabet)));
      text += (i ? " " : "") + words.back();
    }
    const auto s = scores(text);
    Profile covered = default_profile();
    covered.quality.repetition_formula = kCovered;
    const auto c = scores(text, covered);
    for (int size = 5; size <= 10; ++size) {  // the share of words that lie in an n-gram that occurs again
      std::map<std::string, std::vector<int>> places;
      for (int i = 0; i + size <= n; ++i) {
        std::string gram;
        for (int k = 0; k < size; ++k) gram += words[i + k] + "|";
        places[gram].push_back(i);
      }
      std::vector<bool> again(n);
      for (const auto& [gram, at] : places)
        for (const int i : at)
          for (int k = 0; k < size && at.size() > 1; ++k) again[i + k] = true;
      CHECK(c.at("s2.rep.dup" + std::to_string(size)) ==
            doctest::Approx(static_cast<double>(std::count(again.begin(), again.end(), true)) / n));
    }
    for (int size = 5; size <= 10; ++size) {
      std::map<std::string, int> seen;
      int chars = 0;
      for (int i = 0; i + size <= n;) {
        std::string gram;
        for (int k = 0; k < size; ++k) gram += words[i + k] + "|";
        if (seen.count(gram)) {
          chars += size;
          i += size;
        } else {
          seen[gram] = 1;
          ++i;
        }
      }
      CHECK(s.at("s2.rep.dup" + std::to_string(size)) ==
            doctest::Approx(static_cast<double>(chars) / static_cast<double>(text.size())));
    }
    for (int size = 2; size <= 4; ++size) {
      std::map<std::string, int> count;
      std::vector<std::string> order;
      for (int i = 0; i + size <= n; ++i) {
        std::string gram;
        for (int k = 0; k < size; ++k) gram += (k ? " " : "") + words[i + k];
        if (count[gram]++ == 0) order.push_back(gram);
      }
      size_t best = 0;
      for (size_t i = 1; i < order.size(); ++i)
        if (count[order[i]] > count[order[best]]) best = i;
      const double expected = order.empty() || count[order[best]] == 1
                                  ? 0
                                  : static_cast<double>(order[best].size()) * count[order[best]];
      CHECK(s.at("s2.rep.top" + std::to_string(size)) ==
            doctest::Approx(expected / static_cast<double>(text.size())));
    }
  }
}

TEST_CASE("C4 in the order of the reference") {
  Profile p = default_profile();
  p.quality.c4_terminal_punctuation = true;
  const auto sentences = [&](const std::string& text) { return scores(text, p).at("s2.c4.sentences"); };
  CHECK(sentences("One sentence here. Another one follows.\nNo stop at the end\nToo short.") == 2);
  CHECK(sentences("It ends with an ellipsis...\nIt ends with a quote\"") == 1);
  // Words are counted before citations go: "a [1] ." has three.
  CHECK(sentences("Word [12] x [citation needed].") == 1);
  // A word of more than 1000 characters loses the line before anything else is looked at.
  const auto s = scores(std::string(1001, 'x') + " lorem ipsum { dolor sit.", p);
  CHECK(s.at("s2.c4.lorem_ipsum") == 0);
  CHECK(s.at("s2.c4.curly_bracket") == 0);
  // "javascript" loses the line before its bracket is seen; "lorem ipsum" is tested before both.
  CHECK(scores("Please enable javascript { now.", p).at("s2.c4.curly_bracket") == 0);
  CHECK(scores("Lorem Ipsum and JavaScript here.", p).at("s2.c4.lorem_ipsum") == 1);
  CHECK(sentences("We use cookies on this site.") == 0);
  for (const char* phrase :
       {"Privacy Policy", "Terms of Use", "cookie policy", "uses cookies", "use of cookies", "use cookies"})
    for (const char* place : {"Read of * today.", "* is read here.", "We read the *."}) {
      std::string line = place;
      line.replace(line.find('*'), 1, phrase);
      CHECK_MESSAGE(sentences(line) == 0, line);
    }
  CHECK(sentences("Read our private policy today.") == 1);
  CHECK(sentences("What it was.[edit] It is gone. \"[citation needed]\"") == 2);
  p.quality.c4_min_words_per_line = 1;
  CHECK(sentences("...") == 0);
  CHECK(sentences("What it was.[edit]") == 1);  // also where the bracket ends the line
  CHECK(sentences("What it was.[edit") == 0);
  p.quality.c4_min_words_per_line = default_profile().quality.c4_min_words_per_line;
  // End marks of C4 hold no ideographic stop: every Chinese line would go, so the rules are off for Chinese.
  CHECK(scores("这是一个很长的中文句子，用来检查规则。").count("s2.c4.sentences") == 0);
}

TEST_CASE("no words, no lines, no text: nothing is divided by zero") {
  for (const char* text : {"", " ", "\n", "...", "。", "\n\n\n\n", "#"}) CHECK_NOTHROW(scores(text));
}

TEST_CASE("isalpha holds for ideographs: the rule means another thing in Chinese and has its own value") {
  const auto s = scores("天空为什么是蓝色的？因为2024年的散射。");
  CHECK(s.at("s2.gopher.alpha_words") == doctest::Approx(15.0 / 19));  // letters over letters and digits
}

TEST_CASE("a profile with every key changed reads back as itself") {
  Profile p = default_profile();
  apply_profile(p,
                ds::io::parse_json(R"({"profile":"x","stages":["semantic","quality"],"languages":["de"],
    "order":["s2.rep.top2"],"rules":{"s1.min_chars":{"en":3,"zh":false}},
    "repetition":{"formula":"covered","count_guard":false},
    "c4":{"terminal_punctuation":true,"min_words_per_line":5,"max_word_length":7},
    "personal_data":{"ip":"off"},"categories":{"drugs":false},
    "duplicates":{"shingle":{"en":6},"min_similarity":0.5,"contamination_ngram":{"zh":9}},
    "semantic":{"max_units":99,"min_units":3,"cut":{"en":0.25},"embedder_digest":"abc"}})",
                                   "p"),
                "p");
  const std::string printed = dump(profile_json(p));
  Profile again = default_profile();
  apply_profile(again, ds::io::parse_json(printed, "again"), "again");
  CHECK(dump(profile_json(again)) == printed);
  CHECK(again.semantic.min_units == 3);
}
