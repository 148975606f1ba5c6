// A server's bytes: the event parser in two different splits must agree, the chunks inside must not crash.
#include <vector>

#include "bench/targets/sse.h"
#include "core/error.h"

using namespace ds;
using namespace ds::bench;

using namespace ds::bench;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> whole, split;
  SseParser a(1 << 12), b(1 << 12);
  a.feed(text, [&](std::string_view d) { return whole.emplace_back(d), true; });
  for (size_t i = 0; i < text.size(); i += 3)
    if (!b.feed(text.substr(i, 3), [&](std::string_view d) { return split.emplace_back(d), true; })) break;
  // Where an event is too long, how much came before it may differ by the split; nothing else may.
  if (!a.too_long() && !b.too_long() && whole != split) __builtin_trap();
  for (const std::string& d : whole) {
    try {
      parse_stream_chunk(d);
    } catch (const Error&) {
    }
  }
  return 0;
}
