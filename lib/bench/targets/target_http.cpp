// An OpenAI-style streaming server as a target. libcurl does the HTTP: its time, size and header limits hold
// whatever the server does. One easy handle per request in flight, kept for its connection.
#include <curl/curl.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "bench/records/redact.h"
#include "bench/targets/sse.h"
#include "bench/targets/target.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/json_value.h"
#include "io/files.h"
#include "io/json.h"

namespace ds::bench {
namespace {

constexpr size_t kMaxEventBytes = 32 << 20;
constexpr size_t kKeptErrorBody = 300, kKeptBody = 1 << 14;
// What a connection may take to end after [DONE] before it is given up.
constexpr int64_t kGraceNs = 100'000'000;

struct EasyDeleter {
  void operator()(CURL* c) const { curl_easy_cleanup(c); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;
struct ListDeleter {
  void operator()(curl_slist* l) const { curl_slist_free_all(l); }
};
using HeaderList = std::unique_ptr<curl_slist, ListDeleter>;

// What arrives for one request.
struct Stream {
  Outcome outcome;
  SseParser sse{kMaxEventBytes};
  SurrogateJoiner surrogates;
  ThinkTags tags;
  bool reasoned = false;
  int64_t t_end_ns = -1;  // of the last event that said something
  const StopRequest* stop = nullptr;
  CURL* easy = nullptr;
  int64_t n_bytes = 0, max_bytes = 0;
  bool done = false, refused = false;
  std::string body;  // start of a body that is no event stream
  int64_t deadline_ns = 0;

  bool fail(const char* error, const std::string& detail) {
    outcome.error = error;
    outcome.error_detail = detail.substr(0, kKeptErrorBody);
    return false;
  }

  bool on_data(std::string_view data) {
    if (data == "[DONE]") {
      done = true;
      t_end_ns = now_ns();
      return true;
    }
    // Chatter after the end changes nothing; an event without data keeps the connection alive.
    if (done || data.empty()) return true;
    StreamChunk chunk;
    try {
      chunk = parse_stream_chunk(surrogates.joined(data), sse.event());
    } catch (const Error& e) {
      return fail("bad_stream", e.message());
    }
    if (!chunk.finish.empty()) outcome.finish = chunk.finish;
    if (!chunk.error.empty()) return fail("server_error", chunk.error);
    t_end_ns = now_ns();
    const bool says = !chunk.content.empty() || chunk.tool_call;
    const bool answers = chunk.tool_call || (says && tags.answers(chunk.content));
    reasoned |= !chunk.reasoning.empty() || tags.seen();
    if (says || !chunk.reasoning.empty()) {
      outcome.event_ns.push_back(t_end_ns);
      if (answers && reasoned && outcome.t_answer_ns < 0) outcome.t_answer_ns = outcome.event_ns.back();
      if (outcome.text.size() < kMaxKeptText) outcome.text += chunk.content.substr(0, kMaxKeptText);
    }
    if (chunk.n_in >= 0) outcome.n_in = chunk.n_in;
    if (chunk.n_in_cached >= 0) outcome.n_in_cached = chunk.n_in_cached;
    if (chunk.n_out >= 0) {
      outcome.n_out = chunk.n_out;
      outcome.tokens_source = "server";
    }
    return true;
  }

  bool receive(std::string_view bytes) {
    if (done && now_ns() > t_end_ns + kGraceNs) return false;
    n_bytes += static_cast<int64_t>(bytes.size());
    if (n_bytes > max_bytes)
      return fail("answer_too_long", "more than " + std::to_string(max_bytes) + " bytes");
    if (now_ns() > deadline_ns) return fail("timeout", "");
    if (*stop && (*stop)()) return fail("stopped", "");
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
      if (body.size() < kKeptBody) body.append(bytes.substr(0, kKeptBody));
      return true;
    }
    if (body.size() < kKeptBody && outcome.event_ns.empty()) body.append(bytes.substr(0, kKeptBody));
    const bool go_on = sse.feed(bytes, [this](std::string_view data) { return on_data(data); });
    if (sse.too_long()) return fail("bad_stream", "one event is larger than the limit");
    return go_on;
  }
};

extern "C" size_t ds_bench_on_body(char* data, size_t, size_t n, void* user) {
  return static_cast<Stream*>(user)->receive({data, n}) ? n : 0;
}
extern "C" int ds_bench_on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto* s = static_cast<Stream*>(user);
  if (s->done && now_ns() > s->t_end_ns + kGraceNs) return 1;
  return *s->stop && (*s->stop)() ? 1 : 0;
}
extern "C" size_t ds_bench_append(char* data, size_t, size_t n, void* user) {
  auto* text = static_cast<std::string*>(user);
  if (text->size() + n > 1 << 20) return 0;
  text->append(data, n);
  return n;
}

// A scheme is the same in any case (RFC 3986).
std::string with_lower_scheme(std::string url) {
  const size_t end = std::min(url.find("://"), url.size());
  for (size_t i = 0; i < end; ++i)
    if (url[i] >= 'A' && url[i] <= 'Z') url[i] += 'a' - 'A';
  return url;
}

class HttpTarget : public Target {
 public:
  HttpTarget(const std::string& url, const TargetOptions& options)
      : url_(with_lower_scheme(url)), options_(options) {
    if (!url_.starts_with("http://") && !url_.starts_with("https://"))
      throw Error(ErrorKind::kUsage, "'" + url_ + "' is no http:// or https:// address", "--url");
    if (url_.find_first_not_of('/', url_.find("://") + 3) == std::string::npos)
      throw Error(ErrorKind::kUsage, "'" + url_ + "' names no host", "--url");
    if (options_.api != "chat" && options_.api != "completions")
      throw Error(ErrorKind::kUsage, "unknown API '" + options_.api + "'", "--api", "chat or completions");
    find_base();
    // curl_global_init is not needed with libcurl >= 7.84 built thread-safe; calling it once here is.
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (!options_.api_key_file.empty()) {
      key_ = read_file(options_.api_key_file, 1 << 16);
      while (!key_.empty() && (key_.back() == '\n' || key_.back() == '\r')) key_.pop_back();
      if (key_.find_first_of(std::string_view("\n\r\0", 3)) != std::string::npos)
        throw Error(ErrorKind::kBadData, "a key is one line", options_.api_key_file);
    }
    if (options_.model_name.empty()) options_.model_name = ask_model_name();
  }

  int max_concurrency() const override { return 1024; }
  Json describe() const override {
    return Json{
        {"kind", "url"}, {"url", redacted(url_)}, {"api", options_.api}, {"model", options_.model_name}};
  }

  Outcome send(const Request& request, const StopRequest& stop) override {
    Stream stream;
    stream.stop = &stop;
    stream.max_bytes = options_.max_answer_bytes;
    const std::string body = request_body(request);
    const std::string url = url_ + (options_.api == "chat" ? "/chat/completions" : "/completions") + query_;
    Easy easy = take_handle();
    CURL* c = stream.easy = easy.get();
    const HeaderList headers = request_headers(request.headers);
    set_limits(c);
    curl_easy_setopt(c, CURLOPT_URL, url.c_str());
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, ds_bench_on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &stream);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, ds_bench_on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, &stream);
    char message[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, message);

    Outcome& o = stream.outcome;
    o.t_send_ns = now_ns();
    stream.deadline_ns = o.t_send_ns + static_cast<int64_t>(options_.timeout_s * 1e9);
    const CURLcode code = curl_easy_perform(c);
    o.t_done_ns = now_ns();
    judge(stream, stream.done ? CURLE_OK : code, message);
    // A server that holds the connection open, or dies, after the end has taken no longer to answer.
    if (o.ok() && stream.t_end_ns >= 0) o.t_done_ns = stream.t_end_ns;
    curl_easy_reset(c);
    // After a failure the connection may hold half an answer: a fresh one costs less than a wrong number.
    if (o.ok() && code == CURLE_OK) give_handle(std::move(easy));
    return std::move(o);
  }

 private:
  // Whatever path stands in the address is the base, as for other clients; a bare host has its API at /v1.
  void find_base() {
    if (const size_t at = url_.find_first_of("?#"); at != std::string::npos) {
      query_ = url_.substr(at, url_.find('#') - at);
      url_.resize(at);
    }
    const auto cut = [&](const std::string& end) {
      const bool there = url_.ends_with(end);
      if (there) url_.resize(url_.size() - end.size());
      while (url_.ends_with('/')) url_.pop_back();
      return there;
    };
    cut("/");
    if (!cut("/chat/completions") && cut("/completions")) options_.api = "completions";
    if (url_.find('/', url_.find("://") + 3) == std::string::npos) url_ += "/v1";
  }

  void judge(Stream& s, CURLcode code, const char* message) const {
    Outcome& o = s.outcome;
    const auto fail = [&](const std::string& error, const std::string& detail) {
      if (!o.error.empty()) return;
      o.error = error;
      o.error_detail = detail.substr(0, kKeptErrorBody);
    };
    long status = 0;
    curl_easy_getinfo(s.easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OPERATION_TIMEDOUT) fail("timeout", message);
    if (code == CURLE_ABORTED_BY_CALLBACK) fail("stopped", "");
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST) fail("connect", message);
    if (is_tls_error(code)) fail("tls", message);
    if (code != CURLE_OK) fail("transport", message);
    if (status != 200) fail("http_" + std::to_string(status), refusal(s));
    if (o.event_ns.empty() && o.finish.empty()) {
      const char* type = nullptr;
      curl_easy_getinfo(s.easy, CURLINFO_CONTENT_TYPE, &type);
      // A whole answer in one piece has no first token: its time would be called one.
      if (const std::string error = error_in(s.body); !error.empty()) fail("server_error", error);
      if (type && std::string_view(type).starts_with("application/json"))
        fail("no_stream", "the server ignores \"stream\": " + s.body);
      fail("no_content", s.body);
    }
    if (!s.done && o.finish.empty())
      fail("no_end", "the stream ended with neither [DONE] nor a finish_reason: the answer may be cut");
    const auto n_events = static_cast<int64_t>(o.event_ns.size());
    if (o.n_out < 0 && (n_events > 0 || o.ok())) o.n_out = n_events, o.tokens_source = "events";
    // A server whose count cannot be true (no tokens, yet text came) is not believed.
    if (o.error.empty() && o.tokens_source == "server" && o.n_out < 1 && n_events > 0)
      o.error = "wrong_counts";
    // A server that shows the request it got shows the key, too.
    o.error_detail = redacted(o.error_detail);
    if (!key_.empty())
      for (size_t at = 0; (at = o.error_detail.find(key_, at)) != std::string::npos; at += 3)
        o.error_detail.replace(at, key_.size(), "***");
  }

  static bool is_tls_error(CURLcode code) {
    return code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION ||
           code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CERTPROBLEM;
  }

  // What a person needs of an answer that is none. Nothing is sent again: a repetition would be load that the
  // plan does not know.
  static std::string refusal(const Stream& s) {
    std::string out;
    const auto add = [&out](const std::string& what) {
      if (!what.empty()) out += (out.empty() ? "" : "; ") + what;
    };
    curl_off_t retry_s = 0;
    if (curl_easy_getinfo(s.easy, CURLINFO_RETRY_AFTER, &retry_s) == CURLE_OK && retry_s > 0)
      add("retry after " + std::to_string(retry_s) + " s");
    const char* other = nullptr;
    if (curl_easy_getinfo(s.easy, CURLINFO_REDIRECT_URL, &other) == CURLE_OK && other)
      add("it points to " + redacted(std::string(other)) + ", give that as --url");
    const std::string error = error_in(s.body);
    add(error.empty() ? s.body : error);
    return out;
  }

  // An error object says it in one line; "" for anything else, which is shown as it came.
  static std::string error_in(const std::string& body) {
    try {
      return parse_stream_chunk(body).error;
    } catch (const Error&) {
      return "";
    }
  }

  std::string request_body(const Request& r) const {
    Json body{{"model", options_.model_name}};
    if (options_.api == "chat") {
      Json::array_t messages = r.messages;
      if (messages.empty()) messages.push_back(Json{{"role", "user"}, {"content", r.prompt}});
      body["messages"] = std::move(messages);
    } else {
      body["prompt"] = r.prompt;
    }
    body["max_tokens"] = r.max_tokens;
    body["temperature"] = r.temperature;
    body["seed"] = static_cast<int64_t>(r.seed & 0x7FFFFFFF);
    if (r.ignore_eos) body["ignore_eos"] = true;
    if (r.body.is_object())
      for (const auto& [key, value] : r.body.items()) body[key] = value;
    body["stream"] = true;
    body["stream_options"] = Json{{"include_usage", true}};
    return dump(body);
  }

  HeaderList request_headers(const std::vector<std::pair<std::string, std::string>>& more = {}) const {
    curl_slist* list = curl_slist_append(nullptr, "Content-Type: application/json");
    list = curl_slist_append(list, "Accept: text/event-stream");
    list = curl_slist_append(list, "Expect:");  // no round trip before a long prompt
    if (!key_.empty()) list = curl_slist_append(list, ("Authorization: Bearer " + key_).c_str());
    for (const auto& [name, value] : more) list = curl_slist_append(list, (name + ": " + value).c_str());
    return HeaderList(list);
  }

  void set_limits(CURL* c) const {
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout_s * 1e3));
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                     static_cast<long>(std::min(10.0, options_.timeout_s) * 1e3));
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_TCP_NODELAY, 1L);
    // As curl and OpenSSL's own programs do; the library by itself does not.
    if (const char* trusted = std::getenv("SSL_CERT_FILE"); trusted && *trusted)
      curl_easy_setopt(c, CURLOPT_CAINFO, trusted);
    // Behind a proxy the proxy would be measured.
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_USERAGENT, "ds-bench");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  }

  std::string ask_model_name() {
    std::string text;
    Easy easy = take_handle();
    CURL* c = easy.get();
    const HeaderList headers = request_headers();
    set_limits(c);
    const std::string url = url_ + "/models" + query_;
    curl_easy_setopt(c, CURLOPT_URL, url.c_str());
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 5000L);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, ds_bench_append);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &text);
    const CURLcode code = curl_easy_perform(c);
    curl_easy_reset(c);
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
      throw Error(ErrorKind::kNoInput, curl_easy_strerror(code), redacted(url_), "is the server running?");
    if (is_tls_error(code))
      throw Error(ErrorKind::kNoInput, curl_easy_strerror(code), redacted(url_),
                  "its certificate must be one that this machine trusts (SSL_CERT_FILE names more); a server "
                  "without TLS is http://");
    if (code == CURLE_URL_MALFORMAT)
      throw Error(ErrorKind::kUsage, curl_easy_strerror(code), "--url " + redacted(url_));
    // Servers without /v1/models take any name.
    try {
      const Json list = parse_json(text, url);
      const Json* data = find(list, "data");
      if (data && data->is_array() && !data->empty())
        if (const Json* id = find((*data)[0], "id"); id && id->is_string()) return as_string(*id);
    } catch (const Error&) {
    }
    return "default";
  }

  Easy take_handle() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) {
      Easy easy(curl_easy_init());
      if (!easy) throw Error(ErrorKind::kOs, "cannot initialise libcurl", url_);
      return easy;
    }
    Easy easy = std::move(idle_.back());
    idle_.pop_back();
    return easy;
  }
  void give_handle(Easy easy) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(easy));
  }

  std::string url_, query_, key_;  // the base; what follows "?" in the address
  TargetOptions options_;
  std::mutex mutex_;
  std::vector<Easy> idle_;  // last in, first out: the warmest connection goes first
};

}  // namespace

std::unique_ptr<Target> make_http_target(const std::string& url, const TargetOptions& options) {
  return std::make_unique<HttpTarget>(url, options);
}

}  // namespace ds::bench
