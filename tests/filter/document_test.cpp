#include "filter/text/document.h"

#include <doctest/doctest.h>

#include <string>

#include "filter/text/characters.h"
#include "filter/text/word_tokenizer.h"

using namespace ds::filter;

namespace {

std::string word_text(const Document& doc, const Word& w) {
  return std::string(doc.text.substr(doc.byte_offset(w.begin),
                                     doc.byte_offset(w.begin + w.length) - doc.byte_offset(w.begin)));
}

std::string words(std::string_view text) {
  Document doc;
  doc.text = text;
  prepare(doc);
  std::string out;
  for (const Word& w : doc.words) out += (out.empty() ? "" : "|") + word_text(doc, w);
  return out;
}

}  // namespace

// Expected values were printed by spaCy 3.8.18's blank English tokenizer.
TEST_CASE("words come apart as in the tokenizer that the thresholds were tuned on") {
  CHECK(words("cannot it's. don't Im its") == "can|not|it|'s|.|do|n't|I|m|its");
  CHECK(words("state-of-the-art (see foo(bar) a.b.c") == "state|-|of|-|the|-|art|(|see|foo(bar|)|a.b.c");
  CHECK(words("/usr/bin/x http://a.b/c?d=e") == "/usr|/|bin|/|x|http://a.b|/|c?d|=|e");
  CHECK(words("10km 5. U.S. e.g. x=1 foo::bar $HOME --threads") ==
        "10|km|5|.|U.S.|e.g.|x=1|foo::bar|$|HOME|--threads");
  CHECK(words("1,000.5 [n] 'quoted' 3)... [[a]] **b**") ==
        "1,000.5|[|n|]|'|quoted|'|3|)|...|[|[|a|]|]|*|*|b|*|*");
  CHECK(words("user@host.org a,b A,B file.txt Foo.Bar end.\n\n\n New") ==
        "user@host.org|a|,|b|A|,|B|file.txt|Foo|.|Bar|end|.|New");
}

TEST_CASE("python white space separates words: U+3000, U+00A0, U+0085, file separators") {
  CHECK(words("a\u3000b\u00a0c\u0085"
              "d\x1c"
              "e") == "a|b|c|d|e");
}

TEST_CASE("the unit is the word or, where ideographs rule, the character") {
  Document doc;
  doc.text = "天空为什么是蓝色的？ yes";
  prepare(doc);
  CHECK(doc.script == Script::kHan);
  CHECK(doc.words.size() == 13);          // every character that is no space
  CHECK(doc.shingle_units.size() == 12);  // punctuation does not count for duplicates
  doc.text = "The word 天 stands for the sky in this sentence.";
  prepare(doc);
  CHECK(doc.script == Script::kSpaced);
  doc.text = "これは日本語の文章です。漢字もある。";
  prepare(doc);
  CHECK(doc.script == Script::kSpaced);  // kana: not Chinese
  // Few kana: the commonest characters of Chinese decide, which Japanese hardly has.
  for (const auto& [text, script] :
       {std::pair("東京都の議会議員選挙投票結果速報の発表", Script::kSpaced),
        {"他说的这个词是「さよなら」，我们在这里不用", Script::kHan},
        {"机器学习モデル训练数据集合，结果和以前不一样了，这是我们的看法", Script::kHan},
        {"天地玄黄宇宙洪荒", Script::kHan},
        {"a b c d e f g 天地", Script::kSpaced},
        {"a b c d 天地", Script::kHan}}) {
    doc.text = text;
    prepare(doc);
    CHECK_MESSAGE(doc.script == script, doc.text);
  }
}

TEST_CASE("lengths are code points, whatever the bytes") {
  Document doc;
  doc.text = "naïve 𝒜 语";
  prepare(doc);
  CHECK(doc.size() == 9);
  CHECK(doc.byte_offset(3) == 4);
  CHECK(doc.byte_offset(9) == doc.text.size());
}

TEST_CASE("parts of a table entry that stand side by side are joined again, as spaCy does") {
  // What spaCy 3.8's blank English pipeline makes of the same texts.
  CHECK(words("(see above): x") == "(|see|above|):|x");
  CHECK(words("f(=y) a(:b") == "f(=y|)|a(:b");
  CHECK(words("\"it ''") == "\"|it|''");
  CHECK(words("d=e.") == "d|=|e.");
  CHECK(words("above) : x") == "above|)|:|x");
}

TEST_CASE("folding does not depend on case, width or accents; lower-casing never changes a length") {
  Document a, b;
  a.text = "Résumé ＡＢＣ 2024";
  b.text = "resume abc 1999";
  prepare(a);
  prepare(b);
  CHECK(a.shingle_units == b.shingle_units);
  // U+0130 lower-cases to two code points in Python: here one folds to one, offsets stay valid.
  a.text = "İstanbul";
  prepare(a);
  CHECK(a.words.size() == 1);
  CHECK(uint32_t{a.words[0].length} == 8);
}

TEST_CASE("datatrove's punctuation list keeps its oddities") {
  const LetterTable& table = LetterTable::instance();
  CHECK((table.flags(0xFF11) & kSymbol) != 0);  // full-width 1 is punctuation there
  CHECK((table.flags(0xFF12) & kSymbol) == 0);
  CHECK((table.flags('\t') & kSymbol) == 0);
  CHECK((table.flags('\r') & kSymbol) != 0);
  CHECK((table.flags('/') & kSymbol) != 0);
  CHECK((table.flags('\'') & kSymbol) != 0);
  CHECK((table.flags(0x3002) & kTerminal) != 0);
  CHECK((table.flags(0x3001) & kTerminal) == 0);
}

TEST_CASE("empty and blank texts have nothing to divide by") {
  for (const char* text : {"", " ", "\n\n\n", "\u3000"}) {
    Document doc;
    doc.text = text;
    prepare(doc);
    CHECK(doc.words.empty());
    CHECK(doc.shingle_units.empty());
  }
}
