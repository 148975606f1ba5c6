#include "text/tokenizer/tokenizer.h"

#include <simdjson.h>

#include <bit>
#include <cstring>

#include "core/error.h"
#include "core/json_value.h"
#include "core/utf8.h"
#include "text/tokenizer/tokenizer_parts.h"

namespace ds::text {
namespace {

// Words repeat: remembers where in the output the ids of recent short pieces lie. One per encode call, so
// that Tokenizer stays const; direct-mapped, one cache line per entry.
class PieceCache {
 public:
  explicit PieceCache(size_t text_bytes)
      : entries_(std::bit_ceil(std::min<size_t>(std::max<size_t>(text_bytes / 32, 16), 8192))) {}

  // Appends the piece's ids to out.
  void encode(const Bpe& bpe, std::string_view piece, std::vector<int32_t>& out) {
    size_t n = static_cast<uint8_t>(piece.back()) < 0x80 ? piece.size() : bpe.cuts.first_part(piece);
    const bool is_cut = n != piece.size();
    for (;; n = bpe.cuts.first_part(piece)) {
      encode_part(bpe, piece.substr(0, n), is_cut, out);
      piece.remove_prefix(n);
      if (piece.empty()) return;
    }
  }

 private:
  // By copying or by encoding.
  void encode_part(const Bpe& bpe, std::string_view piece, bool is_cut, std::vector<int32_t>& out) {
    const auto encode_now = [&] { is_cut ? bpe.encode_part(piece, out) : bpe.encode(piece, out); };
    if (piece.size() > kMaxBytes) {
      encode_now();
      return;
    }
    Entry& entry = entries_[hash(piece) & (entries_.size() - 1)];
    if (entry.n_bytes == piece.size() && entry.is_cut == is_cut &&
        std::memcmp(entry.bytes, piece.data(), piece.size()) == 0) {
      const size_t at = out.size();
      out.resize(at + entry.n_ids);
      for (size_t i = 0; i < entry.n_ids; ++i) out[at + i] = out[entry.at + i];
      return;
    }
    entry.at = out.size();
    encode_now();
    entry.n_ids = static_cast<uint8_t>(out.size() - entry.at);
    entry.n_bytes = static_cast<uint8_t>(piece.size());
    entry.is_cut = is_cut;
    std::memcpy(entry.bytes, piece.data(), piece.size());
  }

  static constexpr size_t kMaxBytes = 53;
  struct Entry {
    size_t at = 0;
    uint8_t n_bytes = 0, n_ids = 0;  // n_bytes 0: free; pieces are never empty
    bool is_cut = false;             // a token that only ignore_merges reaches counts for whole pieces
    char bytes[kMaxBytes];
  };
  static size_t hash(std::string_view s) {
    uint64_t h = s.size();
    size_t i = 0;
    uint64_t v = 0;
    for (; i + 8 <= s.size(); i += 8) {
      std::memcpy(&v, s.data() + i, 8);
      h = (h ^ v) * 0x9E3779B97F4A7C15u;
      h ^= h >> 29;
    }
    v = 0;
    std::memcpy(&v, s.data() + i, s.size() - i);
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    return static_cast<size_t>(h >> 40);
  }
  std::vector<Entry> entries_;
};

void split_at_spaces(const Metaspace& how, std::string_view text, bool is_first, std::string& buffer,
                     const PreTokenizer::Sink& sink) {
  using Prefix = Metaspace::Prefix;
  if (text.empty()) return;
  const bool wants = how.prefix == Prefix::kAlways || (how.prefix == Prefix::kFirst && is_first);
  if (wants && text[0] != ' ') {
    buffer.assign(" ").append(text);
    text = buffer;
  }
  while (!text.empty()) {
    const size_t next = how.splits ? text.find(' ', 1) : text.npos;
    sink(text.substr(0, next));
    text.remove_prefix(std::min(next, text.size()));
  }
}

}  // namespace

struct Tokenizer::Parts : TokenizerParts {};

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::from_json(std::string_view json, const std::string& where,
                               const std::vector<AddedToken>& more) {
  return Tokenizer(std::make_unique<const Parts>(Parts{read_tokenizer_json(json, where, more)}));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool parse_special) const {
  std::vector<int32_t> out;
  std::string repaired;
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    repaired = replace_invalid_utf8(text);
    text = repaired;
  }
  out.reserve(text.size() / 4 + 16);
  const TokenizerParts& parts = *parts_;
  PieceCache cache(text.size());
  const PreTokenizer::Sink on_piece = [&](std::string_view piece) { cache.encode(parts.bpe, piece, out); };
  const auto on_token = [&](int32_t id) { out.push_back(id); };
  std::string_view normalized;
  bool is_first = false;
  std::string buffer, prefixed;
  const auto on_normalized = [&](std::string_view part) {
    if (parts.byte_level) return parts.pre_tokenizer.split(part, on_piece);
    const bool at_begin = is_first && part.data() == normalized.data();
    split_at_spaces(parts.metaspace, part, at_begin, prefixed, on_piece);
  };
  const auto on_part = [&](std::string_view part) {
    is_first = part.data() == text.data();
    normalized = parts.normalizer.apply(part, buffer);
    if (parts.normalized_matcher.empty())
      on_normalized(normalized);
    else
      parts.normalized_matcher.split(normalized, parse_special, on_normalized, on_token);
  };
  parts.plain_matcher.split(text, parse_special, on_part, on_token);
  return out;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string out;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab_size()) {
      throw Error(ErrorKind::kBadData,
                  "token id " + std::to_string(ids[i]) + " at position " + std::to_string(i) +
                      " is not in 0.." + std::to_string(vocab_size() - 1),
                  "decode");
    }
    if (skip_special && is_special(ids[i])) continue;
    out += token_bytes(ids[i]);
  }
  if (parts_->strips_space && out.starts_with(' ')) out.erase(0, 1);
  return out;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  return id < 0 ? std::string_view() : parts_->bpe.tokens.bytes(static_cast<uint32_t>(id));
}

std::optional<int32_t> Tokenizer::token_id(std::string_view content) const {
  for (const auto* ids : {&parts_->added_ids, &parts_->literal_ids}) {
    const auto it = ids->find(content);
    if (it != ids->end()) return it->second;
  }
  std::string bytes;
  const auto to_bytes = parts_->byte_level ? byte_level_to_bytes : spaced_to_bytes;
  if (!to_bytes(content, bytes)) return std::nullopt;
  const uint32_t id = parts_->bpe.tokens.find(bytes);
  if (id == TokenTable::kNone) return std::nullopt;
  return static_cast<int32_t>(id);
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < parts_->special.size() &&
         parts_->special[static_cast<size_t>(id)];
}

const TextFrame& Tokenizer::frame() const { return parts_->frame; }

int64_t Tokenizer::vocab_size() const { return static_cast<int64_t>(parts_->bpe.tokens.n_ids()); }

}  // namespace ds::text
