// A chat of several turns over one scheduler: the cache of earlier turns is kept as far as the rendered
// prompts agree.
#pragma once
#include <string>

#include "core/json_value.h"
#include "infer/engine.h"
#include "infer/request.h"
#include "infer/scheduler.h"

namespace ds::infer {

class Conversation {
 public:
  Conversation(const Engine& engine, const RequestDefaults& defaults);

  // Answers one turn and remembers both. An interrupted answer is remembered as far as it went; when an error
  // is thrown, the turn is forgotten.
  Generation ask(const std::string& text, const PieceSink& sink, const std::function<bool()>& stop_requested);

 private:
  const Engine& engine_;
  RequestDefaults defaults_;
  Scheduler scheduler_;
  Json::array_t messages_;
  uint64_t n_turns_ = 0;
};

}  // namespace ds::infer
