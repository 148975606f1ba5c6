#include "infer/conversation.h"

namespace ds::infer {

Conversation::Conversation(const Engine& engine, const RequestDefaults& defaults)
    : engine_(engine),
      defaults_(defaults),
      session_(engine.new_session()),
      sampler_(engine.model().config().vocab_size) {
  if (!defaults.system.empty()) messages_.push_back(make_message("system", defaults.system));
}

Generation Conversation::ask(const std::string& text, const PieceSink& sink,
                             const std::function<bool()>& stop_requested) {
  messages_.push_back(make_message("user", text));
  try {
    RenderRequest chat;
    chat.messages = messages_;
    chat.thinking = defaults_.thinking;
    GenerateOptions options;
    options.settings = defaults_.settings;
    options.stream = n_turns_++;
    options.sink = sink;
    options.stop_requested = stop_requested;
    const Generation answer =
        generate(engine_, session_, sampler_, encode_chat(engine_.text(), chat, ""), options, "");
    messages_.push_back(make_message("assistant", answer.text));
    return answer;
  } catch (...) {
    messages_.pop_back();
    throw;
  }
}

}  // namespace ds::infer
