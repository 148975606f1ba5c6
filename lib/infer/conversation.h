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

  // Settings and thinking of the next answer.
  RequestDefaults& defaults() { return defaults_; }
  const std::string& system() const { return system_; }
  void set_system(const std::string& text) { system_ = text; }  // empty: none

  // Answers one turn and remembers both. An interrupted answer is remembered as far as it went. Where the
  // context has no room for the prompt and an answer, the oldest turns are forgotten first, the system prompt
  // never. When an error is thrown, this turn is forgotten and all others are as they were.
  Generation ask(const std::string& text, const PieceSink& sink, const std::function<bool()>& stop_requested);
  // Answers the last turn anew, with other random numbers. Throws Error{kUsage} when there is none.
  Generation ask_again(const PieceSink& sink, const std::function<bool()>& stop_requested);
  // Forgets the last turn and returns what was asked in it; throws likewise.
  std::string take_back();
  void reset();  // all turns

  // [{"role", "content"}, ...], the system prompt first: what --jsonl takes as "messages".
  Json messages() const;
  // Throws Error{kBadData} for what is no list of messages.
  void set_messages(const Json& messages);

  int64_t n_turns() const;                              // answered and remembered
  int64_t n_forgotten() const { return n_forgotten_; }  // turns, by the last answer, for want of room
  int64_t n_tokens() const { return n_tokens_; }        // of context, after the last answer
  int64_t ctx() const { return engine_.plan().scheduler.ctx; }

 private:
  std::vector<int32_t> prompt_of(const Json::array_t& turns) const;
  Generation answer(Json::array_t turns, const PieceSink& sink, const std::function<bool()>& stop_requested);

  const Engine& engine_;
  RequestDefaults defaults_;
  Scheduler scheduler_;
  std::string system_;
  Json::array_t turns_;  // messages but for the system prompt; the first is the user's
  uint64_t n_answers_ = 0;
  int64_t n_forgotten_ = 0, n_tokens_ = 0;
};

}  // namespace ds::infer
