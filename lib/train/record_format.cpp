#include "train/record_format.h"

#include <algorithm>

#include "core/json_members.h"

namespace ds::train {
namespace {

// The names that shared conversations have for who speaks.
constexpr std::pair<std::string_view, std::string_view> kSpeakers[] = {
    {"human", "user"},        {"user", "user"},      {"gpt", "assistant"},   {"assistant", "assistant"},
    {"chatgpt", "assistant"}, {"bing", "assistant"}, {"bard", "assistant"},  {"model", "assistant"},
    {"system", "system"},     {"tool", "tool"},      {"observation", "tool"}};

bool is_list(const Json& record, std::string_view name) {
  const Json* value = find(record, name);
  return value && value->is_array();
}
bool has(const Json& record, std::string_view name) {
  const Json* value = find(record, name);
  return value && !value->is_null();
}

const std::string& text_of(const JsonMembers& members, std::string_view name) {
  const std::string* text = members.string(name);
  if (!text) throw Error(ErrorKind::kBadData, "has no \"" + std::string(name) + "\"", members.where());
  return *text;
}

// An answer of nothing would teach the model to say nothing.
const std::string& answer_of(const JsonMembers& members, std::string_view name) {
  const std::string& text = text_of(members, name);
  if (text.empty())
    throw Error(ErrorKind::kBadData, "\"" + std::string(name) + "\" is empty: nothing to learn",
                members.where());
  return text;
}

Json message(std::string_view role, const std::string& content) {
  return Json{{"role", std::string(role)}, {"content", content}};
}

bool is_reply(const Json& m) {
  const Json* role = find(m, "role");
  return role && role->is_string() && as_string(*role) == "assistant";
}

// A turn and its "loss"; a reply of a prompt is no target.
TrainedTurn turn_of(const Json& given, bool may_train, const std::string& where) {
  const JsonMembers members(given, where);
  if (!given.is_object()) throw Error(ErrorKind::kBadData, "a message is no JSON object", where);
  const std::optional<bool> loss = members.boolean("loss");
  TrainedTurn turn{Json::object(), may_train && is_reply(given) && loss.value_or(true)};
  for (const auto& [key, value] : given.items())
    if (key != "loss") turn.message[key] = value;
  return turn;
}

void add_messages(std::vector<TrainedTurn>& turns, const Json& list, bool may_train,
                  const std::string& where) {
  for (const Json& m : list) turns.push_back(turn_of(m, may_train, where));
}

void add_system(std::vector<TrainedTurn>& turns, const JsonMembers& members) {
  const std::string* system = members.string("system");
  if (system && !system->empty()) turns.push_back({message("system", *system), false});
}

void add_pair(std::vector<TrainedTurn>& turns, const std::string& ask, const std::string& answer) {
  turns.push_back({message("user", ask), false});
  turns.push_back({message("assistant", answer), true});
}

void read_alpaca(const JsonMembers& members, std::vector<TrainedTurn>& turns) {
  add_system(turns, members);
  if (const Json* history = members.list("history"))
    for (const Json& pair : *history) {
      if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string())
        members.refuse("history", "a list of pairs of texts");
      add_pair(turns, as_string(pair[0]), as_string(pair[1]));
    }
  const std::string* input = members.string("input");
  const std::string& instruction = text_of(members, "instruction");
  add_pair(turns, input && !input->empty() ? instruction + "\n" + *input : instruction,
           answer_of(members, "output"));
}

void read_sharegpt(const JsonMembers& members, std::vector<TrainedTurn>& turns) {
  add_system(turns, members);
  const Json* list = members.list("conversations");
  for (const Json& given : list ? *list : Json::array()) {
    const Json *from = find(given, "from"), *value = find(given, "value");
    if (find(given, "role")) {  // messages under another name
      turns.push_back(turn_of(given, true, members.where()));
      continue;
    }
    if (!from || !from->is_string() || !value || !value->is_string())
      throw Error(ErrorKind::kBadData,
                  "a turn of \"conversations\" must have the texts \"from\" and \"value\"", members.where());
    const auto* speaker = std::find_if(std::begin(kSpeakers), std::end(kSpeakers),
                                       [&](const auto& s) { return s.first == as_string(*from); });
    if (speaker == std::end(kSpeakers))
      throw Error(ErrorKind::kBadData, "a turn is from \"" + as_string(*from) + "\"", members.where(),
                  "turns are from human, gpt, system and tool; calls of functions need \"messages\"");
    Json turn = message(speaker->second, as_string(*value));
    if (const Json* loss = find(given, "loss")) turn["loss"] = *loss;
    turns.push_back(turn_of(turn, true, members.where()));
  }
}

void read_conversation(const Json& record, RecordFormat format, const JsonMembers& members,
                       TrainingText& out) {
  if (format == RecordFormat::kAlpaca) return read_alpaca(members, out.turns);
  if (format == RecordFormat::kShareGpt) return read_sharegpt(members, out.turns);
  if (format == RecordFormat::kMessages) {
    add_system(out.turns, members);
    const Json* list = members.list("messages");
    if (!list) throw Error(ErrorKind::kBadData, "has no \"messages\"", members.where());
    add_messages(out.turns, *list, true, members.where());
  } else {
    add_messages(out.turns, *find(record, "prompt"), false, members.where());
    if (!is_list(record, "completion")) members.refuse("completion", "a list of messages, as \"prompt\" is");
    add_messages(out.turns, *find(record, "completion"), true, members.where());
  }
  if (const Json* tools = members.list("tools")) out.tools = *tools;
}

void train_last(std::vector<TrainedTurn>& turns) {
  TrainedTurn* last = nullptr;
  for (TrainedTurn& turn : turns) {
    turn.trained = false;
    if (is_reply(turn.message)) last = &turn;
  }
  if (last) last->trained = true;
}

}  // namespace

const std::map<std::string, RecordFormat>& record_format_names() {
  static const std::map<std::string, RecordFormat> names = {{"qa", RecordFormat::kQuestionAnswer},
                                                            {"alpaca", RecordFormat::kAlpaca},
                                                            {"sharegpt", RecordFormat::kShareGpt},
                                                            {"messages", RecordFormat::kMessages},
                                                            {"completion", RecordFormat::kPromptCompletion},
                                                            {"text", RecordFormat::kText},
                                                            {"tokens", RecordFormat::kTokenised}};
  return names;
}

std::string name_of(RecordFormat format) {
  for (const auto& [name, value] : record_format_names())
    if (value == format) return name;
  return "";
}

std::optional<RecordFormat> detect_format(const Json& r) {
  if (has(r, "input_ids")) return RecordFormat::kTokenised;
  if (has(r, "messages")) return RecordFormat::kMessages;
  if (has(r, "conversations")) return RecordFormat::kShareGpt;
  if (has(r, "prompt") && has(r, "completion")) return RecordFormat::kPromptCompletion;
  if (has(r, "instruction") && has(r, "output")) return RecordFormat::kAlpaca;
  if (has(r, "question") && has(r, "answer")) return RecordFormat::kQuestionAnswer;
  if (has(r, "text")) return RecordFormat::kText;
  return std::nullopt;
}

std::string members_text(const Json& record) {
  constexpr size_t kMost = 8;
  std::string out;
  size_t n = 0;
  for (const auto& [name, value] : record.items()) {
    if (++n > kMost) return out + ", ..";
    out += (out.empty() ? "" : ", ") + ("\"" + name + "\"");
  }
  return out.empty() ? "no members" : out;
}

TrainingText read_training_text(const Json& record, RecordFormat format, TrainOn train_on, bool as_chat,
                                const std::string& where) {
  const JsonMembers members(record, where);
  TrainingText out;
  const bool pair = format == RecordFormat::kQuestionAnswer ||
                    (format == RecordFormat::kPromptCompletion && !is_list(record, "prompt"));
  if (pair) {
    const bool question = format == RecordFormat::kQuestionAnswer;
    const std::string& prompt = text_of(members, question ? "question" : "prompt");
    const std::string& target = answer_of(members, question ? "answer" : "completion");
    if (!as_chat) return {{}, Json(), prompt, target};
    add_system(out.turns, members);
    add_pair(out.turns, prompt, target);
  } else if (format == RecordFormat::kText) {
    return {{}, Json(), "", answer_of(members, "text")};
  } else {
    read_conversation(record, format, members, out);
  }
  if (out.turns.empty()) throw Error(ErrorKind::kBadData, "the conversation has no turns", where);
  if (train_on == TrainOn::kLast) train_last(out.turns);
  if (std::none_of(out.turns.begin(), out.turns.end(), [](const TrainedTurn& t) { return t.trained; }))
    throw Error(ErrorKind::kBadData, "no turn of the conversation is trained: nothing to learn", where,
                "a reply has the role \"assistant\", and not \"loss\": false");
  return out;
}

}  // namespace ds::train
