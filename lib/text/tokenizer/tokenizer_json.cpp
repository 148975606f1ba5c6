// Reads tokenizer.json. The file is hostile until proven otherwise: every type, id and reference is checked
// here.
#include <simdjson.h>

#include <array>
#include <charconv>
#include <cstring>

#include "core/error.h"
#include "core/json_value.h"
#include "text/tokenizer/tokenizer_parts.h"

namespace ds::text {
namespace {

namespace sj = simdjson::ondemand;

constexpr int kMaxDepth = 32;
constexpr size_t kMaxAddedBytes = 4096;

// GPT-2's alphabet: printable bytes stand for themselves, the others for U+0100 and on. -1: not in it.
struct Alphabet {
  std::array<int16_t, 324> byte_of;
  constexpr Alphabet() : byte_of() {
    for (auto& b : byte_of) b = -1;
    int16_t next = 256;
    for (int16_t b = 0; b < 256; ++b) {
      const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
      byte_of[static_cast<size_t>(printable ? b : next++)] = b;
    }
  }
};
constexpr Alphabet kAlphabet;

// 10 for "<0x0A>", -1 for what is no such token.
int fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int byte = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  return error == std::errc() && end == token.data() + 5 ? byte : -1;
}

class Reader {
 public:
  Reader(std::string_view json, const std::string& where) : text_(json), where_(where) {}

  TokenizerParts read(const std::vector<AddedToken>& more) {
    try {
      read_document(more);
    } catch (const simdjson::simdjson_error& e) {
      fail(e.what());
    }
    return std::move(parts_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kBadModel, place_.empty() ? what : place_ + ": " + what, where_,
                "tokenizer.json cannot be used");
  }

  void read_document(const std::vector<AddedToken>& more) {
    const simdjson::padded_string padded(text_);  // the parser checks that it is UTF-8
    sj::parser parser;
    sj::document document = parser.iterate(padded);
    sj::object root = document.get_object();
    Json normalizer, pre_tokenizer, post_processor, decoder, added;
    bool has_model = false;
    for (auto field : root) {
      const std::string key(std::string_view(field.unescaped_key()));
      place_ = key;
      sj::value value = field.value();
      if (key == "normalizer") {
        normalizer = to_json(value, 0);
      } else if (key == "pre_tokenizer") {
        pre_tokenizer = to_json(value, 0);
      } else if (key == "post_processor") {
        post_processor = to_json(value, 0);
      } else if (key == "decoder") {
        decoder = to_json(value, 0);
      } else if (key == "added_tokens") {
        added = to_json(value, 0);
      } else if (key == "model") {
        if (has_model) fail("given twice");
        has_model = true;
        read_model(value.get_object());
      }
    }
    place_.clear();
    if (!has_model) fail("no \"model\"");
    if (parts_.byte_level) {
      parts_.normalizer = Normalizer::from_json(normalizer, where_);
      parts_.pre_tokenizer = PreTokenizer::from_json(pre_tokenizer, where_);
      check_decoder(decoder);
    } else {
      parts_.normalizer = Normalizer::from_json(with_spaces(normalizer), where_);
      place_ = "pre_tokenizer";
      if (!pre_tokenizer.is_null()) parts_.metaspace = read_metaspace(pre_tokenizer);
      parts_.strips_space = decoder_strips(decoder);
    }
    read_added(added, more);
    parts_.frame = read_post_processor(post_processor, parts_.bpe.tokens.n_ids(), where_);
  }

  Json to_json(sj::value value, int depth) {
    if (depth > kMaxDepth) fail("nested too deeply");
    switch (sj::json_type(value.type())) {
      case sj::json_type::array: {
        Json::array_t out;
        for (auto item : value.get_array()) out.push_back(to_json(item.value(), depth + 1));
        return out;
      }
      case sj::json_type::object: {
        Json::object_t out;
        for (auto field : value.get_object()) {
          std::string key(std::string_view(field.unescaped_key()));
          out[key] = to_json(field.value(), depth + 1);
        }
        return out;
      }
      case sj::json_type::number: {
        int64_t integer = 0;
        if (value.get_int64().get(integer) == simdjson::SUCCESS) return integer;
        return double(value.get_double());
      }
      case sj::json_type::string:
        return std::string_view(value.get_string());
      case sj::json_type::boolean:
        return bool(value.get_bool());
      case sj::json_type::null:
        break;
    }
    if (!value.is_null()) fail("not valid JSON");
    return {};
  }

  void read_model(sj::object model) {
    Bpe& bpe = parts_.bpe;
    bool has_vocab = false;
    std::string unknown;
    place_ = "model.byte_fallback";  // says what the vocabulary is written in
    if (sj::value flag; model.find_field_unordered("byte_fallback").get(flag) == simdjson::SUCCESS)
      parts_.byte_level = !bool(flag.get_bool());
    bpe.by_character = !parts_.byte_level;
    model.reset();
    // Merges name tokens, so the vocabulary comes first whatever the order in the file.
    for (auto field : model) {
      const std::string key(std::string_view(field.unescaped_key()));
      place_ = "model." + key;
      sj::value value = field.value();
      if (key == "type") {
        const std::string_view type = value.get_string();
        if (type != "BPE") fail("model type " + std::string(type) + " is not supported, only BPE is");
      } else if (key == "vocab") {
        if (has_vocab) fail("given twice");
        has_vocab = true;
        read_vocab(value.get_object());
      } else if (key == "unk_token") {
        if (!value.is_null()) unknown = std::string(std::string_view(value.get_string()));
      } else if (key == "fuse_unk") {
        bpe.fuse_unknown = value.get_bool();
      } else if (key == "ignore_merges") {
        bpe.ignore_merges = value.get_bool();
      } else if (key == "dropout") {
        if (!value.is_null() && double(value.get_double()) != 0)
          fail("dropout would make ids random; remove it");
      } else if (key == "continuing_subword_prefix" || key == "end_of_word_suffix") {
        if (!value.is_null() && !std::string_view(value.get_string()).empty()) fail("not supported");
      }
    }
    place_ = "model.vocab";
    if (!has_vocab) fail("missing");
    model.reset();
    simdjson::simdjson_result<sj::value> merges = model.find_field_unordered("merges");
    place_ = "model.merges";
    if (merges.error()) fail("missing");
    read_merges(merges.value().get_array());

    bpe.byte_ids.resize(256, TokenTable::kNone);
    for (int b = 0; b < 256 && parts_.byte_level; ++b) {
      const char c = static_cast<char>(b);
      bpe.byte_ids[static_cast<size_t>(b)] = bpe.tokens.find({&c, 1});
    }
    if (!unknown.empty()) {
      bpe.unknown_id = find_token(unknown);
      place_ = "model.unk_token";
      if (bpe.unknown_id == TokenTable::kNone) fail("\"" + unknown + "\" is not in the vocabulary");
    }
    bpe.finish();
  }

  void read_vocab(sj::object vocab) {
    struct Entry {
      uint32_t id, begin, length;
      bool literal, byte;
    };
    std::vector<Entry> entries;
    std::vector<uint32_t>& byte_ids = parts_.bpe.byte_ids;
    byte_ids.assign(256, TokenTable::kNone);
    std::string arena, bytes;
    arena.reserve(text_.size() / 4);
    int64_t highest = -1;
    for (auto field : vocab) {
      const std::string_view token = field.unescaped_key();
      int64_t id = -1;
      if (field.value().get_int64().get(id) != simdjson::SUCCESS || id < 0 || id >= TokenTable::kMaxIds)
        fail("token \"" + std::string(token) + "\" has an id that is no integer in 0.." +
             std::to_string(TokenTable::kMaxIds - 1));
      highest = std::max(highest, id);
      bytes.clear();
      const int byte = parts_.byte_level ? -1 : fallback_byte(token);
      const bool literal = byte < 0 && !to_bytes(token, bytes);
      if (literal) bytes = token;
      if (byte >= 0)
        bytes = std::string(1, static_cast<char>(byte)),
        byte_ids[static_cast<size_t>(byte)] = static_cast<uint32_t>(id);
      entries.push_back({static_cast<uint32_t>(id), static_cast<uint32_t>(arena.size()),
                         static_cast<uint32_t>(bytes.size()), literal, byte >= 0});
      arena += bytes;
    }
    if (entries.empty()) fail("empty");
    // Tables by id must not be made enormous by one entry of a small file.
    if (highest >= 65536 + 64 * static_cast<int64_t>(entries.size()))
      fail("highest id " + std::to_string(highest) + " with only " + std::to_string(entries.size()) +
           " tokens");
    n_vocab_ = entries.size();
    TokenTable& tokens = parts_.bpe.tokens;
    tokens.reserve(entries.size(), arena.size());
    for (const Entry& e : entries) {
      const std::string_view content = std::string_view(arena).substr(e.begin, e.length);
      if (!tokens.add(e.id, content)) fail("id " + std::to_string(e.id) + " is given to two tokens");
      if (e.byte) continue;  // no text is made of it but by falling back
      const bool fresh = e.literal ? parts_.literal_ids.emplace(content, static_cast<int32_t>(e.id)).second
                                   : tokens.index(e.id);
      if (!fresh) fail("a token is given twice, once with id " + std::to_string(e.id));
    }
  }

  void read_merges(sj::array merges) {
    MergeTable& table = parts_.bpe.merges;
    // Parsed once into a compact list, since the table wants to know its size first.
    struct Entry {
      uint32_t left, right, rank, id;
    };
    std::vector<Entry> entries;
    std::string text, bytes;
    uint32_t rank = 0;
    const auto fail_at = [&](const std::string& what) {
      place_ = "model.merges[" + std::to_string(rank) + "]";
      fail(what);
    };
    for (auto item : merges) {
      size_t split = 0;  // bytes of the left token in `text`
      sj::value value = item.value();
      if (sj::json_type(value.type()) == sj::json_type::string) {
        const std::string_view pair = value.get_string();
        const size_t space = pair.find(' ');
        if (rank == 0 && entries.empty() && pair.substr(0, 8) == "#version") continue;
        if (space == std::string_view::npos || pair.find(' ', space + 1) != std::string_view::npos)
          fail_at("a merge must be two tokens with one space between");
        text.assign(pair.substr(0, space));
        split = space;
        text += pair.substr(space + 1);
      } else {
        size_t n = 0;
        text.clear();
        for (auto part : value.get_array()) {
          if (++n > 2) break;
          text += std::string_view(part.get_string());
          if (n == 1) split = text.size();
        }
        if (n != 2) fail_at("a merge must be a pair of tokens");
      }
      bytes.clear();
      size_t bytes_split = 0;
      const std::string_view left = std::string_view(text).substr(0, split);
      const std::string_view right = std::string_view(text).substr(split);
      if (to_bytes(left, bytes)) {
        bytes_split = bytes.size();
        if (to_bytes(right, bytes)) {
          const std::string_view whole = bytes;
          const uint32_t a = parts_.bpe.tokens.find(whole.substr(0, bytes_split));
          const uint32_t b = parts_.bpe.tokens.find(whole.substr(bytes_split));
          const uint32_t ab = parts_.bpe.tokens.find(whole);
          if (a == TokenTable::kNone || b == TokenTable::kNone || ab == TokenTable::kNone) {
            const std::string_view missing = a == TokenTable::kNone   ? left
                                             : b == TokenTable::kNone ? right
                                                                      : text;
            fail_at("\"" + std::string(missing) + "\" is not in the vocabulary");
          }
          // An empty token would make merges that never end.
          if (bytes_split == 0 || bytes_split == bytes.size()) fail_at("a merge with an empty token");
          entries.push_back({a, b, rank++, ab});
          continue;
        }
      }
      // Characters outside the byte-level alphabet: no text gets there, but the names must exist all the
      // same.
      for (const std::string_view name : {left, right, std::string_view(text)})
        if (find_token(name) == TokenTable::kNone)
          fail_at("\"" + std::string(name) + "\" is not in the vocabulary");
      ++rank;
    }
    table.reserve(entries.size());
    for (const Entry& e : entries) table.set(e.left, e.right, {e.rank, e.id});
  }

  uint32_t find_token(std::string_view content) const {
    const auto it = parts_.literal_ids.find(content);
    if (it != parts_.literal_ids.end()) return static_cast<uint32_t>(it->second);
    std::string bytes;
    return to_bytes(content, bytes) ? parts_.bpe.tokens.find(bytes) : TokenTable::kNone;
  }

  bool to_bytes(std::string_view text, std::string& bytes) const {
    return parts_.byte_level ? byte_level_to_bytes(text, bytes) : spaced_to_bytes(text, bytes);
  }

  // What follows the file's own steps: tokens are held with spaces, so the text must have them.
  static Json with_spaces(const Json& normalizer) {
    Json replace = Json::object(), pattern = Json::object(), out = Json::object();
    pattern["String"] = "\u2581";
    replace["type"] = "Replace";
    replace["pattern"] = pattern;
    replace["content"] = " ";
    Json::array_t steps;
    if (!normalizer.is_null()) steps.push_back(normalizer);
    steps.push_back(replace);
    out["type"] = "Sequence";
    out["normalizers"] = std::move(steps);
    return out;
  }

  // {"type": "Metaspace", "replacement", "prepend_scheme", "split"}; files before 2024 have
  // "add_prefix_space".
  Metaspace read_metaspace(const Json& json) {
    using Prefix = Metaspace::Prefix;
    const auto text = [&](const char* key, const char* otherwise) {
      const Json* value = find(json, key);
      if (!value) return std::string(otherwise);
      if (!value->is_string()) fail(std::string("\"") + key + "\" must be a string");
      return as_string(*value);
    };
    const auto flag = [&](const char* key) {
      const Json* value = find(json, key);
      if (value && !value->is_boolean()) fail(std::string("\"") + key + "\" must be true or false");
      return !value || value->get<bool>();
    };
    if (text("type", "") != "Metaspace")
      fail("only Metaspace is supported where the model has byte fallback");
    if (text("replacement", "\u2581") != "\u2581") fail("\"replacement\" is not U+2581");
    Metaspace out;
    out.splits = flag("split");
    const std::string scheme = text("prepend_scheme", flag("add_prefix_space") ? "always" : "never");
    if (scheme == "always" || scheme == "first") {
      out.prefix = scheme == "first" ? Prefix::kFirst : Prefix::kAlways;
    } else if (scheme != "never") {
      fail("\"prepend_scheme\" is none of always, first, never: " + scheme);
    }
    return out;
  }

  // Of the steps that decode SentencePiece's tokens only one asks for something: Strip.
  bool decoder_strips(const Json& decoder) {
    place_ = "decoder";
    // Metaspace gives back the space that it put in front; bytes become bytes here all the same.
    if (const Json* type = find(decoder, "type");
        type && type->is_string() && as_string(*type) == "Metaspace")
      return read_metaspace(decoder).prefix != Metaspace::Prefix::kNever;
    const Json* list = find(decoder, "decoders");
    bool strips = false, falls_back = false;
    if (!list || !list->is_array()) fail("a Sequence with ByteFallback was expected");
    for (const Json& step : *list) {
      const Json* type = find(step, "type");
      const std::string name = type && type->is_string() ? as_string(*type) : "";
      if (name != "Replace" && name != "ByteFallback" && name != "Fuse" && name != "Strip")
        fail("\"" + name + "\" is not supported");
      strips = strips || name == "Strip";
      falls_back = falls_back || name == "ByteFallback";
    }
    if (!falls_back) fail("a Sequence with ByteFallback was expected");
    return strips;
  }

  void check_decoder(const Json& decoder) {
    place_ = "decoder";
    if (decoder.is_null()) return;  // taken as ByteLevel, the only one that fits
    const Json* type = find(decoder, "type");
    if (!type || !type->is_string()) fail("must be an object with a \"type\"");
    if (as_string(*type) == "ByteLevel") return;
    if (as_string(*type) == "Sequence") {
      const Json* list = find(decoder, "decoders");
      if (!list || !list->is_array()) fail("Sequence needs a list \"decoders\"");
      bool byte_level = false;
      for (const Json& step : *list) {
        const Json* name = find(step, "type");
        if (!name || !name->is_string()) fail("a step needs a \"type\"");
        // Fuse joins the pieces, which is what happens anyway.
        if (as_string(*name) != "ByteLevel" && as_string(*name) != "Fuse")
          fail("\"" + as_string(*name) + "\" is not supported");
        byte_level = byte_level || as_string(*name) == "ByteLevel";
      }
      if (byte_level) return;
    }
    fail("\"" + as_string(*type) + "\" is not supported, only ByteLevel is");
  }

  void read_added(const Json& added, const std::vector<AddedToken>& more) {
    place_ = "added_tokens";
    if (!added.is_null() && !added.is_array()) fail("must be a list");
    std::vector<AddedToken> tokens;
    std::map<std::string, size_t, std::less<>> places;
    for (size_t i = 0; added.is_array() && i < added.size(); ++i) {
      place_ = "added_tokens[" + std::to_string(i) + "]";
      tokens.push_back(added_token(added[i]));
      if (!tokens.back().content.empty() && !places.emplace(tokens.back().content, i).second)
        fail("\"" + tokens.back().content + "\" is given twice");
    }
    for (const AddedToken& token : more) {
      const auto [at, fresh] = places.emplace(token.content, tokens.size());
      if (fresh) {
        tokens.push_back(token);
      } else if (token.replaces) {
        AddedToken& known = tokens[at->second];
        const bool special = known.special || token.special;
        known = token;
        known.special = special;
      }
    }
    // As in the reference library, the ids in the files do not count: a token that the vocabulary has keeps
    // that id, the others follow the vocabulary in order. (The two only differ in files that were edited by
    // hand.)
    uint32_t next_id = static_cast<uint32_t>(n_vocab_);
    for (AddedToken& token : tokens) {
      place_ = "added token \"" + token.content + "\"";
      if (!token.content.empty()) add(token, next_id);
    }
    place_.clear();
  }

  void add(AddedToken& token, uint32_t& next_id) {
    std::string buffer;
    const uint32_t in_vocab = find_token(token.content);
    const uint32_t id = in_vocab != TokenTable::kNone ? in_vocab : next_id++;
    token.id = static_cast<int32_t>(id);
    if (in_vocab == TokenTable::kNone) {
      if (id >= TokenTable::kMaxIds) fail("too many tokens");
      // Decoding reads added tokens (as normalised) through the byte-level alphabet too, where it has all
      // their characters.
      const std::string content(token.normalized ? parts_.normalizer.apply(token.content, buffer)
                                                 : std::string_view(token.content));
      std::string bytes;
      if (!to_bytes(content, bytes)) bytes = content;
      if (!parts_.bpe.tokens.add(id, bytes)) fail("id " + std::to_string(id) + " belongs to another token");
    }
    parts_.added_ids.emplace(token.content, token.id);
    if (parts_.special.size() <= id) parts_.special.resize(size_t{id} + 1);
    parts_.special[id] = token.special;
    if (token.normalized)
      parts_.normalized_matcher.add(token, parts_.normalizer.apply(token.content, buffer));
    else
      parts_.plain_matcher.add(token, token.content);
  }

  AddedToken added_token(const Json& json) {
    const Json* id = find(json, "id");
    const Json* content = find(json, "content");
    if (!id || !is_int(*id) || as_int(*id) < 0 || as_int(*id) > UINT32_MAX)
      fail("\"id\" must be an integer of 32 bits, 0 or more");
    if (!content || !content->is_string()) fail("\"content\" must be a string");
    if (as_string(*content).size() > kMaxAddedBytes) fail("\"content\" is longer than 4 KiB");
    AddedToken token;
    token.content = as_string(*content);
    const auto flag = [&](const char* key, bool otherwise) {
      const Json* value = find(json, key);
      if (!value) return otherwise;
      if (!value->is_boolean()) fail(std::string("\"") + key + "\" must be true or false");
      return value->get<bool>();
    };
    token.special = flag("special", false);
    token.normalized = flag("normalized", !token.special);
    token.lstrip = flag("lstrip", false);
    token.rstrip = flag("rstrip", false);
    token.single_word = flag("single_word", false);
    return token;
  }

  std::string_view text_;
  const std::string& where_;
  std::string place_;
  TokenizerParts parts_;
  size_t n_vocab_ = 0;
};

}  // namespace

bool byte_level_to_bytes(std::string_view text, std::string& bytes) {
  for (size_t i = 0; i < text.size();) {
    const uint8_t b0 = static_cast<uint8_t>(text[i]);
    size_t code = b0;
    if (b0 < 0x80) {
      ++i;
    } else {
      // The alphabet ends at U+0143: two bytes of UTF-8 at most.
      if (b0 > 0xC5 || i + 1 >= text.size()) return false;
      code = size_t{b0 & 0x1Fu} << 6 | (static_cast<uint8_t>(text[i + 1]) & 0x3F);
      i += 2;
    }
    if (code >= kAlphabet.byte_of.size() || kAlphabet.byte_of[code] < 0) return false;
    bytes += static_cast<char>(kAlphabet.byte_of[code]);
  }
  return true;
}

bool spaced_to_bytes(std::string_view text, std::string& bytes) {
  constexpr std::string_view kSpace = "\u2581";
  for (size_t at = text.find(kSpace); at != text.npos; at = text.find(kSpace)) {
    bytes.append(text.substr(0, at)).append(" ");
    text.remove_prefix(at + kSpace.size());
  }
  bytes += text;
  return true;
}

TokenizerParts read_tokenizer_json(std::string_view json, const std::string& where,
                                   const std::vector<AddedToken>& more) {
  return Reader(json, where).read(more);
}

}  // namespace ds::text
