#include "infer/sequence.h"

#include <algorithm>

#include "core/clock.h"

namespace ds::infer {
namespace {

// Room reserved up front, so that usual answers never allocate while they are made.
constexpr int64_t kReservedTokens = 8192;

}  // namespace

Sequence::Sequence(const Engine& engine, KvPool& pool)
    : engine_(engine), cache_(pool), sampler_(engine.model().config().vocab_size) {
  ids_.reserve(engine.plan().scheduler.ctx);
}

// Leading tokens of both, but for the request's last: that is always read, as its logits are wanted.
int64_t Sequence::n_alike(const GenerateRequest& request, int64_t n_most) const {
  n_most = std::min(n_most, static_cast<int64_t>(request.prompt.size()) - 1);
  int64_t n = 0;
  while (n < n_most && ids_[n] == request.prompt[n]) ++n;
  return n;
}

int64_t Sequence::n_coming(const GenerateRequest& request) const {
  const bool reads_all = request.reuse == PrefixReuse::kNone || request.prompt_logits;
  if (reads_all || !is_running_ || !reads_prompt() || request_.prompt_logits) return 0;
  const int64_t chunk = engine_.plan().scheduler.chunk_tokens;
  // Only while it reads whole chunks from its beginning; what is cut otherwise is of no use to others.
  if (n_chunked_ != cache_.length()) return 0;
  const int64_t n = whole_chunks(n_alike(request, static_cast<int64_t>(ids_.size())));
  return n > n_chunked_ ? n_chunked_ + chunk : 0;
}

void Sequence::forget() {
  cache_.truncate(0);
  n_chunked_ = 0;
}

int64_t Sequence::n_reusable(const GenerateRequest& request) const {
  if (request.reuse == PrefixReuse::kNone || request.prompt_logits) return 0;
  int64_t n = n_alike(request, cache_.length());
  if (request.reuse == PrefixReuse::kSameBits) n = whole_chunks(std::min(n, n_chunked_));
  return cache_.cut_length(n);
}

int64_t Sequence::whole_chunks(int64_t n_tokens) const {
  return n_tokens - n_tokens % engine_.plan().scheduler.chunk_tokens;
}

void Sequence::start(RequestId id, GenerateRequest request, GenerateSink sink, int64_t submit_ns,
                     const Sequence& donor, int64_t n_promised_pages) {
  n_promised_pages_ = n_promised_pages;
  const std::vector<int32_t>& prompt = request.prompt;
  const auto n_prompt = static_cast<int64_t>(prompt.size());
  const int64_t n_kept = donor.n_reusable(request);
  n_chunked_ = whole_chunks(std::min(n_kept, donor.n_chunked_));
  &donor == this ? cache_.truncate(n_kept) : cache_.share(donor.cache_, n_kept);
  ids_.assign(prompt.begin(), prompt.end());

  const int64_t room = engine_.plan().scheduler.ctx - n_prompt, asked = request.settings.max_tokens;
  max_tokens_ = asked > 0 ? std::min(asked, room) : room;
  answer_ = {};
  answer_.ids.reserve(std::min(max_tokens_, kReservedTokens));
  answer_.token_ns.reserve(std::min(max_tokens_, kReservedTokens));
  answer_.start_ns = submit_ns;
  answer_.n_prompt_tokens = n_prompt;
  answer_.n_cached_tokens = n_kept;
  stream_.reset();
  if (engine_.has_text() && !request.prompt_logits) {
    const TokenTexts texts = token_texts(engine_.text().tokenizer());
    const bool in_reasoning = ends_in_reasoning(texts, prompt);
    stream_.emplace(texts, request.settings.stop, in_reasoning, sink.text);
  }
  sampler_.start(request.settings.sampling, request.stream, prompt);
  id_ = id;
  request_ = std::move(request);
  sink_ = std::move(sink);
  is_running_ = true;
  if (n_prompt == 0) finish(FinishReason::kLength);
}

std::span<const int32_t> Sequence::next_tokens() const {
  const SchedulerSize& size = engine_.plan().scheduler;
  const int64_t most = request_.prompt_logits ? size.scored_tokens : size.chunk_tokens;
  const auto rest = std::span<const int32_t>(ids_).subspan(cache_.length());
  return rest.first(std::min<size_t>(rest.size(), most));
}

int64_t Sequence::n_logit_rows() const {
  const size_t n = next_tokens().size();
  if (request_.prompt_logits) return static_cast<int64_t>(n);
  return cache_.length() + n == ids_.size() ? 1 : 0;  // the end of the prompt, or the last token sampled
}

void Sequence::take(int64_t n_tokens, int64_t n_rows, std::span<const float> logits) {
  const bool is_next_chunk = cache_.length() - n_tokens == n_chunked_ && !request_.prompt_logits;
  if (is_next_chunk && n_tokens == engine_.plan().scheduler.chunk_tokens) n_chunked_ += n_tokens;
  try {
    if (n_rows > 0 && sink_.logits) sink_.logits(cache_.length() - n_rows, logits);
    if (request_.prompt_logits) {
      if (cache_.length() == static_cast<int64_t>(ids_.size())) finish(FinishReason::kLength);
    } else if (n_rows > 0) {
      take_token(sampler_.sample(logits));
    }
  } catch (const Error& e) {
    fail(e);
  }
}

void Sequence::take_token(int32_t token) {
  if (!request_.exact_length && engine_.is_stop_id(token)) return finish(FinishReason::kStop);
  ids_.push_back(token);
  answer_.ids.push_back(token);
  answer_.token_ns.push_back(now_ns());
  if (stream_ && stream_->accept(token)) return finish(FinishReason::kStop);
  if (static_cast<int64_t>(answer_.ids.size()) >= max_tokens_) finish(FinishReason::kLength);
}

void Sequence::finish(FinishReason reason) {
  answer_.finish_reason = reason;
  answer_.end_ns = now_ns();
  if (stream_) {
    stream_->finish();
    answer_.text = stream_->answer();
    answer_.reasoning = stream_->reasoning();
  }
  end();
}

void Sequence::fail(const Error& error) {
  answer_.error = error;
  answer_.end_ns = now_ns();
  end();
}

void Sequence::end() {
  is_running_ = false;
  if (sink_.done) sink_.done(std::move(answer_));
  sink_ = {};
}

}  // namespace ds::infer
