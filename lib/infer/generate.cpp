#include "infer/generate.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "core/clock.h"

namespace ds::infer {
namespace {

// Room reserved up front, so that usual answers never allocate while they are made.
constexpr int64_t kReservedTokens = 8192;

}  // namespace

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kInterrupted:
      return "interrupted";
  }
  return "";
}

std::string speed_text(const Generation& answer) {
  char text[160];
  const size_t n = answer.ids.size();
  if (n == 0) return std::to_string(answer.n_prompt_tokens) + " prompt tokens, no answer";
  const double first = static_cast<double>(answer.token_ns[0] - answer.start_ns) * 1e-9;
  const double rest = static_cast<double>(answer.token_ns[n - 1] - answer.token_ns[0]) * 1e-9;
  std::snprintf(text, sizeof text, "%lld prompt tokens, first token after %.3f s; %zu tokens",
                static_cast<long long>(answer.n_prompt_tokens), first, n);
  std::string out = text;
  if (n > 1 && rest > 0) {
    std::snprintf(text, sizeof text, ", %.1f tokens/s", static_cast<double>(n - 1) / rest);
    out += text;
  }
  return out;
}

Generation generate(const Engine& engine, Session& session, Sampler& sampler, std::span<const int32_t> prompt,
                    const GenerateOptions& options, const std::string& where) {
  Generation out;
  out.start_ns = now_ns();
  if (prompt.empty())
    throw Error(ErrorKind::kBadData, "the prompt is empty", where, "give at least one token of text");
  session.check(prompt, 1, where);
  const auto stop_requested = [&] { return options.stop_requested && options.stop_requested(); };

  const int64_t room = session.ctx() - static_cast<int64_t>(prompt.size());
  const int64_t asked = options.settings.max_tokens;
  const int64_t max_tokens = asked > 0 ? std::min(asked, room) : room;
  out.ids.reserve(std::min(max_tokens, kReservedTokens));
  out.token_ns.reserve(std::min(max_tokens, kReservedTokens));

  std::optional<AnswerStream> stream;
  if (engine.has_text()) {
    const TokenTexts texts = engine.text().token_texts();
    const bool in_reasoning = ends_in_reasoning(texts, prompt);
    stream.emplace(texts, options.settings.stop, in_reasoning, options.sink);
  }
  out.n_prompt_tokens = static_cast<int64_t>(prompt.size());
  out.n_cached_tokens = session.keep_common_prefix(prompt);
  sampler.start(options.settings.sampling, options.stream, prompt);
  // Chunk by chunk, so that a long prompt can be interrupted too.
  std::span<const float> logits;
  for (std::span<const int32_t> rest = prompt.subspan(out.n_cached_tokens); !rest.empty();) {
    if (stop_requested()) {
      out.finish_reason = FinishReason::kInterrupted;
      return out;
    }
    const size_t n = std::min<size_t>(rest.size(), session.chunk_tokens());
    logits = session.read(rest.first(n));
    rest = rest.subspan(n);
  }
  for (;;) {
    const int32_t token = sampler.sample(logits);
    if (engine.is_stop_id(token)) {
      out.finish_reason = FinishReason::kStop;
      break;
    }
    out.ids.push_back(token);
    out.token_ns.push_back(now_ns());
    if (stream && stream->accept(token)) {
      out.finish_reason = FinishReason::kStop;
      break;
    }
    if (static_cast<int64_t>(out.ids.size()) >= max_tokens) {
      out.finish_reason = FinishReason::kLength;
      break;
    }
    if (stop_requested()) {
      out.finish_reason = FinishReason::kInterrupted;
      break;
    }
    logits = session.read({&token, 1});
  }
  out.end_ns = now_ns();
  if (stream) {
    stream->finish();
    out.text = stream->answer();
    out.reasoning = stream->reasoning();
  }
  return out;
}

}  // namespace ds::infer
