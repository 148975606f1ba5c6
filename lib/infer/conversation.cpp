#include "infer/conversation.h"

#include <algorithm>

namespace ds::infer {
namespace {

bool is_question(const Json& message) { return has_role(message, "user"); }

// Leaves out the oldest turn; false where there is only one.
bool forget_oldest(Json::array_t& turns) {
  const auto second = turns.empty() ? turns.end() : std::find_if(turns.begin() + 1, turns.end(), is_question);
  if (second == turns.end()) return false;
  turns.erase(turns.begin(), second);
  return true;
}

// The last turn alone, from its question on. Throws when there is none.
Json::array_t::const_iterator last_turn(const Json::array_t& turns) {
  const auto last = std::find_if(turns.rbegin(), turns.rend(), is_question);
  if (last == turns.rend()) throw Error(ErrorKind::kUsage, "there is no turn yet", "");
  return std::prev(last.base());
}

}  // namespace

Conversation::Conversation(const Engine& engine, const RequestDefaults& defaults)
    : engine_(engine), defaults_(defaults), scheduler_(engine), system_(defaults.system) {}

Generation Conversation::ask(const std::string& text, const PieceSink& sink,
                             const std::function<bool()>& stop_requested) {
  Json::array_t turns = turns_;
  turns.push_back(make_message("user", text));
  return answer(std::move(turns), sink, stop_requested);
}

Generation Conversation::ask_again(const PieceSink& sink, const std::function<bool()>& stop_requested) {
  return answer(Json::array_t(turns_.cbegin(), std::next(last_turn(turns_))), sink, stop_requested);
}

std::string Conversation::take_back() {
  const auto last = last_turn(turns_);
  const Json* content = find(*last, "content");
  const std::string text = content && content->is_string() ? as_string(*content) : "";
  turns_.erase(last, turns_.cend());
  return text;
}

void Conversation::reset() {
  turns_.clear();
  n_tokens_ = 0;
}

int64_t Conversation::n_turns() const { return std::count_if(turns_.begin(), turns_.end(), is_question); }

Json Conversation::messages() const {
  Json::array_t all;
  if (!system_.empty()) all.push_back(make_message("system", system_));
  all.insert(all.end(), turns_.begin(), turns_.end());
  return all;
}

void Conversation::set_messages(const Json& messages) {
  if (!messages.is_array()) throw Error(ErrorKind::kBadData, "no list of messages", "messages");
  auto turns = messages.get<Json::array_t>();
  std::string system;
  if (!turns.empty() && has_role(turns.front(), "system")) {
    const Json* content = find(turns.front(), "content");
    if (!content || !content->is_string())
      throw Error(ErrorKind::kBadData, "the system prompt is no text", "messages");
    system = as_string(*content);
    turns.erase(turns.begin());
  }
  if (!turns.empty() && !is_question(turns.front()))
    throw Error(ErrorKind::kBadData, "the first turn is not the user's", "messages");
  if (!turns.empty()) prompt_of(turns);  // what the template refuses is no conversation
  system_ = std::move(system);
  turns_ = std::move(turns);
  n_tokens_ = 0;
}

std::vector<int32_t> Conversation::prompt_of(const Json::array_t& turns) const {
  RenderRequest chat;
  Json::array_t all;
  if (!system_.empty()) all.push_back(make_message("system", system_));
  all.insert(all.end(), turns.begin(), turns.end());
  chat.messages = std::move(all);
  chat.thinking = defaults_.thinking;
  return encode_chat(engine_.text(), chat, "");
}

Generation Conversation::answer(Json::array_t turns, const PieceSink& sink,
                                const std::function<bool()>& stop_requested) {
  GenerateRequest request;
  request.prompt = prompt_of(turns);
  request.settings = defaults_.settings;
  request.stream = n_answers_++;
  request.reuse = PrefixReuse::kToRounding;
  const int64_t max_tokens = defaults_.settings.max_tokens;
  const int64_t for_answer = max_tokens > 0 ? std::min(max_tokens, ctx() / 4) : ctx() / 4;
  const auto fits = [&](int64_t room) { return static_cast<int64_t>(request.prompt.size()) <= room; };
  // Once a turn must go, as many go as make room for a while: what is left is read anew each time.
  int64_t n_forgotten = 0;
  if (!fits(ctx() - for_answer))
    for (; !fits(ctx() / 2) && forget_oldest(turns); ++n_forgotten) request.prompt = prompt_of(turns);
  Generation answer = scheduler_.run(std::move(request), {sink}, stop_requested);
  turns.push_back(make_message("assistant", answer.text));
  turns_ = std::move(turns);
  n_forgotten_ = n_forgotten;
  n_tokens_ = answer.n_prompt_tokens + static_cast<int64_t>(answer.ids.size());
  return answer;
}

}  // namespace ds::infer
