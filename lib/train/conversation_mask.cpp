#include "train/conversation_mask.h"

#include <algorithm>
#include <functional>

namespace ds::train {
namespace {

constexpr std::string_view kThink = "<think>", kThinkEnd = "</think>", kSpaces = " \t\r\n";
constexpr std::string_view kReasoningNames[] = {"reasoning_content", "thinking", "reasoning"};

bool is_role(const Json& message, std::string_view wanted) {
  const Json* role = find(message, "role");
  return role && role->is_string() && as_string(*role) == wanted;
}

std::string_view stripped(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpaces);
  return begin == std::string_view::npos ? ""
                                         : text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

// The text of a reply: its content, or its text parts joined. Nothing for other content.
std::optional<std::string> reply_text(const Json& message) {
  const Json* content = find(message, "content");
  if (!content) return std::nullopt;
  if (content->is_string()) return as_string(*content);
  if (!content->is_array()) return std::nullopt;
  std::string text;
  for (const Json& part : *content) {
    const Json* own = part.is_string() ? &part : find(part, "text");
    if (!own || !own->is_string()) return std::nullopt;
    text += as_string(*own);
  }
  return text;
}

// Where one trained reply stands in the text that the template printed, marks and all.
struct Reply {
  size_t message = 0;         // which
  std::string mark, text;     // text: what the mark stands for; "" with no mark: printed by the template
  size_t begin = 0, end = 0;  // of the mark, or of what is trained
};

class Masker {
 public:
  Masker(const ModelText& text, const TrainingText& conversation, bool parse_special,
         const std::string& where)
      : text_(text), conversation_(conversation), parse_special_(parse_special), where_(where) {}

  MaskedConversation run() {
    mark_replies();
    full_ = render(messages_.size(), false, {});
    for (Reply& reply : replies_) reply.mark.empty() ? locate_printed(reply) : locate_mark(reply);
    size_t at = 0;
    for (const Reply& reply : replies_)
      at = reply.mark.empty() ? add_printed(reply, at) : add_marked(reply, at);
    // A template's last words (a line feed, the next header) teach nothing.
    if (replies_.back().message + 1 < messages_.size()) add(full_.substr(at), true, false);
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const Reply& reply, const std::string& what) const {
    throw Error(ErrorKind::kBadData, "message " + std::to_string(reply.message + 1) + ": " + what, where_,
                "the mask would be wrong; give another template with --chat-template, or train the last "
                "turn alone");
  }

  std::string render(size_t n, bool generation_prompt, std::optional<bool> thinking) const {
    RenderRequest request;
    request.messages = Json::array();
    for (size_t i = 0; i < n; ++i) request.messages.push_back(messages_[i]);
    request.tools = conversation_.tools;
    request.add_generation_prompt = generation_prompt;
    request.thinking = thinking;
    return text_.render(request, where_);
  }

  // A text that the data does not hold.
  std::string new_mark(size_t i) const {
    for (int n = 0;; ++n) {
      const std::string mark = "\uE000r" + std::to_string(i) + "n" + std::to_string(n) + "\uE001";
      const auto holds = [&](const TrainedTurn& turn) {
        return dump(turn.message).find(mark) != std::string::npos;
      };
      if (std::none_of(conversation_.turns.begin(), conversation_.turns.end(), holds)) return mark;
    }
  }

  void mark_replies() {
    const auto& turns = conversation_.turns;
    for (size_t i = 0; i < turns.size(); ++i) {
      Json message = turns[i].message;
      std::optional<std::string> text = reply_text(message);
      const Json* calls = find(message, "tool_calls");
      const bool calls_tools = calls && !calls->is_null() && !calls->empty();
      if (turns[i].trained && text && !calls_tools) {
        Reply reply{i, new_mark(i), inline_reasoning(message) + *text};
        for (const std::string_view name : kReasoningNames) message.erase(std::string(name));
        message["content"] = reply.mark;
        replies_.push_back(std::move(reply));
      } else if (turns[i].trained) {
        replies_.push_back({i, "", ""});
      } else if (text && is_role(message, "assistant") && asked_again_behind(i)) {
        if (const size_t end = text->rfind(kThinkEnd); end != std::string::npos)
          message["content"] = text->substr(end + kThinkEnd.size());
      }
      messages_.push_back(std::move(message));
    }
  }

  static std::string inline_reasoning(const Json& message) {
    for (const std::string_view name : kReasoningNames)
      if (const Json* r = find(message, name); r && r->is_string() && !as_string(*r).empty())
        return std::string(kThink) + "\n" + as_string(*r) + "\n" + std::string(kThinkEnd) + "\n\n";
    return "";
  }

  bool asked_again_behind(size_t i) const {
    const auto& turns = conversation_.turns;
    return std::any_of(turns.begin() + static_cast<ptrdiff_t>(i), turns.end(),
                       [](const TrainedTurn& t) { return is_role(t.message, "user"); });
  }

  void locate_mark(Reply& reply) const {
    reply.begin = full_.find(reply.mark);
    if (reply.begin == std::string::npos) refuse(reply, "the chat template does not print this reply");
    reply.end = reply.begin + reply.mark.size();
    if (full_.find(reply.mark, reply.end) != std::string::npos)
      refuse(reply, "the chat template prints this reply twice");
  }

  // A reply that calls tools: what the text up to it has beyond its own prompt. A template that prints the
  // last message otherwise than one in the middle (Qwen3 does) has it end where the next end of text stands.
  void locate_printed(Reply& reply) const {
    const std::string prompt = render(reply.message, true, {}), said = render(reply.message + 1, false, {});
    if (!full_.starts_with(prompt) || said.size() <= prompt.size())
      refuse(reply, "the chat template does not print this call of tools right behind its generation prompt");
    reply.begin = prompt.size();
    reply.end = full_.starts_with(said) ? said.size() : next_end_of_text(reply.begin);
    while (reply.end > reply.begin && kSpaces.find(full_[reply.end - 1]) != kSpaces.npos) --reply.end;
    if (reply.end == reply.begin)
      refuse(reply, "the chat template prints no end of turn behind this call of tools");
  }

  // Where the next EOS ends; `from` when there is none.
  size_t next_end_of_text(size_t from) const {
    size_t end = std::string::npos;
    for (const int32_t id : text_.eos_ids()) {
      const std::string_view eos = text_.tokenizer().token_bytes(id);
      if (const size_t at = full_.find(eos, from); at != std::string::npos)
        end = std::min(end, at + eos.size());
    }
    return end == std::string::npos ? from : end;
  }

  void add(std::string_view text, bool special, bool trained) {
    if (text.empty()) return;
    for (const int32_t id : text_.tokenizer().encode(text, special)) {
      out_.input_ids.push_back(id);
      out_.labels.push_back(trained ? id : kNotTrained);
    }
  }

  size_t add_printed(const Reply& reply, size_t at) {
    add(full_.substr(at, reply.begin - at), true, false);
    add(full_.substr(reply.begin, reply.end - reply.begin), true, true);
    return reply.end;
  }

  size_t add_marked(const Reply& reply, size_t at) {
    const bool thinks = reply.text.starts_with(kThink);
    const std::string prompt = render(
        reply.message, true, thinks && text_.can_switch_thinking() ? std::optional(true) : std::nullopt);
    // What the generation prompt says in the end and the printed conversation does not, and the other way
    // round.
    const std::string before = full_.substr(0, reply.begin);
    size_t same = 0;
    while (same < std::min(before.size(), prompt.size()) && before[same] == prompt[same]) ++same;
    if (same < before.size() && same < prompt.size())  // within "<think>" and "</think>", say
      if (const size_t open = before.rfind('<', same);
          open != std::string::npos && same - open < kThink.size())
        same = open;
    std::string asked = prompt.substr(same), printed = before.substr(same), reply_rest = reply.text;
    if (same < at) refuse(reply, "the chat template prints what stands before it otherwise once it is there");
    if (asked.empty()) {
      // Qwen3 prints empty reasoning before a reply that has none.
      if (thinks) printed.clear();
    } else if (stripped(asked) == kThink && thinks &&
               (stripped(printed).empty() || stripped(printed) == kThinkEnd)) {
      reply_rest = reply_rest.substr(kThink.size());
      const std::string_view feed = std::string_view(asked).substr(asked.find(kThink) + kThink.size());
      if (reply_rest.starts_with(feed)) reply_rest = reply_rest.substr(feed.size());
      printed.clear();
    } else if (stripped(asked) == kThink && !thinks && printed.empty()) {
      out_.unlike_inference = true;
      asked.clear();
    } else {
      refuse(reply, "the chat template does not print this reply right behind its generation prompt");
    }
    add(full_.substr(at, same - at) + asked, true, false);
    add(printed + reply_rest, parse_special_, true);
    return add_end_of_turn(reply);
  }

  // The special token behind a reply, which tells the model to stop. Returns where it ends.
  size_t add_end_of_turn(const Reply& reply) {
    const std::string_view rest = std::string_view(full_).substr(reply.end);
    const Tokenizer& tokenizer = text_.tokenizer();
    constexpr size_t kEnough = 256;  // bytes; more than a special token has
    const std::vector<int32_t> ids = tokenizer.encode(rest.substr(0, kEnough));
    size_t length = 0;
    for (const int32_t id : ids) {
      const std::string_view bytes = tokenizer.token_bytes(id);
      if (tokenizer.is_special(id)) {
        const size_t found = rest.find(bytes, 0);
        if (found == std::string_view::npos) break;
        const size_t end = found + bytes.size();
        add(rest.substr(0, end), true, true);
        return reply.end + end;
      }
      length += bytes.size();
      if (!stripped(rest.substr(0, std::min(length, rest.size()))).empty()) break;
    }
    refuse(reply,
           "the chat template prints no end of turn behind this reply: nothing would teach the model "
           "to stop");
  }

  const ModelText& text_;
  const TrainingText& conversation_;
  const bool parse_special_;
  const std::string& where_;
  std::vector<Json> messages_;  // with marks
  std::vector<Reply> replies_;
  std::string full_;
  MaskedConversation out_;
};

}  // namespace

MaskedConversation mask_conversation(const ModelText& text, const TrainingText& conversation,
                                     bool parse_special, const std::string& where) {
  return Masker(text, conversation, parse_special, where).run();
}

}  // namespace ds::train
