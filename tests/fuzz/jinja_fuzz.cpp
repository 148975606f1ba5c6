// Bytes as a chat template, rendered with an ordinary conversation. Only ds::Error may come out.
#include <cstdlib>
#include <string>

#include "core/error.h"
#include "core/json_value.h"
#include "text/jinja/chat_template.h"

using namespace ds;
using namespace ds::text;

namespace {

Json conversation() {
  const auto message = [](const char* role, Json content) {
    Json m;
    m["role"] = role;
    m["content"] = std::move(content);
    return m;
  };
  Json call, function, arguments;
  arguments["city"] = "Köln";
  arguments["n"] = int64_t{3};
  function["name"] = "weather";
  function["arguments"] = arguments;
  call["type"] = "function";
  call["function"] = function;
  Json with_call = message("assistant", Json());
  with_call["tool_calls"] = Json::array({call});
  Json v;
  v["messages"] = Json::array({message("system", "Be brief."), message("user", "Hi <b>你好</b>\n"), with_call,
                               message("tool", "12.5"), message("assistant", "<think>x</think>ok")});
  v["tools"] = Json::array({call});
  v["add_generation_prompt"] = true;
  v["bos_token"] = "<s>";
  v["eos_token"] = "</s>";
  v["x"] = 1.5;
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
