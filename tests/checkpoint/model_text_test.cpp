// A model folder's text side against transformers' answers (scripts/check/tokenizer_files.py,
// scripts/make/message_goldens.py).
#include "checkpoint/model_text.h"

#include <doctest/doctest.h>

#include "checkpoint/gguf_config.h"
#include "checkpoint/messages.h"
#include "core/json_value.h"
#include "io/json.h"
#include "io/lines.h"
#include "io/temp_folder.h"

using namespace ds;
using namespace ds::checkpoint;

namespace {

Json golden(const std::string& name) {
  const std::string path = DS_SOURCE_DIR "/tests/golden/text/" + name;
  return parse_json(test::slurp(path), path);
}

std::vector<int32_t> to_ids(const Json& list) {
  std::vector<int32_t> out;
  for (const Json& id : list) out.push_back(static_cast<int32_t>(as_int(id)));
  return out;
}

const std::string kTokenizerJson =
    R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"model":{"type":"BPE","vocab":{"a":0,"b":1,"c":2},"merges":[]},
        "added_tokens":[{"id":3,"content":"<s>","special":true},{"id":4,"content":"</s>","special":true}])";

// A folder with these files, opened; or why not.
struct Opened {
  std::unique_ptr<const ModelText> text;
  std::string refused;
};
Opened open_with(const std::string& tokenizer_rest, const std::string& config = "{}",
                 const std::string& added = "{}") {
  const test::TempFolder folder;
  folder.write("tokenizer.json", kTokenizerJson + tokenizer_rest + "}");
  folder.write("tokenizer_config.json", config);
  folder.write("added_tokens.json", added);
  try {
    return {ModelText::open(folder.path()), ""};
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kBadModel);
    return {nullptr, e.message()};
  }
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string rendered(const std::string& source, const std::string& messages, const std::string& member = "") {
  const test::TempFolder folder;
  folder.write("tokenizer.json", kTokenizerJson + "}");
  folder.write("chat_template.jinja", source);
  RenderRequest request;
  request.messages = parse_json(messages, "messages");
  request.add_generation_prompt = false;
  request.continue_member = member;
  return ModelText::open(folder.path())->render(request, "f:1");
}

}  // namespace

TEST_CASE("folders whose tokens are told by several files are read as transformers reads them") {
  const Json all = golden("tokenizer_files.json");
  for (const Json& entry : *find(all, "folders")) {
    const test::TempFolder folder;
    for (const auto& [name, json] : find(entry, "files")->items()) {
      Json whole = json;
      if (name == "tokenizer.json")
        for (const auto& [key, value] : find(all, "base")->items()) whole[key] = value;
      folder.write(name, dump(whole));
    }
    const auto text = ModelText::open(folder.path());
    for (const Json& c : *find(entry, "cases")) {
      INFO(dump(c));
      CHECK(text->tokenizer().encode(as_string(*find(c, "text"))) == to_ids(*find(c, "ids")));
      CHECK(text->encode_plain(as_string(*find(c, "text"))) == to_ids(*find(c, "framed")));
    }
    RenderRequest request;
    request.messages = Json::array_t{Json{{"role", "user"}, {"content", "hi"}}};
    request.add_generation_prompt = false;
    CHECK(text->render(request, "") == as_string(*find(entry, "rendered")));
  }
}

TEST_CASE("conversations become the prompts that transformers makes of them") {
  const Json all = golden("messages.json");
  for (const Json& c : all) {
    INFO(dump(c));
    const Json* how = find(c, "continue_final_message");
    const test::TempFolder folder;
    folder.write("tokenizer.json", kTokenizerJson + "}");
    folder.write("chat_template.jinja", as_string(*find(c, "template")));
    RenderRequest request;
    request.messages = *find(c, "messages");
    request.add_generation_prompt = find(c, "add_generation_prompt")->get<bool>();
    if (how) request.continue_member = how->is_string() ? as_string(*how) : "content";
    CHECK(ModelText::open(folder.path())->render(request, "") == as_string(*find(c, "rendered")));
  }
}

TEST_CASE("DeepSeek's own chats keep a content of null, for its templates ask whether it is none") {
  const test::TempFolder folder;
  folder.write("tokenizer.json", kTokenizerJson + "}");
  folder.write("tokenizer_config.json", R"({"bos_token":"<\uff5cbegin\u2581of\u2581sentence\uff5c>"})");
  const std::string chats = std::string(DS_SOURCE_DIR) + "/tests/golden/text/chat/";
  folder.write("chat_template.jinja", io::read_file(chats + "deepseek_v3.jinja"));
  const auto text = ModelText::open(folder.path());
  io::LineReader lines(chats + "deepseek_v3.jsonl");
  int n = 0;
  while (const auto line = lines.next()) {
    const Json chat = io::parse_json(*line, lines.where());
    if (line->find("\"content\": null") == line->npos) continue;
    RenderRequest request;
    request.messages = *find(*find(chat, "variables"), "messages");
    request.add_generation_prompt = find(*find(chat, "variables"), "add_generation_prompt")->get<bool>();
    CHECK(text->render(request, lines.where()) == as_string(*find(chat, "rendered")));
    ++n;
  }
  CHECK(n >= 3);
}

TEST_CASE("without a post-processor BOS and EOS are added where tokenizer_config.json asks for them, once") {
  const std::string tokens = R"({"bos_token":"<s>","eos_token":{"content":"</s>"})";
  const auto encode = [&](const std::string& rest, const std::string& flags, std::string_view text) {
    return open_with(rest, tokens + flags + "}").text->encode_plain(text);
  };
  using Ids = std::vector<int32_t>;
  CHECK(encode("", "", "ab") == Ids{0, 1});
  CHECK(encode("", R"(,"add_bos_token":true)", "ab") == Ids{3, 0, 1});
  CHECK(encode("", R"(,"add_bos_token":true)", "<s>ab") == Ids{3, 0, 1});
  CHECK(encode("", R"(,"add_bos_token":true,"add_eos_token":true)", "ab</s>") == Ids{3, 0, 1, 4});
  CHECK(encode("", R"(,"add_bos_token":true,"add_eos_token":true)", "") == Ids{3, 4});
  const std::string post = R"(,"post_processor":{"type":"BertProcessing","cls":["<s>",3],"sep":["</s>",4]})";
  CHECK(encode(post, R"(,"add_bos_token":false)", "a") == Ids{3, 0, 4});  // the post-processor decides
  CHECK(open_with(post).text->frame_text() == "3 (<s>) before the text, 4 (</s>) behind it");
  CHECK(open_with("").text->frame_text().empty());
  CHECK(open_with("", tokens + "}").text->eos_ids() == Ids{4});
}

TEST_CASE("post-processors and side files that make no sense are refused by name") {
  const auto post = [](const std::string& json) { return open_with(",\"post_processor\":" + json).refused; };
  CHECK(has(post(R"({"type":"BertProcessing","cls":["<s>",5],"sep":["</s>",4]})"),
            "token id 5 is not in 0..4"));
  CHECK(has(post(R"({"type":"BertProcessing","cls":["<s>",-1],"sep":["</s>",4]})"), "token id -1"));
  CHECK(has(post(R"({"type":"BertProcessing","cls":3,"sep":["</s>",4]})"), "\"cls\" must be a list"));
  CHECK(has(post(R"({"type":"Nonsense"})"), "\"Nonsense\" is not supported"));
  CHECK(has(post("7"), "needs a \"type\""));
  CHECK(has(
      post(
          R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<x>"}},{"Sequence":{"id":"A"}}]})"),
      "\"<x>\" is not in \"special_tokens\""));
  CHECK(has(post(R"({"type":"TemplateProcessing","single":[]})"), "does not stand"));
  CHECK(
      has(post(R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}},{"Sequence":{"id":"A"}}]})"),
          "twice"));
  std::string deep = R"({"type":"ByteLevel"})";
  for (int i = 0; i < 20; ++i) deep = R"({"type":"Sequence","processors":[)" + deep + "]}";
  CHECK(has(post(deep), "nested too deeply"));
  // Ids beyond 32 bits.
  for (const char* id : {"4294967296", "-1", "99999999999999999999", "x"}) {
    CAPTURE(id);
    const std::string config = R"({"added_tokens_decoder":{")" + std::string(id) + R"(":{"content":"<x>"}}})";
    CHECK(has(open_with("", config).refused, "tokenizer_config.json: token \"<x>\""));
    if (*id == 'x') continue;
    CHECK(has(open_with("", "{}", R"({"<x>":)" + std::string(id) + "}").refused,
              "added_tokens.json: token \"<x>\""));
    const std::string own = R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"added_tokens":[{"id":)" +
                            std::string(id) + R"(,"content":"<x>"}]})";
    CHECK_THROWS_AS(Tokenizer::from_json(own, "f"), Error);
  }
  CHECK(has(open_with("", "[]").refused, "must be a JSON object"));
  CHECK(has(open_with("", R"({"added_tokens_decoder":{"5":{"content":"<x>","lstrip":1}}})").refused,
            "\"lstrip\" must be true or false"));
}

TEST_CASE("text parts are joined unless the template wants parts; other parts are refused by name") {
  const std::string plain = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
  const std::string parts =
      R"([{"role":"user","content":[{"type":"text","text":"a "},{"type":"text","text":"b"}]}])";
  CHECK(rendered(plain, parts) == "[a b]");
  CHECK(rendered("{% for m in messages %}{% for p in m.content %}({{ p.text }}){% endfor %}{% endfor %}",
                 parts) == "(a )(b)");
  CHECK(rendered(plain, R"([{"role":"user","content":[]}])") == "[]");
  CHECK(rendered(plain, R"([{"role":"user","content":["a","b"]}])") == "[ab]");
  const auto refusal = [&](const std::string& messages) {
    try {
      rendered(plain, messages);
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kBadData);
      return e.message();
    }
    return std::string();
  };
  CHECK(has(refusal(R"([{"role":"user","content":"x"},
      {"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}])"),
            "f:1: message 2 has a part of type \"image_url\": only text can be read"));
  CHECK(has(refusal(R"([{"role":"user","content":[{"type":"input_audio"}]}])"), "\"input_audio\""));
  CHECK(has(refusal(R"([{"role":"user","content":[7]}])"), "type unknown"));
  CHECK(has(refusal(R"([{"role":"user","content":"x"},{"content":"y"}])"),
            "message 2 must be an object with a \"role\""));
  CHECK(has(refusal("[]"), "at least one message"));
  CHECK(has(refusal(R"([{"role":"user","content":"x"},{"role":"user","content":null}])"),
            "f:1: message 2 has no \"content\""));
  CHECK(has(refusal(R"([{"role":"system"}])"), "message 1 has no \"content\""));
  CHECK(has(refusal(R"([{"role":"assistant","content":123}])"), "message 1: \"content\" must be a text"));
}

TEST_CASE("developer is system where the template knows none; other roles that it leaves out are refused") {
  const std::string known =
      "{% for m in messages %}{% if m.role == 'system' %}<{{ m.content }}>{% elif m.role == 'user' %}"
      "[{{ m.content }}]{% endif %}{% endfor %}";
  const std::string any = "{% for m in messages %}{{ m.role }}: {{ m.content }};{% endfor %}";
  const std::string developer = R"([{"role":"developer","content":"d"},{"role":"user","content":"q"}])";
  CHECK(rendered(known, developer) == "<d>[q]");
  CHECK(rendered(any, developer) == "developer: d;user: q;");
  for (const char* role : {"human", "User"}) {
    const std::string other =
        R"([{"role":"user","content":"q"},{"role":")" + std::string(role) + R"(","content":"x"}])";
    CHECK(rendered(any, other) == "user: q;" + std::string(role) + ": x;");
    try {
      rendered(known, other);
      FAIL("taken");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kBadData);
      CHECK(has(e.message(), "f:1: message 2 has role \"" + std::string(role) + "\""));
    }
  }
}

TEST_CASE("arguments of tool calls come as the template can print them") {
  const auto call = [](const std::string& arguments) {
    return R"([{"role":"user","content":"q"},{"role":"assistant","content":"","tool_calls":[{"type":"function",
        "function":{"name":"f","arguments":)" +
           arguments + "}}]}]";
  };
  const std::string text = R"("{\"city\": \"Köln\"}")", object = R"({"city":"Köln"})";
  const std::string start = "{% for m in messages %}{% for c in m.tool_calls or [] %}",
                    end = "{% endfor %}{% endfor %}";
  const std::string needs_object = start + "{{ c.function.arguments | tojson }}" + end;
  const std::string needs_text = start + "{{ 'args ' + c.function.arguments }}" + end;
  const std::string items =
      start + "{% for k, v in c.function.arguments.items() %}\"{{ k }}\": \"{{ v }}\"{% endfor %}" + end;
  const std::string takes_both = start +
                                 "{% if c.function.arguments is string %}t {{ c.function.arguments }}{% else "
                                 "%}o {{ c.function.arguments | tojson }}{% endif %}" +
                                 end;
  for (const std::string& given : {text, object}) {
    CHECK(rendered(needs_object, call(given)) == R"({"city": "Köln"})");
    CHECK(rendered(needs_text, call(given)) == R"(args {"city": "Köln"})");
    CHECK(rendered(items, call(given)) == R"("city": "Köln")");
    CHECK(rendered(takes_both, call(given)) ==
          (given == text ? R"(t {"city": "Köln"})" : R"(o {"city": "Köln"})"));
  }
  CHECK(rendered(needs_object, call("\"{}\"")) == "{}");
  CHECK(rendered(needs_object, call("\"no JSON\"")) == "\"no JSON\"");
}

TEST_CASE("what cannot be gone on with is refused") {
  const std::string plain = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
  const std::string begun = R"([{"role":"user","content":"q"},{"role":"assistant","content":"so far"}])";
  CHECK(rendered(plain, begun, "content") == "[q][so far");
  CHECK_THROWS_AS(rendered(plain, begun, "reasoning"), Error);
  CHECK_THROWS_AS(rendered(plain, R"([{"role":"assistant","content":null}])", "content"), Error);
  CHECK_THROWS_AS(rendered("{{ messages[0].content }}", begun, "content"), Error);
  // Cut off by the template: what is left would be another beginning.
  CHECK_THROWS_AS(rendered("{% for m in messages %}{{ m.content[3:] }}{% endfor %}", begun, "content"),
                  Error);
}

TEST_CASE("every pre-tokenizer that GGUF files name: where texts are cut") {
  // Pairs merge wherever they are not cut apart.
  const auto n_tokens = [](const std::string& pre, const std::string& text) {
    Json metadata = Json::object();
    metadata["tokenizer.ggml.model"] = "gpt2";
    metadata["tokenizer.ggml.pre"] = pre;
    // In the byte-level alphabet a space is U+0120 and a line feed U+010A.
    metadata["tokenizer.ggml.tokens"] = Json::array_t{"1",
                                                      "2",
                                                      "x",
                                                      "[",
                                                      "\u0120",
                                                      "12",
                                                      "x[",
                                                      "\u0120x",
                                                      "\u0120\u0120",
                                                      "e",
                                                      "\u00c3",
                                                      "\u00a9",
                                                      "\u00c3\u00a9",
                                                      "e\u00c3\u00a9",
                                                      "\u010a",
                                                      "\u010a\u010a"};
    metadata["tokenizer.ggml.merges"] = Json::array_t{
        "1 2", "x [", "\u0120 x", "\u0120 \u0120", "\u00c3 \u00a9", "e \u00c3\u00a9", "\u010a \u010a"};
    const std::string json = gguf_tokenizer_json(metadata, "m.gguf");
    return Tokenizer::from_json(json, "m.gguf").encode(text).size();
  };
  struct Row {
    const char* pre;
    size_t digits, line_feeds;
  };
  for (const Row& row :
       {Row{"llama-bpe", 1, 1}, Row{"llama3", 1, 1}, Row{"llama-v3", 1, 1}, Row{"smaug-bpe", 1, 1},
        Row{"deepseek-v3", 1, 1}, Row{"gpt-2", 1, 1}, Row{"qwen2", 2, 1}, Row{"deepseek-r1-qwen", 2, 1},
        Row{"smollm", 2, 1}, Row{"deepseek-llm", 2, 2}, Row{"deepseek-coder", 2, 2}}) {
    CAPTURE(std::string(row.pre));
    CHECK(n_tokens(row.pre, "12") == row.digits);
    CHECK(n_tokens(row.pre, "\n\n") == row.line_feeds);
    CHECK(n_tokens(row.pre, "x[") == 2);
    CHECK(n_tokens(row.pre, " x") == 1);
    // DeepSeek LLM's range ":-~" of punctuation has the letters, too, and cuts words at an accent.
    CHECK(n_tokens(row.pre, "e\u00e9") == (row.pre == std::string("deepseek-llm") ? 2 : 1));
  }
}
