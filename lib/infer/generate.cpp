#include "infer/generate.h"

#include <cstdio>

namespace ds::infer {

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
  if (n == 0) return std::to_string(answer.n_prompt_tokens) + " prompt tokens; the model ended at once";
  const double first = static_cast<double>(answer.token_ns[0] - answer.start_ns) * 1e-9;
  const double rest = static_cast<double>(answer.token_ns[n - 1] - answer.token_ns[0]) * 1e-9;
  std::snprintf(text, sizeof text, "%lld prompt tokens, first token after %.3f s; %zu tokens",
                static_cast<long long>(answer.n_prompt_tokens), first, n);
  std::string out = text;
  if (n > 1 && rest > 0) {
    std::snprintf(text, sizeof text, ", %.1f tokens/s", static_cast<double>(n - 1) / rest);
    out += text;
  }
  if (answer.finish_reason == FinishReason::kLength)
    out += answer.text.empty() && !answer.reasoning.empty() ? ", cut while reasoning" : ", cut";
  return out;
}

Error with_place(const Error& error, const std::string& where) {
  return {error.kind(), error.what(), error.where().empty() ? where : error.where(), error.hint()};
}

}  // namespace ds::infer
