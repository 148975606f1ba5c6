// Server-sent events, and the OpenAI streaming chunks inside them. Bytes come in any pieces; a line longer
// than the limit, or a chunk that is not JSON, is an error the caller reports, never a crash. Source: the
// HTML standard, section 9.2.6.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace ds::bench {

class SseParser {
 public:
  // on_data gets the data of each complete event; false stops parsing.
  using OnData = std::function<bool(std::string_view data)>;
  explicit SseParser(size_t max_event_bytes) : max_event_bytes_(max_event_bytes) {}
  // False once on_data returned false or an event grew beyond the limit (then too_long()).
  bool feed(std::string_view bytes, const OnData& on_data);
  bool too_long() const { return too_long_; }
  // The name of the event whose data on_data has got: "error" says what the data need not.
  const std::string& event() const { return event_; }

 private:
  bool line(std::string_view text, const OnData& on_data);
  size_t max_event_bytes_;
  std::string partial_, data_, event_;
  bool has_data_ = false, skip_newline_ = false, too_long_ = false, at_start_ = true;
};

// Some servers cut their text between the two halves of a UTF-16 pair: "\ud83d" ends one chunk, "\ude00"
// begins the next, and neither is JSON that a strict reader takes. A first half waits here for its second; a
// half without the other becomes U+FFFD.
class SurrogateJoiner {
 public:
  std::string joined(std::string_view json);

 private:
  std::string waiting_;  // "\ud83d"
};

// What one streamed chunk of /v1/chat/completions or /v1/completions says. A chunk that says nothing of these
// (a ping, a role, an event of the server's own) keeps the connection alive and is no error.
struct StreamChunk {
  std::string content;                              // of the answer, or the words that refuse one
  std::string reasoning;                            // what a reasoning parser has put apart from the answer
  bool tool_call = false;                           // a piece of a call: its name or arguments
  std::string finish;                               // finish_reason when given
  std::string error;                                // an error object inside the stream, or such a finish
  int64_t n_in = -1, n_in_cached = -1, n_out = -1;  // usage when given
};
// Throws Error{kBadData} when the data is no such chunk. event: as the stream names it.
StreamChunk parse_stream_chunk(std::string_view data, std::string_view event = "");

// Where in the text of an answer its reasoning ends, when no parser has put that apart: a chunk after the
// other goes through, and answers() says whether this one holds some of the answer itself.
class ThinkTags {
 public:
  bool answers(std::string_view content);
  bool seen() const { return seen_; }  // reasoning, closed or still open

 private:
  std::string tail_;  // the last bytes, in which a tag may have begun
  bool begun_ = false, thinking_ = false, seen_ = false;
};

}  // namespace ds::bench
