#include "infer/conversation.h"

namespace ds::infer {

Conversation::Conversation(const Engine& engine, const RequestDefaults& defaults)
    : engine_(engine), defaults_(defaults), scheduler_(engine) {
  if (!defaults.system.empty()) messages_.push_back(make_message("system", defaults.system));
}

Generation Conversation::ask(const std::string& text, const PieceSink& sink,
                             const std::function<bool()>& stop_requested) {
  messages_.push_back(make_message("user", text));
  try {
    RenderRequest chat;
    chat.messages = messages_;
    chat.thinking = defaults_.thinking;
    GenerateRequest request;
    request.prompt = encode_chat(engine_.text(), chat, "");
    request.settings = defaults_.settings;
    request.stream = n_turns_++;
    request.reuse = PrefixReuse::kToRounding;
    const Generation answer = scheduler_.run(std::move(request), {sink}, stop_requested);
    messages_.push_back(make_message("assistant", answer.text));
    return answer;
  } catch (...) {
    messages_.pop_back();
    throw;
  }
}

}  // namespace ds::infer
