// Records to documents: formats, masks, templates, cuts, and what is said of bad records.
#include "train/data_set.h"

#include <doctest/doctest.h>

#include "core/json_value.h"
#include "io/files.h"
#include "io/json.h"
#include "io/temp_folder.h"
#include "train/mask_view.h"

using namespace ds;
using namespace ds::train;

namespace {

constexpr const char* kBos = "<｜begin▁of▁sentence｜>";
constexpr const char* kEos = "<｜end▁of▁sentence｜>";

// The embedded model's tokenizer with another configuration and chat template.
struct Folder {
  test::TempFolder files;
  explicit Folder(const std::string& chat_template = "deepseek_v3.jinja",
                  const std::string& config = std::string(R"({"add_bos_token": true, "bos_token": ")") +
                                              kBos + R"(", "eos_token": ")" + kEos + "\"}") {
    const std::string root = DS_SOURCE_DIR;
    files.write("tokenizer.json", test::slurp(root + "/data/dsv3-tiny/tokenizer.json"));
    files.write("tokenizer_config.json", config);
    if (chat_template.ends_with(".jinja"))
      files.write("chat_template.jinja", test::slurp(root + "/tests/golden/text/chat/" + chat_template));
    else if (!chat_template.empty())
      files.write("chat_template.jinja", chat_template);
  }
};

const char* kQwenConfig =
    R"({"bos_token": null, "eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})";
const char* kLlamaConfig =
    R"({"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>", "add_bos_token": true,
        "additional_special_tokens": ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]})";

struct Result {
  std::vector<TrainingDocument> documents;
  std::vector<std::string> texts, bad;  // texts: trained stretches between [ and ]
  DataSetCounts counts;
};
Result read(const Folder& folder, const std::string& lines, DataSetOptions options = {}) {
  options.inputs = {folder.files.write("data.jsonl", lines)};
  Result out;
  options.on_bad = [&](const Error& e) { out.bad.push_back(e.message()); };
  DataSet set(folder.files.path(), options);
  MaskView view;
  view.open = "[";
  view.close = "]";
  for (TrainingDocument d; set.next(d);) {
    REQUIRE(d.input_ids.size() == d.labels.size());
    if (!d.labels.empty()) CHECK(d.labels[0] == kNotTrained);
    for (size_t t = 0; t < d.labels.size(); ++t)
      CHECK((d.labels[t] == kNotTrained || d.labels[t] == d.input_ids[t]));
    out.texts.push_back(mask_text(d, set.text().tokenizer(), view));
    out.documents.push_back(std::move(d));
  }
  out.counts = set.counts();
  return out;
}
std::string only(const Folder& folder, const std::string& line, const DataSetOptions& options = {}) {
  const Result r = read(folder, line + "\n", options);
  for (const std::string& bad : r.bad) MESSAGE(bad);
  REQUIRE(r.texts.size() == 1);
  return r.texts[0];
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

DataSetOptions with(const std::function<void(DataSetOptions&)>& change) {
  DataSetOptions options;
  change(options);
  return options;
}
const DataSetOptions kLastTurn = with([](DataSetOptions& o) { o.train_on = TrainOn::kLast; });

}  // namespace

TEST_CASE("thirteen formats: pieces of the reference, each tokenised by itself, ids joined") {
  const Folder folder;
  const std::string path = DS_SOURCE_DIR "/tests/golden/train/formats.json";
  const auto text = checkpoint::ModelText::open(folder.files.path());
  int n = 0;
  const Json all = io::parse_json(io::read_file(path), path);
  for (const auto& file : all.items())
    for (const auto& kind : {std::pair("all", TrainOn::kAll), {"last", TrainOn::kLast}}) {
      const std::string name = file.key(), mode = kind.first;
      const TrainOn train_on = kind.second;
      const Json& rows = file.value();
      std::string lines;
      for (const Json& row : rows) lines += dump(*find(row, "record")) + "\n";
      const Result r = read(folder, lines, with([&](DataSetOptions& o) { o.train_on = train_on; }));
      REQUIRE(r.documents.size() == rows.size());
      for (size_t i = 0; i < rows.size(); ++i, ++n) {
        INFO(name << " " << mode << " " << i);
        const Json* pieces = find(rows[i], mode);
        std::vector<int32_t> ids, labels;
        for (const Json& piece : pieces ? *pieces : *find(rows[i], "all"))
          for (const int32_t id : text->tokenizer().encode(as_string(piece[0]))) {
            ids.push_back(id);
            labels.push_back(as_int(piece[1]) ? id : kNotTrained);
          }
        CHECK(r.documents[i].input_ids == ids);
        CHECK(r.documents[i].labels == labels);
      }
    }
  CHECK(n > 30);
}

TEST_CASE("a template that deletes reasoning cannot delete what is trained") {
  const Folder folder("deepseek_r1_style.jinja");
  const std::string chat =
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "<think>\nwhy\n</think>\n\na"},
          {"role": "user", "content": "r"}, {"role": "assistant", "content": "<think>\nso\n</think>\n\nb"}]})";
  std::string line = chat;
  line.erase(std::remove(line.begin(), line.end(), '\n'), line.end());
  CHECK(has(only(folder, line), "<think>\n[why\n</think>\n\na"));
  // As context it is what the template makes of it.
  const std::string last = only(folder, line, kLastTurn);
  CHECK(!has(last, "why"));
  CHECK(has(last, "so\n</think>\n\nb" + std::string(kEos) + "]"));
  // Reasoning in a member of its own is reasoning, too.
  CHECK(has(
      only(
          folder,
          R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "reasoning_content": "why"}]})"),
      "<think>\n[why\n</think>\n\na"));
}

TEST_CASE("a generation prompt that opens the reasoning is prompt") {
  const Folder folder(
      "{{bos_token}}{% for m in messages %}{% if m.role == 'user' %}<｜User｜>{{m.content}}{% else "
      "%}<｜Assistant｜>{{m.content.split('</think>')[-1]}}<｜end▁of▁sentence｜>{% endif %}{% endfor %}{% if "
      "add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}");
  const auto chat = [](const std::string& reply) {
    return R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": ")" + reply +
           "\"}]}";
  };
  CHECK(only(folder, chat("<think>\\nwhy\\n</think>\\n\\na")) ==
        std::string(kBos) + "<｜User｜>q<｜Assistant｜><think>\n[why\n</think>\n\na" + kEos + "]");
  // A reply without reasoning is told of: at inference the prompt is another.
  const Result r = read(folder, chat("a") + "\n");
  REQUIRE(r.texts.size() == 1);
  CHECK(r.texts[0] == std::string(kBos) + "<｜User｜>q<｜Assistant｜>[a" + kEos + "]");
  CHECK(r.counts.n_unlike_inference == 1);
}

TEST_CASE(
    "templates of other families: header prompt, reply and end of turn trained, the line feed behind it "
    "not") {
  const Folder qwen("qwen3.jinja", kQwenConfig), llama("llama3.jinja", kLlamaConfig);
  const std::string two =
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": " a "}, {"role": "user", "content": "r"}, {"role": "assistant", "content": "b"}]})";
  CHECK(only(llama, two) ==
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|><|start_header_id|>"
        "assistant<|end_header_id|>\n\n[ a <|eot_id|>]"
        "<|start_header_id|>user<|end_header_id|>\n\nr<|eot_id|><|start_header_id|>assistant<|end_header_id|>"
        "\n\n[b<|eot_id|>]");
  const std::string text = only(qwen, two);
  CHECK(
      has(text,
          "<|im_start|>assistant\n[ a <|im_end|>]\n<|im_start|>user\nr<|im_end|>\n<|im_start|>assistant\n["));
  CHECK(text.ends_with("b<|im_end|>]"));
  CHECK(
      only(
          qwen,
          R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "<think>\nw\n</think>\n\na"}]})") ==
      "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[<think>\nw\n</think>\n\na<|im_end|>]");
  // A call of tools is what the template makes of it.
  const std::string call = only(
      qwen,
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}, {"role": "tool", "content": "7"}, {"role": "assistant", "content": "seven"}]})");
  CHECK(has(call, "\"name\": \"f\""));
  CHECK(has(call, "</tool_call><|im_end|>]"));
  CHECK(has(call, "seven<|im_end|>]"));
}

TEST_CASE("templates whose replies are not behind their own generation prompt are refused by name") {
  const std::string line =
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})"
      "\n";
  for (const char* source :
       {"{{bos_token}}{% for m in messages %}{{m.role}}:{{m.content}}<｜end▁of▁sentence｜>{% endfor %}{% if "
        "add_generation_prompt %}model:{% endif %}",
        "{{bos_token}}{% for m in messages %}{{m.role}}:{{m.content}};{% endfor %}{% if "
        "add_generation_prompt %}assistant:{% endif %}",
        "{{bos_token}}{% for m in messages %}{% if m.role == 'user' %}{{m.content}}{% endif %}{% endfor %}",
        "{{bos_token}}{% for m in messages %}{{m.role}}:{{m.content}}{{m.content}}<｜end▁of▁sentence｜>{% "
        "endfor %}{% if add_generation_prompt %}assistant:{% endif %}"}) {
    const Result r = read(Folder(source), line);
    CHECK(r.documents.empty());
    REQUIRE(r.bad.size() == 1);
    CHECK(has(r.bad[0], "message 2: the chat template"));
  }
  CHECK_THROWS_AS(read(Folder(""), line), Error);  // none at all ends the run
}

TEST_CASE("one BOS, the text of special tokens in data is text, EOS is masked by its place") {
  const Folder folder;
  const std::string bos = kBos, eos = kEos;
  const Result r = read(folder, R"({"question": ")" + bos + R"(q", "answer": "a)" + eos + R"(b"})" + "\n");
  REQUIRE(r.documents.size() == 1);
  const auto& ids = r.documents[0].input_ids;
  const auto text = checkpoint::ModelText::open(folder.files.path());
  const int32_t bos_id = *text->tokenizer().token_id(bos), eos_id = *text->tokenizer().token_id(eos);
  CHECK(std::count(ids.begin(), ids.end(), bos_id) == 1);
  CHECK(std::count(ids.begin(), ids.end(), eos_id) == 1);
  CHECK(r.documents[0].labels.back() == eos_id);
  CHECK(r.counts.n_special_text == 1);
  // A template that says BOS itself does not get a second; asked to, data is read as tokens.
  const auto own = with([&](DataSetOptions& o) { o.prompt = bos + "<｜User｜>{question}<｜Assistant｜>"; });
  CHECK(only(folder, R"({"question": "q", "answer": "a"})", own) ==
        bos + "<｜User｜>q<｜Assistant｜>[a" + eos + "]");
  const auto parsed = with([](DataSetOptions& o) { o.parse_special = true; });
  const Result p = read(folder, R"({"prompt": ")" + bos + R"(q", "completion": "a)" + eos + "\"}\n", parsed);
  REQUIRE(p.texts.size() == 1);
  CHECK(p.texts[0] == bos + "q[a" + eos + "]");
  CHECK(std::count(p.documents[0].input_ids.begin(), p.documents[0].input_ids.end(), eos_id) == 1);
}

TEST_CASE("templates of one's own: escapes, members of members, braces in data and in the template") {
  const Folder folder;
  const auto own = with([](DataSetOptions& o) {
    o.prompt = "{ {meta.topic} }\\n{q}\\\\";
    o.target = "{reply}";
  });
  const std::string b = kBos, e = kEos;
  CHECK(only(folder, R"({"meta": {"topic": "{q}"}, "q": 7, "reply": "{reply} {x"})", own) ==
        b + "{ {q} }\n7\\[{reply} {x" + e + "]");
  // A misspelt member is named, with what there is instead.
  const Result r = read(folder, "{\"question\":\"q\",\"answer\":\"a\"}\n",
                        with([](DataSetOptions& o) { o.prompt = "{qestion}"; }));
  REQUIRE(r.bad.size() == 1);
  CHECK(has(r.bad[0], "has no \"qestion\", which the template names"));
  CHECK(has(r.bad[0], "\"question\", \"answer\""));
  CHECK_THROWS_AS(read(folder, "{\"question\":\"q\",\"answer\":\"a\"}\n",
                       with([](DataSetOptions& o) { o.prompt = "{question}", o.target = "yes"; })),
                  Error);
  CHECK_THROWS_AS(DataSet("", with([](DataSetOptions& o) { o.target = "{a}"; })), Error);
  CHECK(only(folder, R"({"question": "q", "answer": "a"})", with([](DataSetOptions& o) {
               o.as_chat = true;
             })) == b + "<｜User｜>q<｜Assistant｜>[a" + e + "]");
}

TEST_CASE("every record is accounted for: bad ones by reason and place, kept as they were") {
  const Folder folder;
  const std::string bad_path = folder.files / "bad.jsonl";
  const std::string lines =
      "{\"question\":\"q\",\"answer\":\"a\"}\nnot "
      "json\n{\"question\":\"q\"}\n{\"question\":\"q\",\"answer\":\"\"}\n"
      "{\"question\":1,\"answer\":\"a\"}\n{\"question\":\"q\",\"answer\":null}\n\n{\"messages\":[]}\n"
      "{\"question\":\"p\",\"question\":\"q\",\"answer\":\"a\"}\n";
  DataSetOptions options;
  options.bad_lines = bad_path;
  options.inputs = {folder.files.write("x.jsonl", lines)};
  DataSet set(folder.files.path(), options);
  std::vector<TrainingDocument> documents;
  for (TrainingDocument d; set.next(d);) documents.push_back(d);
  set.finish();
  const DataSetCounts& c = set.counts();
  CHECK(c.n_read == 8);
  CHECK(c.n_documents == 2);
  CHECK(c.n_bad == 6);
  REQUIRE(documents.size() == 2);
  CHECK(documents[0].input_ids == documents[1].input_ids);  // of two members of a name the last counts
  CHECK(std::count(lines.begin(), lines.end(), '\n') - 3 == static_cast<int64_t>([&] {
          const std::string bad = test::slurp(bad_path);
          return std::count(bad.begin(), bad.end(), '\n');
        }()));
  int64_t n = 0;
  for (const auto& reason : c.reasons) {
    n += reason.n;
    CHECK(has(reason.first_where, "x.jsonl:"));
  }
  CHECK(n == c.n_bad);
}

TEST_CASE("a set of which nothing would be learnt is an error that says why") {
  const Folder folder;
  const auto finish = [&](const std::string& lines, DataSetOptions o) {
    o.inputs = {folder.files.write("x.jsonl", lines)};
    DataSet set(folder.files.path(), o);
    for (TrainingDocument d; set.next(d);) {
    }
    try {
      set.finish();
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kBadData);
      return e.message();
    }
    return std::string("fine");
  };
  const std::string good = "{\"question\":\"q\",\"answer\":\"a\"}\n";
  CHECK(finish(good, {}) == "fine");
  CHECK(has(finish("", {}), "no record"));
  CHECK(has(finish("{\"q\":1}\n", {}), "no known format"));
  CHECK(has(finish(good, with([](DataSetOptions& o) { o.max_tokens = 2; })), "--max-len"));
  CHECK(has(finish("{\"input_ids\":[1,2],\"labels\":[-100,-100]}\n", {}), "no token of 1 document"));
  CHECK(has(
      finish(
          R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "loss": false}]})"
          "\n",
          {}),
      "no turn of the conversation is trained"));
}

TEST_CASE("what is too long loses its end and with it EOS, or its prompt's beginning, or is left out") {
  const Folder folder;
  const std::string line = "{\"question\":\"0123456789\",\"answer\":\"abcdefghij\"}\n";
  const Result whole = read(folder, line);
  const auto n = static_cast<int64_t>(whole.documents[0].input_ids.size());
  const auto cut = [&](int64_t most, Truncation how) {
    return read(folder, line, with([&](DataSetOptions& o) { o.max_tokens = most, o.truncation = how; }));
  };
  CHECK(cut(n, Truncation::kEnd).counts.n_truncated == 0);
  const Result end = cut(n - 1, Truncation::kEnd);
  CHECK(end.counts.n_truncated == 1);
  CHECK(end.counts.longest_tokens == n);
  CHECK(!has(end.texts[0], kEos));
  const Result prompt = cut(n - 3, Truncation::kPrompt);
  REQUIRE(prompt.documents.size() == 1);
  CHECK(static_cast<int64_t>(prompt.documents[0].input_ids.size()) == n - 3);
  CHECK(prompt.texts[0].starts_with(kBos));
  CHECK(prompt.texts[0].ends_with("[abcdefghij" + std::string(kEos) + "]"));
  // An answer that is too long by itself loses its end behind BOS.
  const Result short_one = cut(3, Truncation::kPrompt);
  REQUIRE(short_one.texts.size() == 1);
  CHECK(short_one.texts[0].starts_with(std::string(kBos) + "[a"));
  CHECK(cut(n - 1, Truncation::kDrop).counts.n_dropped == 1);
  CHECK(cut(3, Truncation::kEnd).counts.n_dropped == 1);  // the prompt alone would be left
}

TEST_CASE("text begins with what there is: without a BOS the first token is read, not learnt") {
  const Folder folder("", std::string(R"({"eos_token": ")") + kEos + "\"}");
  const Result r = read(folder, "{\"text\":\"abc\"}\n");
  REQUIRE(r.documents.size() == 1);
  CHECK(r.documents[0].labels[0] == kNotTrained);
  CHECK(r.texts[0].ends_with(std::string(kEos) + "]"));
}
