// The fields of one JSONL record, taken from the line as it stands.
#include "io/record.h"

#include <doctest/doctest.h>

#include <vector>

using namespace ds::io;

namespace {

// The line must have bytes behind it.
struct Parsed {
  std::string padded;
  FieldReader reader;
  FieldRecord record;
  explicit Parsed(const std::string& line, const std::string& text_field = "text")
      : padded(line + std::string(kRecordPadding, ' ')), reader([&] {
          RecordFields fields;
          fields.text_field = text_field;
          return fields;
        }()) {
    reader.parse(std::string_view(padded).substr(0, line.size()), record);
  }
};

}  // namespace

TEST_CASE("where a text is found, and its pieces point at the strings of the line") {
  struct Case {
    const char *field, *line, *text;
  };
  for (const Case& c : std::vector<Case>{
           {"text", R"({"text":"a","n":1})", "a"},
           {"text", R"({"te\u0078t":"a\n\u00e9\ud83d\ude00\"\\"})", "a\n\u00e9\U0001F600\"\\"},
           {"text", R"({"text":["a","b",3,["c"],"d"]})", "a\nb\nd"},
           {"text", R"({"text":["\ud83d\ude00\u00e9\t","\uD834\uDD1E\/\"\\"]})",
            "\U0001F600\u00e9\t\n\U0001D11E/\"\\"},
           {"text", R"({"meta":{"text":"no"},"text":"yes"})", "yes"},
           {"meta.text", R"({"text":"no","meta":{"x":{"text":"no"},"text":"yes"}})", "yes"},
           {"meta.text", R"({"meta":[{"text":"no"}],"meta.text":"yes"})", "yes"},
           {"a.b.c", R"({"a":{"b":{"c":"deep","d":"no"},"c":"no"},"c":"no"})", "deep"},
           {"b,a", R"({"a":"first in the line","b":"second"})", "second\nfirst in the line"},
           {"text",
            R"({"messages":[{"role":"user","content":"q"},{"content":[{"type":"text","text":"a"}]}]})",
            "q\na"},
           {"turns", R"({"turns":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})", "q\na"},
           {"text", R"({"text":"first","text":"last"})", "last"},
           {"text", R"({"text":""})", ""}}) {
    const Parsed p(c.line, c.field);
    INFO(std::string(c.line));
    REQUIRE(p.record.ok);
    REQUIRE(p.record.has_text);
    CHECK(p.record.text == c.text);
    for (const TextPiece& piece : p.record.pieces) {
      CHECK(p.padded[piece.begin] == '"');
      CHECK(p.padded[piece.end - 1] == '"');
      const Parsed alone("{\"text\":" + p.padded.substr(piece.begin, piece.end - piece.begin) + "}");
      CHECK(alone.record.text == p.record.text.substr(piece.text_begin, piece.text_end - piece.text_begin));
    }
  }
  for (const char* none :
       {R"({})", R"({"text":1})", R"({"text":null})", R"({"text":{"text":"a"}})", R"({"Text":"a"})"}) {
    const Parsed p(none);
    CHECK(p.record.ok);
    CHECK(!p.record.has_text);
  }
}

TEST_CASE("earlier members of the text's name are named: strings and lists, not what holds no text") {
  const auto superseded = [](const std::string& line, const std::string& field = "text") {
    const Parsed p(line, field);
    std::string out;
    for (const auto& [begin, end] : p.record.superseded) out += p.padded.substr(begin, end - begin) + ";";
    return out;
  };
  CHECK(superseded(R"({"text":"a","text":"b","text":"c"})") == R"("a";"b";)");
  CHECK(superseded(R"({"text":["a"],"text":"b"})") == R"(["a"];)");
  CHECK(superseded(R"({"text":1,"text":"b"})") == "");
  CHECK(superseded(R"({"text":"a","text":["b"]})") == R"("a";)");
  CHECK(superseded(R"({"m":{"text":"a"},"m":{"text":"b"}})", "m.text") == R"("a";)");
  CHECK(superseded(R"({"other":"a","other":"b","text":"c"})") == "");
}

TEST_CASE("numbers that no 64 bits hold are numbers; what JSON does not allow is none") {
  for (const char* number :
       {"0", "-0", "10", "-1", "1.5", "1e400", "1E400", "-1E+400", "1e-999", "0.1e5", "18446744073709551616",
        "123456789012345678901234567890", "-123456789012345678901234567890",
        "0.12345678901234567890123456789", "1000000000000000", "12345678901234567890.5E3"})
    for (const char* place :
         {R"({"n":%,"text":"a"})", R"({"text":"a","n":[1,%, 2]})", R"({"text":"a","n":{"m":%}})"}) {
      std::string line = place;
      line.replace(line.find('%'), 1, number);
      const Parsed p(line);
      CHECK_MESSAGE(p.record.ok, line);
      CHECK_MESSAGE(p.record.text == "a", line);
    }
  for (const char* number :
       {"01", "-01", "00", "1.", ".5", "+1", "1e", "1e+", "NaN", "Infinity", "-", "0x1", "1 2", "01e400",
        "0123456789012345678901234567890", "-0123456789012345678901234567890", "1.e400", "1e400e1"})
    CHECK_MESSAGE(!Parsed(std::string(R"({"n":)") + number + R"(,"text":"a"})").record.ok, number);
  CHECK(Parsed(R"({"id":123456789012345678901234567890,"text":"1e400"})").record.id ==
        "123456789012345678901234567890");
}

TEST_CASE("messages stand in for the text where no other member was asked for") {
  const std::string line = R"({"messages":[{"role":"user","content":"q"}],"n":{"body":"deep"}})";
  CHECK(Parsed(line).record.text == "q");
  CHECK_FALSE(Parsed(line, "body").record.has_text);
  CHECK(Parsed(line, "messages").record.text == "q");
}

TEST_CASE("edits replace their strings and nothing else; a member is the last of its name") {
  const std::string line = R"({"a" : "x", "b":["yy", "z"] })";
  CHECK(replace_strings(line, {}) == line);
  CHECK(replace_strings(line, {{7, 10, "new \"1\"\n"}, {23, 26, ""}}) ==
        R"({"a" : "new \"1\"\n", "b":["yy", ""] })");
  const auto value = [](const std::string& text, const char* key) {
    const auto [begin, end] = find_member(text, key);
    return text.substr(begin, end - begin);
  };
  CHECK(value(line, "b") == R"(["yy", "z"])");
  CHECK(value(R"({"a":{"b":1},"b":2,"\u0062":3})", "b") == "3");
  CHECK(value(R"({"a":"}","b":-1.5e3})", "b") == "-1.5e3");
  CHECK(value(line, "c") == "");
  std::string seen;
  each_text_member(
      R"({"id":1,"body":"x","m":{"text":"y","n":2,"l":[{"content":"z"}],"o":{"p":"q"}},"l":["a"]})",
      [&](const std::string& path) { seen += path + ";"; });
  CHECK(seen == "body;m.text;m.l;");
}
