#include "infer/text_jobs.h"

#include <charconv>

#include "core/json_value.h"

namespace ds::infer {

RecordCounts tokenize_records(const ModelText& text, const RecordJob& job, bool add_special) {
  return for_each_record(job, {"id", "text", "parse_special", "add_special"}, [&](const Record& record) {
    const JsonMembers members = record.members();
    const std::string* input = members.string("text");
    if (!input) throw Error(ErrorKind::kBadData, "a record needs \"text\"", record.where);
    const bool parse_special = members.boolean("parse_special").value_or(true);
    const bool framed = members.boolean("add_special").value_or(add_special);
    Json::array_t ids;
    for (const int32_t id :
         framed ? text.encode_plain(*input, parse_special) : text.tokenizer().encode(*input, parse_special))
      ids.push_back(id);
    Json out;
    out["ids"] = std::move(ids);
    return out;
  });
}

RecordCounts detokenize_records(const ModelText& text, const RecordJob& job) {
  return for_each_record(job, {"id", "ids", "skip_special"}, [&](const Record& record) {
    const JsonMembers members = record.members();
    const auto ids = ids_member(members, "ids");
    if (!ids) throw Error(ErrorKind::kBadData, "a record needs \"ids\"", record.where);
    const bool skip_special = members.boolean("skip_special").value_or(false);
    Json out;
    try {
      out["text"] = text.tokenizer().decode(*ids, skip_special);
    } catch (const Error& e) {
      throw Error(e.kind(), e.what(), record.where, e.hint());
    }
    return out;
  });
}

RecordCounts render_records(const ModelText& text, const RecordJob& job, const RequestDefaults& defaults) {
  return for_each_record(job, and_chat_members({"id", "prompt", "raw"}), [&](const Record& record) {
    const JsonMembers members = record.members();
    const std::string* prompt = members.string("prompt");
    const Json* messages = members.list("messages");
    require_one_of(record, {"prompt", "messages"});
    Json out;
    if (prompt && members.boolean("raw").value_or(defaults.raw)) {
      out["text"] = *prompt;
      return out;
    }
    const Json given = prompt ? Json::array({make_message("user", *prompt)}) : *messages;
    out["text"] = text.render(chat_of(record, given, defaults, ChatEnd::kAnswer), record.where);
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
