// Bytes as a chat template, rendered with an ordinary conversation. Only ds::Error may come out.
#include <cstdlib>
#include <string>

#include "core/error.h"
#include "text/jinja/chat_template.h"

using namespace ds;
using namespace ds::text;

namespace {

Json conversation() {
  const auto message = [](const char* role, Json content) {
    Json m;
    m.set("role", role);
    m.set("content", std::move(content));
    return m;
  };
  Json call, function, arguments;
  arguments.set("city", "Köln");
  arguments.set("n", int64_t{3});
  function.set("name", "weather");
  function.set("arguments", arguments);
  call.set("type", "function");
  call.set("function", function);
  Json with_call = message("assistant", Json());
  with_call.set("tool_calls", Json(Json::Array{call}));
  Json v;
  v.set("messages",
        Json(Json::Array{message("system", "Be brief."), message("user", "Hi <b>你好</b>\n"), with_call,
                         message("tool", "12.5"), message("assistant", "<think>x</think>ok")}));
  v.set("tools", Json(Json::Array{call}));
  v.set("add_generation_prompt", true);
  v.set("bos_token", "<s>");
  v.set("eos_token", "</s>");
  v.set("x", 1.5);
  return v;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Json kVariables = conversation();
  try {
    const auto t = ChatTemplate::parse(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
    t.mentions("messages");
    t.render(kVariables);
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::kInternal) std::abort();
  }
  return 0;
}
