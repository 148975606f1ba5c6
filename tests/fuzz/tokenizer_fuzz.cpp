// Two ways in, chosen by the first byte: bytes as a tokenizer.json, or bytes as text for a sound tokenizer.
// Only ds::Error may come out; and text without a normaliser survives encode and decode.
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "core/error.h"
#include "core/json_value.h"
#include "core/utf8.h"
#include "text/tokenizer/tokenizer.h"

using namespace ds;
using namespace ds::text;

namespace {

// Tiny, and with every kind of step and token flag in it.
constexpr char kSynthetic[] = R"({"added_tokens":[
{"id":300,"content":"<s>","special":true,"normalized":false,"lstrip":false,"rstrip":false,"single_word":false},
{"id":301,"content":"<think>","special":false,"normalized":true,"lstrip":true,"rstrip":true,"single_word":false},
{"id":302,"content":"word","special":false,"normalized":false,"lstrip":false,"rstrip":false,"single_word":true}],
"normalizer":{"type":"NFC"},
"pre_tokenizer":{"type":"Sequence","pretokenizers":[
{"type":"Split","pattern":{"Regex":"[\\r\\n]"},"behavior":"Isolated","invert":false},
{"type":"Split","pattern":{"Regex":"\\s?\\p{L}+"},"behavior":"Isolated","invert":false},
{"type":"Split","pattern":{"Regex":"\\s+$"},"behavior":"Isolated","invert":false},
{"type":"Split","pattern":{"Regex":"(a|b)+?x"},"behavior":"MergedWithNext","invert":false},
{"type":"Digits","individual_digits":true},{"type":"Punctuation","behavior":"Contiguous"},
{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}]},
"decoder":{"type":"ByteLevel"},
"model":{"type":"BPE","vocab":{VOCAB},"merges":["a b",["ab","ab"],["Ġ","a"],["Ã","©"],["b","b"],["bb","bb"]]}})";

std::string alphabet_vocab() {
  std::string out;
  int next = 256;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    if (b) out += ',';
    std::string letter;
    append_utf8(letter, static_cast<uint32_t>(printable ? b : next++));
    if (letter == "\"" || letter == "\\") letter.insert(0, "\\");
    out += "\"" + letter + "\":" + std::to_string(b);
  }
  int id = 256;
  for (const char* more : {"ab", "abab", "Ġa", "Ã©", "bb", "bbbb"})
    out += ",\"" + std::string(more) + "\":" + std::to_string(id++);
  return out;
}

Tokenizer synthetic() {
  std::string json = kSynthetic;
  json.replace(json.find("VOCAB"), 5, alphabet_vocab());
  return Tokenizer::from_json(json, "synthetic");
}

Tokenizer embedded() {
  std::ifstream file(DS_SOURCE_DIR "/data/dsv3-tiny/tokenizer.json", std::ios::binary);
  const std::string json{std::istreambuf_iterator<char>(file), {}};
  return Tokenizer::from_json(json, "embedded");
}

void must(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer kEmbedded = embedded(), kWithSteps = synthetic();
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    switch (data[0] % 3) {
      case 0: {
        const auto tokenizer = Tokenizer::from_json(text, "fuzz");
        tokenizer.decode(tokenizer.encode("Hello, 世界 e\xCC\x81 123\r\n  <s> it's"));
        tokenizer.encode(text.substr(0, 4096), false);
        break;
      }
      case 1: {
        const auto ids = kEmbedded.encode(text, data[0] & 4);
        must(kEmbedded.decode(ids) == replace_invalid_utf8(text));
        kEmbedded.decode(ids, true);
        break;
      }
      default: {
        const auto ids = kWithSteps.encode(text, data[0] & 4);
        for (const int32_t id : ids) must(id >= 0 && id < kWithSteps.vocab_size());
        kWithSteps.decode(ids);
        break;
      }
    }
  } catch (const Error& e) {
    must(e.kind() != ErrorKind::kInternal);
  }
  return 0;
}
