#include "infer/text_jobs.h"

#include <charconv>

namespace ds::infer {

RecordCounts tokenize_records(const ModelText& text, const RecordJob& job) {
  return for_each_record(job, [&](const Record& record) {
    const std::string* input = string_member(record, "text");
    if (!input) throw Error(ErrorKind::kBadData, "a record needs \"text\"", record.where);
    const bool parse_special = bool_member(record, "parse_special").value_or(true);
    Json::Array ids;
    for (const int32_t id : text.tokenizer().encode(*input, parse_special)) ids.push_back(id);
    Json out;
    out.set("ids", std::move(ids));
    return out;
  });
}

RecordCounts detokenize_records(const ModelText& text, const RecordJob& job) {
  return for_each_record(job, [&](const Record& record) {
    const auto ids = ids_member(record, "ids");
    if (!ids) throw Error(ErrorKind::kBadData, "a record needs \"ids\"", record.where);
    const bool skip_special = bool_member(record, "skip_special").value_or(false);
    Json out;
    try {
      out.set("text", text.tokenizer().decode(*ids, skip_special));
    } catch (const Error& e) {
      throw Error(e.kind(), e.what(), record.where, e.hint());
    }
    return out;
  });
}

RecordCounts render_records(const ModelText& text, const RecordJob& job) {
  return for_each_record(job, [&](const Record& record) {
    RenderRequest chat;
    const Json* messages = record.json.find("messages");
    if (!messages || !messages->is_array())
      throw Error(ErrorKind::kBadData, "a record needs \"messages\", a list", record.where);
    chat.messages = *messages;
    if (const Json* tools = record.json.find("tools")) chat.tools = *tools;
    chat.add_generation_prompt = bool_member(record, "add_generation_prompt").value_or(true);
    chat.thinking = bool_member(record, "thinking");
    if (const Json* extra = record.json.find("extra"); extra && !extra->is_null()) {
      if (!extra->is_object()) throw Error(ErrorKind::kBadData, "\"extra\" must be an object", record.where);
      chat.extra = *extra;
    }
    Json out;
    out.set("text", text.render(chat, record.where));
    return out;
  });
}

std::vector<int32_t> parse_ids(std::string_view text, const std::string& where) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < text.size();) {
    if (std::string_view(" \t\r\n,[]").find(text[i]) != std::string_view::npos) {
      ++i;
      continue;
    }
    int32_t id = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + text.size(), id);
    if (error != std::errc() || id < 0)
      throw Error(ErrorKind::kBadData, "no token id at byte " + std::to_string(i), where,
                  "ids are whole numbers separated by spaces, or JSON lists of them");
    ids.push_back(id);
    i = end - text.data();
  }
  return ids;
}

void write_ids(const std::vector<int32_t>& ids, OutputStream& out) {
  constexpr size_t kMaxBytes = 12;  // of one id and its space
  char text[kMaxBytes];
  for (size_t i = 0; i < ids.size(); ++i) {
    char* at = text;
    if (i > 0) *at++ = ' ';
    at = std::to_chars(at, text + kMaxBytes, ids[i]).ptr;
    out.write({text, static_cast<size_t>(at - text)});
  }
  out.write("\n");
}

}  // namespace ds::infer
