#include "infer/chat.h"

#include <algorithm>
#include <array>

#include "infer/prompt.h"
#include "io/files.h"
#include "io/jsonl.h"

namespace ds::infer {
namespace {

constexpr std::string_view kBlock = "\"\"\"";
constexpr const char* kHelp = R"(/help            this list
/system [TEXT]   show the system prompt, or set it; "" for none
/reset           forget all turns; the system prompt stays
/save FILE       the conversation as a record of --jsonl
/load FILE       go on with one that was saved
/regen           answer the last question again
/edit            take the last question back and change it
/think [on|off]  ask for reasoning, where the template has a switch
/set [KEY VALUE] temperature, top_k, top_p, min_p, repeat_penalty, seed, max_tokens, stop
/bye             end, as Ctrl-D
""" begins and ends a message of several lines. A message that begins with a slash is put between them.
Ctrl-C stops an answer.
)";

struct Command {
  std::string name, rest;
};

Command command_of(const std::string& line) {
  const size_t end = std::min(line.find_first_of(" \t\n"), line.size());
  const size_t begin = line.find_first_not_of(" \t\n", end);
  const size_t last = line.find_last_not_of(" \t\n");
  return {line.substr(1, end - 1), begin == std::string::npos ? "" : line.substr(begin, last + 1 - begin)};
}

[[noreturn]] void usage(const std::string& what, const std::string& where = "") {
  throw Error(ErrorKind::kUsage, what, where, "/help lists what there is");
}

class Chat {
 public:
  Chat(const Engine& engine, const RequestDefaults& defaults, const ChatStreams& streams)
      : engine_(engine), conversation_(engine, defaults), streams_(streams), printer_(streams.printer) {}

  void run() {
    while (std::optional<std::string> text = streams_.ask("> ", std::exchange(begin_, ""))) {
      if (text->find_first_not_of(" \t\n") == std::string::npos) continue;
      if (repair_utf8(*text)) streams_.note("not valid UTF-8: broken parts were replaced by U+FFFD");
      try {
        if (!take(*text)) return;
      } catch (const Error& e) {
        // The model's own failings end the chat; what another message or file can mend does not.
        if (e.kind() == ErrorKind::kBadModel || e.kind() == ErrorKind::kInternal) throw;
        streams_.warn(e.message());
      }
    }
  }

 private:
  // False: the end.
  bool take(const std::string& text) {
    if (text.compare(0, kBlock.size(), kBlock) == 0) {
      const std::optional<std::string> block = rest_of_block(text.substr(kBlock.size()));
      if (block && !block->empty()) ask(*block);
      return true;
    }
    if (text[0] != '/') return ask(text), true;
    const Command command = command_of(text);
    if (command.name == "bye") return false;
    obey(command);
    return true;
  }

  // Lines up to the one that ends in """; nothing where input ends before.
  std::optional<std::string> rest_of_block(std::string text) {
    const auto ends = [&] {
      return text.size() >= kBlock.size() &&
             text.compare(text.size() - kBlock.size(), kBlock.size(), kBlock) == 0;
    };
    while (!ends()) {
      const std::optional<std::string> line = streams_.ask("... ", "");
      if (!line) return std::nullopt;
      text += (text.empty() ? "" : "\n") + *line;
    }
    text.resize(text.size() - kBlock.size());
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }

  void obey(const Command& command) {
    const auto& [name, rest] = command;
    if (name == "help" || name == "?")
      streams_.show(kHelp);
    else if (name == "system")
      system(rest);
    else if (name == "reset")
      conversation_.reset();
    else if (name == "save")
      save(rest);
    else if (name == "load")
      load(rest);
    else if (name == "regen")
      answer([&](const PieceSink& sink) { return conversation_.ask_again(sink, streams_.stop); });
    else if (name == "edit")
      begin_ = conversation_.take_back();
    else if (name == "think")
      think(rest);
    else if (name == "set")
      set(rest);
    else
      usage("no command", "/" + name);
  }

  void ask(const std::string& text) {
    answer([&](const PieceSink& sink) { return conversation_.ask(text, sink, streams_.stop); });
  }

  template <class Answer>
  void answer(Answer&& make) {
    Generation answer;
    try {
      answer = make(printer_.sink());
    } catch (...) {
      printer_.end(true);
      throw;
    }
    printer_.end(true);
    tell_limits(answer);
    RecordRequest request;
    request.id = ++n_answers_;
    streams_.on_timing(timing_record(request, answer));
  }

  void tell_limits(const Generation& answer) {
    const int64_t max_tokens = conversation_.defaults().settings.max_tokens, ctx = conversation_.ctx();
    if (answer.finish_reason == FinishReason::kInterrupted) streams_.note("stopped");
    if (answer.finish_reason == FinishReason::kLength) {
      const bool by_limit = max_tokens > 0 && static_cast<int64_t>(answer.ids.size()) >= max_tokens;
      streams_.note(by_limit
                        ? "cut after " + std::to_string(max_tokens) + " tokens; /set max_tokens changes that"
                        : "cut: the context of " + std::to_string(ctx) + " tokens is full");
    }
    if (conversation_.n_forgotten() > 0)
      streams_.note("the context was full: oldest turns forgotten: " +
                    std::to_string(conversation_.n_forgotten()));
    if (conversation_.n_tokens() > ctx / 4 * 3)
      streams_.note("context: " + std::to_string(conversation_.n_tokens()) + " of " + std::to_string(ctx) +
                    " tokens; when it is full the oldest turns go, /reset forgets all");
  }

  void system(const std::string& text) {
    if (text.empty())
      return streams_.show(conversation_.system().empty() ? "no system prompt\n"
                                                          : conversation_.system() + "\n");
    conversation_.set_system(text == "\"\"" ? "" : text);
  }

  void save(const std::string& path) {
    if (path.empty() || path == "-") usage("needs a file", "/save");
    Json record;
    record["messages"] = conversation_.messages();
    AtomicFile file(path);
    file.write(dump(record) + "\n");
    file.commit();
    streams_.note("saved " + path + ", turns: " + std::to_string(conversation_.n_turns()));
  }

  void load(const std::string& path) {
    if (path.empty() || path == "-") usage("needs a file", "/load");
    JsonlReader reader(path);
    const std::optional<JsonlRecord> record = reader.next();
    const Json* messages = record ? find(record->json, "messages") : nullptr;
    if (!messages)
      throw Error(ErrorKind::kBadData, "no conversation: a record with \"messages\" is needed", path);
    conversation_.set_messages(*messages);
    streams_.note("loaded " + path + ", turns: " + std::to_string(conversation_.n_turns()));
  }

  void think(const std::string& word) {
    if (word != "" && word != "on" && word != "off") usage("on or off", "/think " + word);
    if (!engine_.text().can_switch_thinking())
      throw Error(ErrorKind::kUsage, "the chat template has no switch for reasoning", "/think");
    conversation_.defaults().thinking = word != "off";
  }

  // KEY and VALUE as a record says them; a value that is no JSON is text.
  void set(const std::string& pair) {
    GenerationSettings& settings = conversation_.defaults().settings;
    if (pair.empty()) return show_settings(settings);
    constexpr std::array<std::string_view, 8> kKeys = {"temperature",    "top_k", "top_p",      "min_p",
                                                       "repeat_penalty", "seed",  "max_tokens", "stop"};
    const size_t end = std::min(pair.find_first_of(" \t="), pair.size());
    std::string key = pair.substr(0, end);
    std::replace(key.begin(), key.end(), '-', '_');
    const size_t begin = pair.find_first_not_of(" \t=", end);
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end() || begin == std::string::npos)
      usage("KEY and VALUE, as in /set temperature 0.7", "/set " + pair);
    const std::string value = pair.substr(begin);
    Record record;
    record.where = "/set";
    try {
      record.json = parse_jsonl_line("{\"" + key + "\":" + value + "}", record.where);
    } catch (const Error&) {
      record.json[key] = value;
    }
    settings = with_overrides(settings, overrides_of(record), ErrorKind::kBadData, record.where);
  }

  void show_settings(const GenerationSettings& settings) {
    const SamplingParams& s = settings.sampling;
    Json shown;
    shown["temperature"] = s.temperature;
    shown["top_k"] = s.top_k;
    shown["top_p"] = s.top_p;
    shown["min_p"] = s.min_p;
    shown["repeat_penalty"] = s.repeat_penalty;
    shown["seed"] = s.seed;
    shown["max_tokens"] = settings.max_tokens;
    shown["stop"] = settings.stop;
    for (const auto& [key, value] : shown.items()) streams_.show(key + " " + dump(value) + "\n");
  }

  const Engine& engine_;
  Conversation conversation_;
  const ChatStreams& streams_;
  AnswerPrinter printer_;
  std::string begin_;  // of the next message
  int64_t n_answers_ = 0;
};

}  // namespace

void chat(const Engine& engine, const RequestDefaults& defaults, const ChatStreams& streams) {
  Chat(engine, defaults, streams).run();
}

}  // namespace ds::infer
