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
    return !had || on_data(data);
  }
  const size_t colon = text.find(':');
  if (text.substr(0, colon) != "data") return true;  // comments, event names, ids, retry
  std::string_view value = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
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

StreamChunk parse_stream_chunk(std::string_view data) {
  const Json chunk = parse_json(data, "stream");
  StreamChunk out;
  if (!chunk.is_object()) throw Error(ErrorKind::kBadData, "not a JSON object", "stream");
  const Json* kind = find(chunk, "object");
  const Json* error = find(chunk, "error");
  if (kind && kind->is_string() && as_string(*kind) == "error") error = &chunk;
  if (error && !error->is_null()) {
    out.error = error_text(*error);
    return out;
  }
  const auto text_of = [](const Json* v) { return v && v->is_string() ? as_string(*v) : std::string(); };
  const Json* choices = find(chunk, "choices");
  const Json* usage = find(chunk, "usage");
  if (choices && choices->is_array() && !choices->empty()) {
    const Json& choice = (*choices)[0];
    out.finish = text_of(find(choice, "finish_reason"));
    out.content = text_of(find(choice, "text"));
    if (const Json* delta = find(choice, "delta")) {
      out.content += text_of(find(*delta, "content"));
      out.reasoning = text_of(find(*delta, "reasoning_content"));
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
