#include "text/tokenizer/tokenizer.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <numeric>
#include <random>
#include <thread>

#include "core/error.h"
#include "core/json_value.h"
#include "core/utf8.h"
#include "doctest/doctest.h"
#include "skip.h"
#include "text_goldens.h"

namespace ds::text {
namespace {

const Tokenizer& embedded() {
  static const Tokenizer kTokenizer =
      Tokenizer::from_json(read_text(DS_SOURCE_DIR "/data/dsv3-tiny/tokenizer.json"), "dsv3-tiny");
  return kTokenizer;
}

std::vector<int32_t> to_ids(const Json& list) {
  std::vector<int32_t> out;
  for (const Json& id : list) out.push_back(static_cast<int32_t>(as_int(id)));
  return out;
}

// The letters that stand for bytes in the file.
std::string byte_level(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) {
    const uint32_t b = static_cast<uint8_t>(c);
    const auto is_letter = [](uint32_t v) {
      return (v >= '!' && v <= '~') || (v >= 0xA1 && v <= 0xAC) || v >= 0xAE;
    };
    uint32_t n_before = 0;
    for (uint32_t v = 0; v < b; ++v) n_before += !is_letter(v);
    append_utf8(out, is_letter(b) ? b : 0x100 + n_before);
  }
  return out;
}

}  // namespace

TEST_CASE("small tokenizers of every style give the reference library's ids") {
  const Json entries = io::parse_json(read_text(kTextGoldens + "tokenizers.json"), "tokenizers.json");
  for (const Json& entry : entries) {
    const std::string& name = as_string(*find(entry, "name"));
    INFO(name);
    const Tokenizer tokenizer = Tokenizer::from_json(dump(*find(entry, "tokenizer")), name);
    for (const Json& c : *find(entry, "cases")) {
      const auto& fields = c.get_ref<const ds::Json::array_t&>();
      INFO(as_string(fields[0]));
      const auto ids = tokenizer.encode(as_string(fields[0]), fields[1].get<bool>());
      CHECK(ids == to_ids(fields[2]));
      CHECK(replace_invalid_utf8(tokenizer.decode(ids)) == as_string(fields[3]));
    }
  }
}

TEST_CASE("published tokenizers give the reference library's ids (with DS_SHARED)") {
  const char* shared = std::getenv("DS_SHARED");
  if (!shared) return test::skip_test("DS_SHARED is not set");
  for (const std::string name : {"deepseek_v3", "llama3", "qwen3"}) {
    const std::string folder = std::string(shared) + "/tokenizers/" + name;
    const Tokenizer tokenizer = Tokenizer::from_json(read_text(folder + "/tokenizer.json"), folder);
    for (const Json& r : read_records(std::string(shared) + "/golden/tokenizer/" + name + ".jsonl")) {
      const std::string& text = as_string(*find(r, "text"));
      INFO(name << ": " << text);
      const auto ids = tokenizer.encode(text, find(r, "parse_special")->get<bool>());
      CHECK(ids == to_ids(*find(r, "ids")));
      CHECK(tokenizer.decode(ids) == as_string(*find(r, "decoded")));
      const Json* skipped = find(r, "decoded_skip_special");
      CHECK(tokenizer.decode(ids, true) == as_string((skipped ? *skipped : *find(r, "decoded"))));
    }
  }
}

TEST_CASE("special tokens, lookups and sizes") {
  const Tokenizer& t = embedded();
  CHECK(t.vocab_size() == 2048);
  CHECK(t.token_id("<｜begin▁of▁sentence｜>") == 0);
  CHECK(t.token_id("<｜end▁of▁sentence｜>") == 1);
  CHECK(t.token_id("Ġi").has_value());
  CHECK(t.token_bytes(*t.token_id("Ġi")) == " i");
  CHECK_FALSE(t.token_id("no such token").has_value());
  CHECK(t.is_special(0));
  CHECK_FALSE(t.is_special(*t.token_id("<think>")));
  CHECK_FALSE(t.is_special(-1));
  CHECK_FALSE(t.is_special(1 << 30));
  CHECK(t.token_bytes(-1).empty());
  CHECK(t.token_bytes(1 << 30).empty());

  CHECK(t.encode("").empty());
  CHECK(t.encode("<｜begin▁of▁sentence｜>") == std::vector<int32_t>{0});
  const auto plain = t.encode("<｜begin▁of▁sentence｜>", false);
  CHECK(plain.size() > 1);
  CHECK(t.decode(plain) == "<｜begin▁of▁sentence｜>");
  // Not marked special: matched either way, and kept when special tokens are skipped.
  CHECK(t.encode("<think>", false).size() == 1);
  CHECK(t.decode(t.encode("<｜end▁of▁sentence｜>a<think>"), true) == "a<think>");
  for (const int32_t id : {-1, 2048}) {
    try {
      t.decode(std::vector<int32_t>{0, id});
      FAIL("an id out of range was decoded");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kBadData);
    }
  }
}

TEST_CASE("invalid UTF-8 counts as U+FFFD per maximal subpart, NUL is a character") {
  const Tokenizer& t = embedded();
  for (const std::string text : {"a\xFFz", "\xE4\xBD", "\xE4\xBD\xC3", "\xED\xA0\x80", "\xF5x", "ok\xC0\xAF"})
    CHECK(t.decode(t.encode(text)) == replace_invalid_utf8(text));
  const std::string with_nul("a\0b\0\0", 5);
  CHECK(t.decode(t.encode(with_nul)) == with_nul);
}

// Quadratic time over 1 MB would not end before the test's timeout.
TEST_CASE("enormous pieces take linear time") {
  constexpr size_t kBytes = 1'000'000;
  const auto round_trips = [](const std::string& text) {
    return embedded().decode(embedded().encode(text)) == text;
  };
  const auto repeat = [](const std::string& s) {
    std::string out;
    while (out.size() < kBytes) out += s;
    return out;
  };
  for (const std::string unit :
       {"a", " ", "\n", "中", "\xCC\x81", "7", "ab", "!", " \t", "アイ", "😀", "\r\n"}) {
    INFO(unit);
    CHECK(round_trips(repeat(unit)));
  }
  CHECK(round_trips(std::string(kBytes, ' ') + "1"));
  CHECK(round_trips(std::string(kBytes, ' ') + "\n"));
}

// The definition of byte pair encoding: the lowest rank first, the leftmost of equals.
std::vector<std::string> merge_naively(const std::string& text,
                                       const std::map<std::pair<std::string, std::string>, size_t>& ranks) {
  std::vector<std::string> parts;
  for (const char c : text) parts.emplace_back(1, c);
  for (;;) {
    size_t best = parts.size(), lowest = SIZE_MAX;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto it = ranks.find({parts[i], parts[i + 1]});
      if (it != ranks.end() && it->second < lowest) lowest = it->second, best = i;
    }
    if (best == parts.size()) return parts;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

// Merges learnt from random texts over these characters or, if not `learnt`, of any two tokens in any order,
// so that most tokens arise in several ways: the ids of random texts of up to `longest` characters are those
// of the definition.
void check_random_merges(const std::vector<std::string>& characters, size_t longest, bool learnt,
                         uint64_t seed) {
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const auto text_of = [&](size_t n) {
    std::string out;
    while (n-- > 0) out += characters[random() % characters.size()];
    return out;
  };
  std::map<std::pair<std::string, std::string>, size_t> ranks;
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  std::vector<std::string> known = characters;
  for (size_t n = 10 + random() % 60; n > 0; --n) {
    const auto parts = learnt ? merge_naively(text_of(12), ranks)
                              : std::vector{known[random() % known.size()], known[random() % known.size()]};
    const size_t i = learnt ? random() % parts.size() : 0;
    if (i + 1 == parts.size()) continue;
    if (parts[i].size() + parts[i + 1].size() <= 5) known.push_back(parts[i] + parts[i + 1]);
    if (ranks.emplace(std::pair(parts[i], parts[i + 1]), ranks.size()).second &&
        std::find(tokens.begin(), tokens.end(), parts[i] + parts[i + 1]) == tokens.end())
      tokens.push_back(parts[i] + parts[i + 1]);
  }
  std::vector<size_t> order(ranks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (!learnt) std::shuffle(order.begin(), order.end(), random);
  Json vocab = Json::object();
  for (size_t id = 0; id < tokens.size(); ++id) vocab[byte_level(tokens[id])] = static_cast<int64_t>(id);
  Json::array_t merges(ranks.size());
  for (auto& [pair, rank] : ranks) {
    rank = order[rank];
    merges[rank] = Json::array({byte_level(pair.first), byte_level(pair.second)});
  }
  const std::string json = R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, )"
                           R"("use_regex": false}, "model": {"type": "BPE", "vocab": )" +
                           dump(vocab) + ", \"merges\": " + dump(Json(std::move(merges))) + "}}";
  const Tokenizer tokenizer = Tokenizer::from_json(json, "random");
  for (size_t n_left = 1200; n_left > 0;) {
    const size_t n = 1 + random() % std::min(longest, n_left);
    const std::string text = text_of(n);
    n_left -= n;
    std::vector<std::string> got;
    for (const int32_t id : tokenizer.encode(text)) got.emplace_back(tokenizer.token_bytes(id));
    CHECK(got == merge_naively(text, ranks));
  }
}

// Chinese pieces are cut where no merge joins two characters. Merges here join all that bytes allow: ends of
// characters with beginnings, characters with parts of others.
TEST_CASE("merges across characters of three bytes give the ids of the definition") {
  for (uint64_t seed = 1; seed <= 60; ++seed)
    check_random_merges({"中", "丰", "国", "圭", "あ", "い", "ࠀ", "￼", "é", "😀", "a"}, 30, true, seed);
}

// Where merges wait in line: the pieces are longer than those whose ranks are searched by scanning. Ranks in
// any order make pairs of a rank come out of turn.
TEST_CASE("long pieces give the ids of the definition, whatever the order of ranks") {
  for (uint64_t seed = 1; seed <= 20; ++seed)
    for (const bool learnt : {true, false}) check_random_merges({"a", "b"}, 600, learnt, seed);
}

TEST_CASE("an unknown token that a merge makes, too, is merged from left to right with what the merge made") {
  // The vocabulary lacks "c", which becomes the unknown token "ab".
  const Tokenizer t = Tokenizer::from_json(
      R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false},"model":{"type":"BPE",
      "unk_token":"ab","vocab":{"a":0,"b":1,"ab":2,"abab":3},"merges":["a b","ab ab"]}})",
      "unknown");
  std::string text;
  for (int i = 0; i < 50; ++i) text += "abcc";
  CHECK(t.encode(text) == std::vector<int32_t>(75, 3));
}

TEST_CASE("keys that a tokenizer.json leaves out have the reference library's values") {
  const auto ids = [](const std::string& pre_tokenizer, const std::string& text) {
    const std::string json = R"({"pre_tokenizer":)" + pre_tokenizer +
                             R"(,"model":{"vocab":{"a":0,"b":1,"Ġ":2,"Ġa":3,"1":4,"a1":5,".":6,"a.":7,"11":8},
                                "merges":["a 1","Ġ a",["a","."],["1","1"]]}})";
    return Tokenizer::from_json(json, "short").encode(text);
  };
  using Ids = std::vector<int32_t>;
  const auto steps = [](const std::string& step) {
    return R"({"type":"Sequence","pretokenizers":[)" + step +
           R"(,{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})";
  };
  // A space before the text, and GPT-2's pattern, which parts digits from letters.
  CHECK(ids(R"({"type":"ByteLevel"})", "ab a1") == Ids{3, 1, 3, 4});
  CHECK(ids(R"({"type":"ByteLevel","add_prefix_space":null,"use_regex":null})", "ab a1") == Ids{3, 1, 3, 4});
  CHECK(ids(R"({"type":"ByteLevel","add_prefix_space":false})", "ab a1") == Ids{0, 1, 3, 4});
  CHECK(ids(R"({"type":"ByteLevel","use_regex":false})", "ab a1") == Ids{3, 1, 2, 5});
  CHECK(ids(steps(R"({"type":"Punctuation"})"), "a.a") == Ids{0, 6, 0});
  CHECK(ids(steps(R"({"type":"Digits"})"), "a11a") == Ids{0, 8, 0});
  CHECK(ids(steps(R"({"type":"Digits","individual_digits":true})"), "a11a") == Ids{0, 4, 4, 0});
  CHECK(ids(steps(R"({"type":"Split","pattern":{"String":"a"},"behavior":"Removed"})"), "bab") == Ids{1, 1});
  CHECK(ids(steps(R"({"type":"Split","pattern":{"String":"a"},"behavior":"Removed","invert":true})"),
            "bab") == Ids{0});

  const auto added = [](const std::string& keys) {
    return Tokenizer::from_json(
        R"({"normalizer":{"type":"Lowercase"},"added_tokens":[{"id":6,"content":"<X>")" + keys +
            R"(}],"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false},
               "model":{"vocab":{"a":0,"Ġ":1,"<":2,">":3,"x":4,"X":5},"merges":[]}})",
        "added");
  };
  // Not special, looked for in the normalised text, wherever it stands, and no more than itself.
  const Tokenizer plain = added("");
  CHECK_FALSE(plain.is_special(6));
  for (const bool parse_special : {true, false}) {
    CHECK(plain.encode("a <X> a", parse_special) == Ids{0, 1, 6, 1, 0});
    CHECK(plain.encode("a<x>a", parse_special) == Ids{0, 6, 0});
  }
  // What is special is looked for as it is written.
  const Tokenizer special = added(R"(,"special":true)");
  CHECK(special.is_special(6));
  CHECK(special.encode("a <X> a") == Ids{0, 1, 6, 1, 0});
  CHECK(special.encode("<x>") == Ids{2, 4, 3});
  CHECK(special.encode("<X>", false) == Ids{2, 4, 3});
  CHECK(added(R"(,"lstrip":true)").encode("a <X> a") == Ids{0, 6, 1, 0});
  CHECK(added(R"(,"rstrip":true)").encode("a <X> a") == Ids{0, 1, 6, 0});
  CHECK(added(R"(,"single_word":true)").encode("a<X> <X>a") == Ids{0, 2, 4, 3, 1, 2, 4, 3, 0});
}

TEST_CASE("limits of ids and of added tokens are taken, what lies beyond is not") {
  const auto accepted = [](const std::string& id, size_t n_bytes) {
    try {
      Tokenizer::from_json(R"({"added_tokens":[{"id":9,"content":")" + std::string(n_bytes, 'x') +
                               R"("}],"pre_tokenizer":{"type":"ByteLevel"},"model":{"vocab":{"a":0,"b":)" +
                               id + R"(},"merges":[]}})",
                           "limits");
    } catch (const Error& e) {
      return false;
    }
    return true;
  };
  CHECK(accepted("1", 4096));
  CHECK_FALSE(accepted("1", 4097));
  CHECK(accepted("65663", 1));  // 65536 + 64 * 2 - 1
  CHECK_FALSE(accepted("65664", 1));
  CHECK(embedded().decode(std::vector<int32_t>{2047}) == embedded().token_bytes(2047));
}

// A piece that is a token is emitted whole, a part of a piece that reads the same is merged: what is
// remembered of the one must not answer for the other, in any order.
TEST_CASE("ignore_merges: pieces and the same characters within longer pieces, side by side") {
  Json vocab = Json::object();
  for (int b = 0; b < 256; ++b) vocab[byte_level(std::string(1, static_cast<char>(b)))] = int64_t{b};
  const std::string joint = "\xAD\xE5";  // the last byte of one character and the first of the next
  vocab[byte_level(joint)] = int64_t{256};
  vocab[byte_level("中国")] = int64_t{257};  // by no merges
  vocab[byte_level("人")] = int64_t{258};
  Json::array_t merges = {Json::array({byte_level("\xAD"), byte_level("\xE5")})};
  const auto make = [&](bool ignore) {
    return Tokenizer::from_json(std::string(R"({"pre_tokenizer":{"type":"Sequence","pretokenizers":[
          {"type":"Split","pattern":{"String":" "},"behavior":"Removed"},
          {"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]},"model":{"ignore_merges":)") +
                                    (ignore ? "true" : "false") + ",\"vocab\":" + dump(vocab) +
                                    ",\"merges\":" + dump(Json(merges)) + "}}",
                                "ignore");
  };
  using Ids = std::vector<int32_t>;
  const Ids merged = {0xE4, 0xB8, 256, 0x9B, 0xBD}, last = {0xE4, 0xBA, 0xBA};
  const std::map<std::string, Ids> whole = {{"中国", {257}}, {"人", {258}}};
  for (const bool ignore : {true, false}) {
    const Tokenizer t = make(ignore);
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      std::mt19937_64 random(seed);
      std::string text;
      Ids want;
      for (int i = 0; i < 40; ++i) {
        const std::string words[] = {"中国", "人", "中国人", "人人", "人中国"};
        const std::string& word = words[random() % 5];
        text += (i ? " " : "") + word;
        if (ignore && whole.contains(word)) {
          want.insert(want.end(), whole.at(word).begin(), whole.at(word).end());
          continue;
        }
        for (size_t at = 0; at < word.size();) {
          const bool is_last = word.compare(at, 3, "人") == 0;
          const Ids& part = is_last ? last : merged;
          want.insert(want.end(), part.begin(), part.end());
          at += is_last ? 3 : 6;
        }
      }
      INFO(text);
      CHECK(t.encode(text) == want);
    }
  }
}

// A character may not be taken for its token before its time: what is merged with that token ranks first
// here, but the token is made last.
TEST_CASE("a merge of a whole character that ranks before the character's own merges") {
  const std::vector<std::pair<std::string, std::string>> order = {
      {"中", "a"}, {"\xE4", "\xB8"}, {"a", "b"}, {"\xE4\xB8", "\xAD"}, {"b", "中"}};
  std::map<std::pair<std::string, std::string>, size_t> ranks;
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  Json::array_t merges;
  for (const auto& [left, right] : order) {
    ranks.emplace(std::pair(left, right), ranks.size());
    tokens.push_back(left + right);
    merges.push_back(Json::array({byte_level(left), byte_level(right)}));
  }
  Json vocab = Json::object();
  for (size_t id = 0; id < tokens.size(); ++id) vocab[byte_level(tokens[id])] = static_cast<int64_t>(id);
  const Tokenizer t = Tokenizer::from_json(
      R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false},"model":{"vocab":)" +
          dump(vocab) + ",\"merges\":" + dump(Json(merges)) + "}}",
      "odd");
  for (const std::string text : {"中ab", "中a", "ab中", "b中ab", "中中abab中", "a中ba中"}) {
    INFO(text);
    std::vector<std::string> got;
    for (const int32_t id : t.encode(text)) got.emplace_back(t.token_bytes(id));
    CHECK(got == merge_naively(text, ranks));
  }
}

TEST_CASE(
    "added tokens of a second file: the flags are replaced if they say so, but what is special stays "
    "special") {
  const std::string json =
      R"({"added_tokens":[{"id":3,"content":"<s>","special":true},{"id":4,"content":"<t>"}],
          "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"model":{"vocab":{"a":0,"Ġ":1,"b":2},"merges":[]}})";
  const auto with = [&](const char* content, bool special, bool lstrip, bool replaces) {
    AddedToken token;
    token.content = content, token.special = special, token.lstrip = lstrip, token.replaces = replaces;
    return Tokenizer::from_json(json, "two files", {token});
  };
  using Ids = std::vector<int32_t>;
  CHECK(with("<s>", false, true, true).is_special(3));
  CHECK(with("<s>", false, true, true).encode("a <s>") == Ids{0, 3});
  CHECK(with("<s>", false, true, false).encode("a <s>") == Ids{0, 1, 3});
  CHECK(with("<t>", true, false, true).is_special(4));
  CHECK_FALSE(with("<t>", true, false, false).is_special(4));
  const Tokenizer more = with("<u>", true, false, false);
  CHECK(more.is_special(5));
  CHECK(more.encode("<u>b") == Ids{5, 2});
}

TEST_CASE("one tokenizer serves many threads") {
  const std::string text = "Threads share it: 共享 123 <think>\n\n";
  const auto want = embedded().encode(text);
  std::vector<std::thread> threads;
  std::vector<int> n_bad(4, 0);
  for (size_t i = 0; i < n_bad.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 200; ++k) n_bad[i] += embedded().encode(text) != want;
    });
  }
  for (auto& thread : threads) thread.join();
  for (const int n : n_bad) CHECK(n == 0);
}

TEST_CASE("a tokenizer.json that cannot be used is refused") {
  const std::string head =
      R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"model":{"type":"BPE",)";
  const auto model = [&](const std::string& rest) { return head + rest + "}}"; };
  const auto pre = [](const std::string& step) {
    return R"({"pre_tokenizer":)" + step + R"(,"model":{"type":"BPE","vocab":{"a":0},"merges":[]}})";
  };
  const auto split = [&](const std::string& regex) {
    return pre(R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":")" + regex +
               R"("},"behavior":"Isolated","invert":false},{"type":"ByteLevel"}]})");
  };
  const std::string deep = std::string(2000, '[') + std::string(2000, ']');
  std::vector<std::string> bad = {
      "",
      "{}",
      "[]",
      "null",
      "\xFF",
      "{\"model\":1}",
      "{\"model\":{}}",
      "{\"model\":",
      head,
      model(R"("vocab":{},"merges":[])"),
      model(R"("vocab":{"a":0})"),
      model(R"("merges":[])"),
      model(R"("vocab":[],"merges":[])"),
      model(R"("vocab":{"a":0},"merges":{})"),
      model(R"("vocab":{"a":-1},"merges":[])"),
      model(R"("vocab":{"a":3000000000},"merges":[])"),
      model(R"("vocab":{"a":99999999999999999999},"merges":[])"),
      model(R"("vocab":{"a":1.5},"merges":[])"),
      model(R"("vocab":{"a":16000000},"merges":[])"),
      model(R"("vocab":{"a":"0"},"merges":[])"),
      model(R"("vocab":{"a":0,"b":0},"merges":[])"),
      model(R"("vocab":{"a":0,"a":1},"merges":[])"),
      model(R"("vocab":{"a":0,"b":1},"merges":["a b"])"),
      model(R"("vocab":{"a":0,"aa":1},"merges":["a c"])"),
      model(R"("vocab":{"a":0,"aa":1},"merges":["aa"])"),
      model(R"("vocab":{"a":0,"aa":1},"merges":["a a a"])"),
      model(R"("vocab":{"a":0,"aa":1},"merges":[["a"]])"),
      model(R"("vocab":{"a":0,"aa":1},"merges":[["a","a","a"]])"),
      model(R"("vocab":{"a":0,"aa":1},"merges":[1])"),
      model(R"("vocab":{"a":0,"":1},"merges":[["","a"]])"),
      model(R"("vocab":{"a":0,"":1},"merges":[["a",""]])"),
      model(R"("unk_token":"?","vocab":{"a":0},"merges":[])"),
      model(R"("byte_fallback":true,"vocab":{"a":0},"merges":[])"),
      model(R"("dropout":0.1,"vocab":{"a":0},"merges":[])"),
      R"({"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"Unigram","vocab":{"a":0},"merges":[]}})",
      R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]}})",
      pre("null"),
      pre("3"),
      pre(deep),
      pre(R"({"type":"Metaspace"})"),
      pre(R"({"type":"Whitespace"})"),
      pre(R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"Digits"}]})"),
      split("("),
      split("[a"),
      split("a{2}+"),
      split("(?R)"),
      split("\\\\p{Nope}"),
      split("[[a]]"),
      split("a**"),
      split("(*LIMIT_MATCH=1)"),
      split("\\\\K"),
      split(""),
      R"({"normalizer":{"type":"Nmt"},"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}})",
      R"({"decoder":{"type":"WordPiece"},"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}})",
      R"({"added_tokens":[{"content":"x"}],"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}})",
      R"({"added_tokens":[{"id":1,"content":"x","special":1}],"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}})",
      R"({"added_tokens":[{"id":1,"content":"x"}],"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":1},"merges":[]}})",
  };
  for (const std::string& json : bad) {
    INFO(json.substr(0, 200));
    try {
      Tokenizer::from_json(json, "bad.json");
      FAIL_CHECK("accepted");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kBadModel);
      CHECK(e.where().find("bad.json") == 0);
    }
  }
}

TEST_CASE("merges in a cycle end") {
  // a+b gives ab whose own merges lead back to longer tokens only: ranks out of order must still terminate.
  const Tokenizer t = Tokenizer::from_json(
      R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false},"model":{"type":"BPE",
      "vocab":{"a":0,"b":1,"ab":2,"ba":3,"abab":4,"aba":5},"merges":["ab ab","ab a","a b","b a","a b"]}})",
      "cycle");
  for (const size_t n : {1, 7, 300, 5000}) {
    std::string text;
    for (size_t i = 0; i < n; ++i) text += "ab";
    CHECK(t.decode(t.encode(text)) == text);
  }
}

TEST_CASE("Metaspace: a space in front of the first piece, of each or of none; cuts before spaces") {
  const auto tokenizer = [](const std::string& metaspace, const std::string& decoder) {
    std::string vocab = R"("<unk>":0,"<s>":1,"</s>":2)";
    int id = 3;
    for (int b = 0; b < 256; ++b) {
      char name[16];
      std::snprintf(name, sizeof name, ",\"<0x%02X>\":", static_cast<unsigned>(b));
      vocab += name + std::to_string(id++);
    }
    for (const char* token : {"▁", "a", "b", "▁a", "▁▁", "ab", "▁ab", "▁▁▁▁", "!"})
      vocab += std::string(",\"") + token + "\":" + std::to_string(id++);
    return Tokenizer::from_json(
        R"({"added_tokens":[{"id":1,"content":"<s>","special":true}],"pre_tokenizer":{"type":"Metaspace",)" +
            metaspace + R"(},"decoder":)" + decoder + R"(,"model":{"type":"BPE","unk_token":"<unk>",)" +
            R"("byte_fallback":true,"vocab":{)" + vocab +
            R"(},"merges":["▁ a","▁ ▁","a b","▁a b","▁▁ ▁▁"]}})",
        "metaspace");
  };
  const std::string decoder =
      R"({"type":"Sequence","decoders":[{"type":"Replace"},{"type":"ByteFallback"},{"type":"Strip"}]})";
  // Ids of the `tokenizers` library 0.23.3; those from 259 on, the tokens above, as 0 to 8.
  const std::vector<std::string> texts = {"ab ab", "  ab", "<s>ab<s> ab", "▁a    b", "é", ""};
  using Ids = std::vector<std::vector<int32_t>>;
  const auto ids = [&](const std::string& metaspace) {
    const Tokenizer t = tokenizer(metaspace, decoder);
    Ids out;
    for (const std::string& text : texts) {
      out.push_back(t.encode(text));
      for (int32_t& id : out.back()) id = id > 258 ? id - 259 : id;
    }
    return out;
  };
  const auto is = [](std::vector<int32_t> first, std::vector<int32_t> third, std::vector<int32_t> spaces,
                     std::vector<int32_t> bytes) {
    return Ids{std::move(first), {0, 6}, std::move(third), std::move(spaces), std::move(bytes), {}};
  };
  const std::vector<int32_t> split = {3, 0, 0, 0, 0, 2}, whole = {3, 7, 2}, prefixed = {0, 198, 172};
  CHECK(ids(R"("prepend_scheme":"first","split":true)") == is({6, 6}, {1, 5, 1, 6}, split, prefixed));
  CHECK(ids(R"("prepend_scheme":"first","split":false)") == is({6, 6}, {1, 5, 1, 6}, whole, prefixed));
  CHECK(ids(R"("prepend_scheme":"always","split":true)") == is({6, 6}, {1, 6, 1, 6}, split, prefixed));
  CHECK(ids(R"("prepend_scheme":"always","split":false)") == is({6, 6}, {1, 6, 1, 6}, whole, prefixed));
  CHECK(ids(R"("prepend_scheme":"never","split":true)") == is({5, 6}, {1, 5, 1, 6}, split, {198, 172}));
  CHECK(ids(R"("prepend_scheme":"never","split":false)") == is({5, 6}, {1, 5, 1, 6}, whole, {198, 172}));
  CHECK(ids(R"("replacement":"▁","add_prefix_space":true)") == is({6, 6}, {1, 6, 1, 6}, split, prefixed));
  CHECK(ids(R"("replacement":"▁","add_prefix_space":false)") == is({5, 6}, {1, 5, 1, 6}, split, {198, 172}));
  const Tokenizer both =
      tokenizer(R"("prepend_scheme":"first")", R"({"type":"Metaspace","prepend_scheme":"first"})");
  for (const std::string text : {"ab ab", " ab", "é\n!", "a  b"})
    CHECK(both.decode(both.encode(text)) == (text[0] == ' ' ? text.substr(1) : text));
  for (const char* bad : {R"("replacement":"_")", R"("prepend_scheme":"last")", R"("split":1)",
                          R"("prepend_scheme":3)", R"("add_prefix_space":"yes")"})
    CHECK_THROWS_AS(tokenizer(bad, decoder), Error);
}

TEST_CASE("SentencePiece in tokenizer.json: characters merge, others fall back on bytes, spaces are U+2581") {
  std::string vocab = R"("<unk>":0,"<s>":1)";
  int id = 2;
  for (int b = 0; b < 256; ++b) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", b);
    vocab += std::string(",\"") + name + "\":" + std::to_string(id++);
  }
  for (const char* token : {"▁", "a", "b", "é", "ab", "▁ab", "▁▁"})
    vocab += std::string(",\"") + token + "\":" + std::to_string(id++);
  const auto with = [&](const std::string& pre) {
    return Tokenizer::from_json(
        R"({"added_tokens":[{"id":1,"content":"<s>","special":true,"normalized":false}],"normalizer":{"type":"Sequence",
        "normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},)" +
            pre +
            R"("decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
        {"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
        "model":{"type":"BPE","vocab":{)" +
            vocab + R"(},"merges":["a b","▁ ab","▁ ▁"],"unk_token":"<unk>","byte_fallback":true}})",
        "t");
  };
  const Tokenizer t = with("");
  const int32_t space = 258, a = 259, e_acute = 261, word = 263, spaces = 264;
  using Ids = std::vector<int32_t>;
  CHECK(t.encode("ab") == Ids{word});
  CHECK(t.encode(" ab") == Ids{space, word});
  CHECK(t.encode("  a") == Ids{spaces, space, a});
  CHECK(t.encode("é") == Ids{space, e_acute});
  CHECK(t.encode("è\n") == Ids{space, 2 + 0xC3, 2 + 0xA8, 2 + 10});
  CHECK(t.encode("<s>ab") == Ids{1, word});
  CHECK(t.encode("▁ab") == t.encode(" ab"));
  CHECK(t.decode(Ids{word, 2 + 0xC3, 2 + 0xA8}) == "abè");
  CHECK(t.token_id("▁ab") == word);
  CHECK_THROWS_AS(with(R"("pre_tokenizer":{"type":"Whitespace"},)"), Error);
}

}  // namespace ds::text
