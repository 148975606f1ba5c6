#include "bench/targets/sse.h"

#include <cctype>

#include "core/error.h"
#include "core/json_value.h"
#include "io/json.h"

namespace ds::bench {

bool SseParser::line(std::string_view text, const OnData& on_data) {
  if (at_start_ && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  at_start_ = false;
  if (text.empty()) {  // the event is complete
    const bool had = has_data_;
    has_data_ = false;
    std::string data;
    data.swap(data_);
    const bool go_on = !had || on_data(data);
    event_.clear();
    return go_on;
  }
  const size_t colon = text.find(':');
  const std::string_view field = text.substr(0, colon);
  if (field != "data" && field != "event") return true;  // comments, ids, retry
  std::string_view value = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") {
    event_ = value;
    return true;
  }
  if (has_data_) data_ += '\n';
  has_data_ = true;
  data_ += value;
  if (data_.size() > max_event_bytes_) too_long_ = true;
  return !too_long_;
}

bool SseParser::feed(std::string_view bytes, const OnData& on_data) {
  while (!bytes.empty()) {
    if (skip_newline_ && bytes[0] == '\n') {  // second half of CR LF
      bytes.remove_prefix(1);
      skip_newline_ = false;
      continue;
    }
    skip_newline_ = false;
    const size_t end = bytes.find_first_of("\r\n");
    if (end == std::string_view::npos) {
      partial_ += bytes;
      if (partial_.size() > max_event_bytes_) too_long_ = true;
      return !too_long_;
    }
    skip_newline_ = bytes[end] == '\r';
    bool go_on;
    if (partial_.empty()) {
      go_on = line(bytes.substr(0, end), on_data);
    } else {
      partial_ += bytes.substr(0, end);
      std::string whole;
      whole.swap(partial_);
      go_on = line(whole, on_data);
    }
    if (!go_on) return false;
    bytes.remove_prefix(end + 1);
  }
  return true;
}

namespace {

// The half of a pair that "\uXXXX" at i is: 1 the first, 2 the second, 0 neither.
int surrogate_half(std::string_view s, size_t i) {
  if (i + 6 > s.size() || s[i] != '\\' || s[i + 1] != 'u' || (s[i + 2] | 32) != 'd') return 0;
  for (size_t k = i + 3; k < i + 6; ++k)
    if (!std::isxdigit(static_cast<unsigned char>(s[k]))) return 0;
  const char c = s[i + 3] | 32;
  return c == '8' || c == '9' || c == 'a' || c == 'b' ? 1 : c >= 'c' && c <= 'f' ? 2 : 0;
}

std::string error_text(const Json& error) {
  const Json* message = find(error, "message");
  return message && message->is_string() ? as_string(*message)
         : error.is_string()             ? as_string(error)
                                         : dump(error);
}

}  // namespace

std::string SurrogateJoiner::joined(std::string_view json) {
  if (json.find("\\u") == std::string_view::npos) return std::string(json);
  std::string out;
  for (size_t i = 0; i < json.size();) {
    if (json[i] != '\\') {
      out += json[i++];
      continue;
    }
    const int half = surrogate_half(json, i);
    const size_t n = std::min(json.size() - i, half ? size_t{6} : size_t{2});
    const std::string escape(json.substr(i, n));
    i += n;
    if (half == 0) {
      out += escape;
    } else if (half == 2) {
      out += waiting_.empty() ? "\\ufffd" : waiting_ + escape;
      waiting_.clear();
    } else if (surrogate_half(json, i) == 2) {
      out += escape + std::string(json.substr(i, 6));
      i += 6;
    } else {
      if (!waiting_.empty()) out += "\\ufffd";
      waiting_ = escape;
    }
  }
  return out;
}

bool ThinkTags::answers(std::string_view content) {
  constexpr std::string_view kOpen = "<think>", kClose = "</think>", kSpace = " \t\r\n";
  const size_t before = tail_.size();
  tail_ += content;
  std::string_view rest = std::string_view(tail_).substr(before);
  if (const size_t at = tail_.rfind(kClose); at != std::string::npos) {
    // Also without an opening tag: where the template writes it, the answer begins behind it.
    begun_ = seen_ = true, thinking_ = false;
    rest = std::string_view(tail_).substr(std::max(before, at + kClose.size()));
  } else if (!begun_) {
    const size_t first = tail_.find_first_not_of(kSpace);
    const std::string_view text = first == std::string::npos ? "" : std::string_view(tail_).substr(first);
    if (kOpen.starts_with(text) && text.size() < kOpen.size()) return false;  // not yet known
    begun_ = true;
    thinking_ = seen_ = text.starts_with(kOpen);
  }
  const bool answer = !thinking_ && rest.find_first_not_of(kSpace) != std::string_view::npos;
  if (tail_.size() >= kClose.size()) tail_.erase(0, tail_.size() - (kClose.size() - 1));
  return answer;
}

namespace {

std::string text_of(const Json* v) { return v && v->is_string() ? as_string(*v) : std::string(); }

// A text, or a list of parts: {"type": "text", "text": ...}, {"type": "thinking", "thinking": [...]}.
void read_parts(const Json* content, std::string& text, std::string& reasoning, int depth = 0) {
  if (!content || depth > 2) return;
  if (content->is_string()) text += as_string(*content);
  if (!content->is_array()) return;
  for (const Json& part : *content) {
    if (part.is_string()) text += as_string(part);
    if (!part.is_object()) continue;
    text += text_of(find(part, "text"));
    text += text_of(find(part, "refusal"));
    if (const Json* thinking = find(part, "thinking")) read_parts(thinking, reasoning, reasoning, depth + 1);
  }
}

}  // namespace

StreamChunk parse_stream_chunk(std::string_view data, std::string_view event) {
  if (event == "error" && !data.starts_with('{')) {  // words
    StreamChunk said;
    said.error = data;
    return said;
  }
  const Json chunk = parse_json(data, "stream");
  StreamChunk out;
  if (!chunk.is_object()) throw Error(ErrorKind::kBadData, "not a JSON object", "stream");
  const Json* error = find(chunk, "error");
  const bool is_error = event == "error" || text_of(find(chunk, "object")) == "error";
  if (is_error && !(error && !error->is_null())) error = &chunk;
  if (error && !error->is_null()) {
    out.error = error_text(*error);
    return out;
  }
  const Json* choices = find(chunk, "choices");
  const Json* usage = find(chunk, "usage");
  if (choices && choices->is_array() && !choices->empty()) {
    const Json& choice = (*choices)[0];
    out.finish = text_of(find(choice, "finish_reason"));
    const Json* failure = find(choice, "error");
    if (failure && !failure->is_null())
      out.error = error_text(*failure);
    else if (out.finish == "error" || out.finish == "abort")
      out.error = "the answer ended with finish_reason \"" + out.finish + "\"";
    out.content = text_of(find(choice, "text"));
    if (const Json* delta = find(choice, "delta")) {
      read_parts(find(*delta, "content"), out.content, out.reasoning);
      out.content += text_of(find(*delta, "refusal"));
      out.reasoning += text_of(find(*delta, "reasoning_content"));
      if (out.reasoning.empty()) out.reasoning = text_of(find(*delta, "reasoning"));
      const Json* calls = find(*delta, "tool_calls");
      const Json* call = find(*delta, "function_call");
      out.tool_call = (calls && calls->is_array() && !calls->empty()) || (call && call->is_object());
    }
  }
  const auto count = [](const Json* object, const char* key) -> int64_t {
    const Json* v = object ? find(*object, key) : nullptr;
    // A count no stream can have is no count.
    return v && is_int(*v) && as_int(*v) >= 0 && as_int(*v) < int64_t{1} << 40 ? as_int(*v) : -1;
  };
  if (usage && usage->is_object()) {
    out.n_in = count(usage, "prompt_tokens");
    out.n_out = count(usage, "completion_tokens");
    out.n_in_cached = count(find(*usage, "prompt_tokens_details"), "cached_tokens");
  }
  return out;
}

}  // namespace ds::bench
