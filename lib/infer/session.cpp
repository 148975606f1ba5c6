#include "infer/session.h"

#include <algorithm>

#include "core/error.h"

namespace ds::infer {
namespace {

// Long passes read weights once for many tokens; beyond this the gain is small and the scratch memory grows.
constexpr int64_t kMaxChunkTokens = 512;
// Scratch and logits stay well inside "planned cache + 150 MB".
constexpr int64_t kMaxWorkspaceBytes = 96 << 20;
constexpr int64_t kMaxLogitsBytes = 32 << 20;

int64_t rows_per_pass(const Model& model, int64_t chunk_tokens) {
  const int64_t row_bytes = model.config().vocab_size * 4;
  return std::clamp<int64_t>(kMaxLogitsBytes / row_bytes, 1, chunk_tokens);
}

}  // namespace

SessionSize plan_session(const Model& model, int64_t ctx, int n_threads) {
  SessionSize size;
  size.ctx = ctx;
  size.chunk_tokens = kMaxChunkTokens;
  // Where prompts are cut must depend on the model alone: neither threads nor memory may change the bits of
  // an answer.
  const int64_t longest = std::max(ctx, model.config().max_position_embeddings);
  while (size.chunk_tokens > 16 &&
         model.workspace_floats(size.chunk_tokens, longest, 1) * 4 > kMaxWorkspaceBytes)
    size.chunk_tokens /= 2;
  size.chunk_tokens = std::min(size.chunk_tokens, ctx);
  size.workspace_bytes = model.workspace_floats(size.chunk_tokens, ctx, n_threads) * 4;
  size.cache_bytes = KvCache::bytes(model.cache_streams(), ctx);
  size.logits_bytes = rows_per_pass(model, size.chunk_tokens) * model.config().vocab_size * 4;
  return size;
}

Session::Session(const Model& model, ThreadPool& pool, const Policy& policy, int64_t ctx)
    : model_(model),
      size_(plan_session(model, ctx, pool.n_threads())),
      rows_per_pass_(rows_per_pass(model, size_.chunk_tokens)),
      cache_(model.cache_streams(), ctx),
      arena_(size_.workspace_bytes / 4),
      context_{&pool, arena_, policy},
      logits_(new float[size_.logits_bytes / 4]) {
  tokens_.reserve(ctx);
  rows_.reserve(size_.chunk_tokens);
}

void Session::check(std::span<const int32_t> tokens, int64_t n_new, const std::string& where) const {
  const int64_t vocab_size = model_.config().vocab_size;
  for (const int32_t id : tokens) {
    if (id < 0 || id >= vocab_size)
      throw Error(
          ErrorKind::kBadData,
          "token id " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(vocab_size),
          where);
  }
  if (static_cast<int64_t>(tokens.size()) + n_new <= ctx()) return;
  throw Error(ErrorKind::kBadData,
              std::to_string(tokens.size()) + " tokens" + (n_new > 0 ? " and an answer" : "") +
                  " do not fit the context of " + std::to_string(ctx()),
              where, "shorten the text, or raise --ctx if the model and the memory allow more (see --plan)");
}

void Session::forward(std::span<const int32_t> tokens, std::span<const int32_t> rows) {
  const Segment segment{&cache_, static_cast<int64_t>(tokens.size())};
  model_.forward(context_, tokens, {&segment, 1}, rows, logits_.get());
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
}

std::span<const float> Session::read(std::span<const int32_t> tokens) {
  DS_CHECK(!tokens.empty() && length() + static_cast<int64_t>(tokens.size()) <= ctx());
  while (!tokens.empty()) {
    const size_t n = std::min<size_t>(tokens.size(), size_.chunk_tokens);
    const int32_t last = static_cast<int32_t>(n) - 1;
    // Only the last token of the last chunk needs logits.
    forward(tokens.first(n), {&last, n == tokens.size() ? size_t{1} : size_t{0}});
    tokens = tokens.subspan(n);
  }
  return {logits_.get(), static_cast<size_t>(model_.config().vocab_size)};
}

std::span<const float> Session::read_rows(std::span<const int32_t> tokens) {
  DS_CHECK(length() + static_cast<int64_t>(tokens.size()) <= ctx());
  rows_.clear();
  for (size_t i = 0; i < tokens.size(); ++i) rows_.push_back(static_cast<int32_t>(i));
  forward(tokens, rows_);
  return {logits_.get(), tokens.size() * model_.config().vocab_size};
}

void Session::truncate(int64_t length) {
  cache_.truncate(length);
  tokens_.resize(length);
}

int64_t Session::keep_common_prefix(std::span<const int32_t> prompt) {
  const auto [ours, theirs] = std::mismatch(tokens_.begin(), tokens_.end(), prompt.begin(), prompt.end());
  int64_t n = ours - tokens_.begin();
  n = std::min<int64_t>(n, static_cast<int64_t>(prompt.size()) - 1);
  truncate(std::max<int64_t>(n, 0));
  return length();
}

}  // namespace ds::infer
