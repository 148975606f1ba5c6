// The tokenizer in a GGUF file's metadata, as the tokenizer.json and tokenizer_config.json that it was made
// from: one reader for both (text/tokenizer).
#include <algorithm>
#include <numeric>
#include <span>
#include <unordered_map>

#include "checkpoint/gguf_config.h"
#include "core/error.h"

namespace ds::checkpoint {
namespace {

// tokenizer.ggml.token_type
enum TokenType : int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

// How text is cut before it is merged, by the names that llama.cpp gives the vendors' pre-tokenizers. What
// the patterns say is in the tokenizer.json of each model.
#define DS_WORDS(digits)                                               \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits \
  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
constexpr char kGpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
constexpr char kCjk[] = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";
// Escaped, since editors compose some of them into their look-alikes.
constexpr char kLetters[] =  // of DeepSeek LLM and V2: those that have a case
    "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5"
    "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba"
    "\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45"
    "\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4"
    "\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113"
    "\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e"
    "\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f"
    "\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a"
    "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"
    "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943]+";
struct Splitter {
  const char* name;
  bool ignore_merges = false;  // a piece that is a token is taken as a whole
  const char* patterns[6] = {};
};
constexpr Splitter kSplitters[] = {
    {"llama-bpe", true, {DS_WORDS("\\p{N}{1,3}")}},
    {"llama3", true, {DS_WORDS("\\p{N}{1,3}")}},
    {"llama-v3", true, {DS_WORDS("\\p{N}{1,3}")}},
    {"smaug-bpe", false, {DS_WORDS("\\p{N}{1,3}")}},
    {"qwen2", false, {DS_WORDS("\\p{N}")}},
    {"deepseek-r1-qwen", false, {DS_WORDS("\\p{N}")}},
    {"deepseek-v3",
     false,
     {"\\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
      "?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {"deepseek-llm",
     false,
     {"[\\r\\n]", kLetters, "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", "\\s+$",
      kCjk, "\\p{N}"}},
    {"deepseek-coder", false, {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", kCjk, "\\p{N}"}},
    {"gpt-2", false, {kGpt2}},
    {"smollm", false, {"\\p{N}", kGpt2}},
};
#undef DS_WORDS

const Splitter& find_splitter(const std::string& name, const std::string& where) {
  std::string known;
  for (const Splitter& s : kSplitters) {
    if (name == s.name) return s;
    known += (known.empty() ? "" : ", ") + std::string(s.name);
  }
  throw Error(ErrorKind::kBadModel,
              name.empty() ? "tokenizer.ggml.pre is missing"
                           : "tokenizer.ggml.pre is '" + name + "', which is not known; known are " + known,
              where,
              name.empty() ? "the GGUF is old: convert the model anew" : "give the model folder instead");
}

std::string text_of(const Json& metadata, const char* key) {
  const Json* value = find(metadata, key);
  return value && value->is_string() ? as_string(*value) : "";
}

struct Token {
  std::string_view text;
  int64_t type = kNormal;
  double score = 0;
};

class TokenizerMaker {
 public:
  TokenizerMaker(const Json& metadata, const std::string& where) : metadata_(metadata), where_(where) {}

  std::string make() {
    const std::string model = text_of(metadata_, "tokenizer.ggml.model");
    if (model != "gpt2" && model != "llama")
      throw Error(ErrorKind::kBadModel, "tokenizer.ggml.model is '" + model + "', read are gpt2 and llama",
                  where_, "give the model folder instead");
    read_tokens();
    model == "gpt2" ? add_byte_level() : add_sentence_piece();
    add_added_tokens();
    return "{" + out_ + "}";
  }

 private:
  [[noreturn]] void bad(const std::string& key, const std::string& what) const {
    throw Error(ErrorKind::kBadModel, key + " " + what, where_, "the GGUF is damaged: fetch it again");
  }
  // nullptr when absent.
  const Json* list(const char* key, size_t n = SIZE_MAX) const {
    const Json* value = find(metadata_, key);
    if (value && !value->is_array()) bad(key, "is no list");
    if (value && n != SIZE_MAX && value->size() != n)
      bad(key, "has " + std::to_string(value->size()) + " elements for " + std::to_string(n) + " tokens");
    return value;
  }

  void read_tokens() {
    const Json* texts = list("tokenizer.ggml.tokens");
    if (!texts) bad("tokenizer.ggml.tokens", "is missing");
    const Json *types = list("tokenizer.ggml.token_type", texts->size()),
               *scores = list("tokenizer.ggml.scores", texts->size());
    tokens_.resize(texts->size());
    for (size_t i = 0; i < tokens_.size(); ++i) {
      Token& t = tokens_[i];
      if (!(*texts)[i].is_string()) bad("tokenizer.ggml.tokens", "holds something else than text");
      t.text = as_string((*texts)[i]);
      if (types && is_int((*types)[i])) t.type = as_int((*types)[i]);
      if (scores && (*scores)[i].is_number()) t.score = (*scores)[i].get<double>();
    }
  }

  void add_vocabulary() {
    out_ += "\"vocab\":{";
    bool first = true;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (tokens_[i].type == kUnused) continue;
      if (!first) out_ += ',';
      first = false;
      append_json_string(out_, tokens_[i].text);
      out_ += ':' + std::to_string(i);
    }
    out_ += '}';
  }

  void add_byte_level() {
    const Json* merges = list("tokenizer.ggml.merges");
    if (!merges) bad("tokenizer.ggml.merges", "is missing");
    const Splitter& splitter = find_splitter(text_of(metadata_, "tokenizer.ggml.pre"), where_);
    out_ += "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[";
    for (const char* pattern : splitter.patterns) {
      if (!pattern) break;
      out_ += "{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":";
      append_json_string(out_, pattern);
      out_ += "}},";
    }
    out_ += "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},";
    out_ += "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"ignore_merges\":";
    out_ += splitter.ignore_merges ? "true," : "false,";
    add_vocabulary();
    out_ += ",\"merges\":" + dump(*merges) + "},";
  }

  // SentencePiece merges the two neighbours whose union has the best score, as long as there is such a union:
  // byte pair encoding whose merges are all ways to cut a token in two, ranked by the token's score.
  void add_sentence_piece() {
    const Json* prefix = find(metadata_, "tokenizer.ggml.add_space_prefix");
    const bool has_prefix = !prefix || !prefix->is_boolean() || prefix->get<bool>();
    out_ += "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[";
    if (has_prefix) out_ += "{\"type\":\"Prepend\",\"prepend\":\"\u2581\"},";
    out_ += "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\u2581\"}]},";
    out_ +=
        "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":"
        "\"\u2581\"},"
        "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}";
    if (has_prefix) out_ += ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}";
    out_ += "]},\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"fuse_unk\":true,";
    const auto unknown =
        std::find_if(tokens_.begin(), tokens_.end(), [](const Token& t) { return t.type == kUnknown; });
    if (unknown != tokens_.end()) {
      out_ += "\"unk_token\":";
      append_json_string(out_, unknown->text);
      out_ += ',';
    }
    add_vocabulary();
    out_ += ",\"merges\":[";
    add_merges();
    out_ += "]},";
  }

  void add_merges() {
    std::unordered_map<std::string_view, size_t> ids;
    std::vector<size_t> order;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (tokens_[i].type != kNormal || tokens_[i].text.size() > kMaxTokenBytes) continue;
      if (ids.emplace(tokens_[i].text, i).second) order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return tokens_[a].score > tokens_[b].score; });
    bool first = true;
    for (const size_t i : order) {
      const std::string_view text = tokens_[i].text;
      for (size_t cut = 1; cut < text.size(); ++cut) {
        if (!ids.count(text.substr(0, cut)) || !ids.count(text.substr(cut))) continue;
        out_ += first ? "[" : ",[";
        first = false;
        append_json_string(out_, text.substr(0, cut));
        out_ += ',';
        append_json_string(out_, text.substr(cut));
        out_ += ']';
      }
    }
  }

  void add_added_tokens() {
    out_ += "\"added_tokens\":[";
    bool first = true;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const int64_t type = tokens_[i].type;
      if (tokens_[i].text.empty() || (type != kControl && type != kUserDefined && type != kUnknown)) continue;
      out_ += (first ? "{\"id\":" : ",{\"id\":") + std::to_string(i) + ",\"content\":";
      first = false;
      append_json_string(out_, tokens_[i].text);
      out_ += std::string(",\"normalized\":false,\"special\":") + (type == kUserDefined ? "false}" : "true}");
    }
    out_ += ']';
  }

  static constexpr size_t kMaxTokenBytes = 1000;
  const Json& metadata_;
  const std::string& where_;
  std::vector<Token> tokens_;
  std::string out_;
};

}  // namespace

std::string gguf_tokenizer_json(const Json& metadata, const std::string& where) {
  return TokenizerMaker(metadata, where).make();
}

Json gguf_tokenizer_config(const Json& metadata) {
  Json out = Json::object();
  const Json* tokens = find(metadata, "tokenizer.ggml.tokens");
  for (const auto& [name, key] : {std::pair("bos_token", "tokenizer.ggml.bos_token_id"),
                                  std::pair("eos_token", "tokenizer.ggml.eos_token_id"),
                                  std::pair("unk_token", "tokenizer.ggml.unknown_token_id"),
                                  std::pair("pad_token", "tokenizer.ggml.padding_token_id")}) {
    const Json* id = find(metadata, key);
    if (!tokens || !tokens->is_array() || !id || !is_int(*id) || as_int(*id) < 0 ||
        as_int(*id) >= static_cast<int64_t>(tokens->size()))
      continue;
    const Json& text = (*tokens)[static_cast<size_t>(as_int(*id))];
    if (text.is_string()) out[name] = text;
  }
  // llama.cpp adds a BOS for these where the file does not say.
  const std::string pre = text_of(metadata, "tokenizer.ggml.pre");
  const bool adds_bos = text_of(metadata, "tokenizer.ggml.model") == "llama" || pre == "llama-bpe" ||
                        pre == "llama3" || pre == "llama-v3";
  for (const auto& [name, key, absent] :
       {std::tuple("add_bos_token", "tokenizer.ggml.add_bos_token", adds_bos),
        std::tuple("add_eos_token", "tokenizer.ggml.add_eos_token", false)}) {
    const Json* told = find(metadata, key);
    out[name] = told && told->is_boolean() ? told->get<bool>() : absent;
  }
  Json::array_t templates;
  const auto add = [&](const char* name, const std::string& key) {
    const std::string source = text_of(metadata, key.c_str());
    if (source.empty()) return;
    Json entry = Json::object();
    entry["name"] = name;
    entry["template"] = source;
    templates.push_back(std::move(entry));
  };
  add("default", "tokenizer.chat_template");
  add("tool_use", "tokenizer.chat_template.tool_use");
  if (templates.size() == 1 && find(metadata, "tokenizer.chat_template"))
    out["chat_template"] = text_of(metadata, "tokenizer.chat_template");
  else if (!templates.empty())
    out["chat_template"] = std::move(templates);
  return out;
}

}  // namespace ds::checkpoint
