// What is measured: anything that answers a request. Three kinds: a command line, an HTTP server, the engine
// in this process. Times are those of core/clock.h, taken where the bytes arrive.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/json_value.h"

namespace ds::bench {

struct Request {
  std::string id;
  Json::array_t messages;  // {role, content}; empty: `prompt` is completed as it stands
  std::string prompt;      // the last user text, or the text to complete
  int64_t max_tokens = 64;
  bool ignore_eos = false;  // length control: exactly max_tokens, where the target can
  double temperature = 0;
  uint64_t seed = 0;
  // What a line of a prompt file says beyond that, for servers: members of the body ("tools", "top_p",
  // "stop",
  // ...) and headers.
  Json body;  // an object, or null
  std::vector<std::pair<std::string, std::string>> headers;
  // What the user says next, each with its most tokens, once the answer before is there.
  std::vector<std::pair<std::string, int64_t>> next_turns;
};

// Asked between events: true ends the request early (its outcome has error "stopped").
using StopRequest = std::function<bool()>;

struct Outcome {
  int64_t t_send_ns = 0, t_done_ns = 0;
  std::vector<int64_t> event_ns;  // arrival of each event with content: answer, reasoning, piece of a call
  int64_t t_answer_ns = -1;       // the first of the answer itself, where reasoning came before it
  int64_t n_in = -1, n_in_cached = -1, n_out = -1;
  std::string tokens_source;  // "server", "engine", "events"
  std::string finish;
  std::string error, error_detail;
  std::string text;  // the answer without its reasoning, at most kMaxKeptText bytes of it
  int64_t peak_rss_bytes = -1;
  bool ok() const { return error.empty(); }
};
constexpr size_t kMaxKeptText = 1 << 20;

class Target {
 public:
  virtual ~Target() = default;
  // Thread-safe up to max_concurrency() calls at once. A target that misbehaves gives an outcome with an
  // error class; only what makes every request pointless (a command that does not exist) throws.
  virtual Outcome send(const Request& request, const StopRequest& stop) = 0;
  virtual int max_concurrency() const = 0;
  // For the header: kind, what exactly, digest where known. No secrets.
  virtual Json describe() const = 0;
};

struct TargetOptions {
  double timeout_s = 120;               // per request, whatever the server does
  int64_t max_answer_bytes = 64 << 20;  // a stream without end is cut here
  // command
  bool shell = false;  // run through /bin/sh -c instead of splitting words
  // http
  std::string model_name;    // "model" of the request; asked from /v1/models when empty
  std::string api_key_file;  // bearer token, from a file so that it shows nowhere
  std::string api = "chat";  // "chat" or "completions"
  // engine
  int threads = 0;
  std::string isa = "auto";
  int64_t context_tokens = 0;  // 0: what the longest request needs
  int64_t concurrency = 1;     // requests that share its steps; 0: as many as ds-run --jsonl would let
};

// Words are split as a shell would (quotes, backslash; no expansion). "{prompt}", "{max_tokens}" and "{seed}"
// inside them are replaced; without "{prompt}" the prompt arrives on stdin. Standard output is the answer.
std::unique_ptr<Target> make_command_target(const std::string& command_line, const TargetOptions& options);
// An OpenAI-style server: the base that its clients are given (".../v1", ".../api/v3"; a pasted
// ".../chat/completions" counts, too), or its root, which stands for /v1.
std::unique_ptr<Target> make_http_target(const std::string& url, const TargetOptions& options);
// A model folder, loaded once into this process.
std::unique_ptr<Target> make_engine_target(const std::string& model_folder, const TargetOptions& options);
// Answers at once with nothing in it: what is left is the tool's own cost.
std::unique_ptr<Target> make_null_target();

// Shell-like words. Throws Error{kUsage} for an open quote or an empty line.
std::vector<std::string> split_command_line(const std::string& line);

}  // namespace ds::bench
