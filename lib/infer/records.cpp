#include "infer/records.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "core/json_value.h"
#include "io/json.h"

namespace ds::infer {
namespace {

// What OpenAI, vLLM, SGLang, llama.cpp, Ollama, Mistral and transformers call the members of a request.
constexpr JsonSynonym kSynonyms[] = {
    {"max_completion_tokens", "max_tokens"},
    {"max_new_tokens", "max_tokens"},
    {"max_output_tokens", "max_tokens"},
    {"n_predict", "max_tokens"},
    {"num_predict", "max_tokens"},
    {"repetition_penalty", "repeat_penalty"},
    {"stop_sequences", "stop"},
    {"stop_strings", "stop"},
    {"random_seed", "seed"},
    {"prompt_token_ids", "input_ids"},
    {"return_token_ids", "return_ids"},
    {"system_prompt", "system"},
    {"enable_thinking", "thinking"},
    {"chat_template_kwargs", "extra"},
    {"add_special_tokens", "add_special"},
    {"skip_special_tokens", "skip_special"},
    {"custom_id", "id"},
};
constexpr size_t kMostNotes = 20;

// What a record without an id is called.
std::string line_name(int64_t line_number) { return "line:" + std::to_string(line_number); }

// The line that an id is the name of; 0: of none.
int64_t line_named(const Json& id) {
  constexpr std::string_view kLine = "line:";
  if (!id.is_string() || !as_string(id).starts_with(kLine)) return 0;
  const std::string& name = as_string(id);
  int64_t line = 0;
  std::from_chars(name.data() + kLine.size(), name.data() + name.size(), line);
  return line > 0 && name == line_name(line) ? line : 0;
}

// What a line that is no JSON object is called: by its id, where that can be read and is no other line's
// name.
Json id_of_bad_line(std::string_view line, int64_t line_number) {
  Record record;
  record.json = io::members_before_error(line);
  record.line_number = line_number;
  try {
    const Json id = id_of(record);
    return line_named(id) ? Json(line_name(line_number)) : id;
  } catch (const Error&) {
    return line_name(line_number);
  }
}

}  // namespace

JsonMembers Record::members() const { return {json, where, ErrorKind::kBadData, kSynonyms}; }

std::string counts_text(const RecordCounts& counts) {
  return std::to_string(counts.n_read) + (counts.n_read == 1 ? " record read, " : " records read, ") +
         std::to_string(counts.n_written - counts.n_failed - counts.n_before) + " answered, " +
         (counts.n_before ? std::to_string(counts.n_before) + " answered before, " : "") +
         std::to_string(counts.n_failed) + " failed" +
         (counts.interrupted ? ", interrupted: --resume OUT goes on" : "");
}

JsonlRecordReader::JsonlRecordReader(const RecordJob& job, MemberNames known, WithBody with_body)
    : job_(job), known_(std::move(known)), with_body_(std::move(with_body)), reader_(job.input) {
  reader_.stop_when(job.stop_requested);
}

std::optional<Record> JsonlRecordReader::next(const OnBad& on_bad) {
  for (;;) {
    std::optional<JsonlRecord> read = reader_.next([&](const Error& e, std::string_view line) {
      on_bad(id_of_bad_line(line, reader_.line_number()), e, line);
    });
    if (!read) {
      interrupted_ = reader_.stopped();
      return std::nullopt;
    }
    Record record{std::move(*read), {}, reader_.n_read() - 1};
    try {
      record.id = id_of(record);
      keep_names_apart(record);
      note_unknown(record);
      return record;
    } catch (const Error& e) {
      on_bad(line_name(record.line_number), e, record.line);
    }
  }
}

// Results of records without an id are fed back in part or in another order: their ids name lines that may
// have ids of their own by now. Only where one name would mean two records is the later one refused.
void JsonlRecordReader::keep_names_apart(const Record& record) {
  const int64_t line = record.line_number, named = line_named(record.id);
  if (!record.members().find("id")) {
    if (static_cast<int64_t>(nameless_.size()) <= line) nameless_.resize(line + 1);
    nameless_[line] = true;
    if (const auto taken = taken_names_.find(line); taken != taken_names_.end())
      throw Error(ErrorKind::kBadData,
                  "has no id, and line " + std::to_string(taken->second) + " has its name \"" +
                      line_name(line) + "\" for an id",
                  record.where, "give ids to all records or to none");
  } else if (named > line) {
    taken_names_.emplace(named, line);
  } else if (named > 0 && named < static_cast<int64_t>(nameless_.size()) && nameless_[named]) {
    throw Error(ErrorKind::kBadData,
                "the id \"" + line_name(named) + "\" is the name of that line, which has no id", record.where,
                "give ids to all records or to none");
  }
  taken_names_.erase(taken_names_.begin(), taken_names_.upper_bound(line));
}

void JsonlRecordReader::note_unknown(const Record& record) {
  if (!job_.on_note) return;
  const Json* body = with_body_.known.empty() ? nullptr : find(record.json, "body");
  if (!body || !body->is_object()) return note_unknown(record.json, known_, record.where);
  note_unknown(record.json, with_body_.known, record.where);
  note_unknown(*body, with_body_.known_in_body, record.where);
}

void JsonlRecordReader::note_unknown(const Json& object, const MemberNames& known, const std::string& where) {
  const auto is_known = [&](std::string_view name) {
    for (const JsonSynonym& synonym : kSynonyms)
      if (synonym.other == name) name = synonym.name;
    return std::find(known.begin(), known.end(), name) != known.end();
  };
  for (const auto& [name, value] : object.items()) {
    const auto idle = value.empty() ? job_.idle_members.end() : job_.idle_members.find(name);
    const bool is_idle = idle != job_.idle_members.end();
    if (noted_.size() > kMostNotes || (is_known(name) && !is_idle) || !noted_.insert(name).second) continue;
    job_.on_note(where + (noted_.size() > kMostNotes
                              ? ": more members are not known and have no effect"
                              : ": member \"" + name + "\" " + (is_idle ? idle->second : "is not known") +
                                    " and has no effect"));
  }
}

Json id_of(const Record& record) {
  const JsonMembers members = record.members();
  const Json* id = members.find("id");
  if (!id) return line_name(record.line_number);
  const bool number = is_any_integer(*id) || (id->is_number_float() && std::isfinite(id->get<double>()));
  if (!id->is_string() && !number) members.refuse("id", "a string or a number");
  return *id;
}

Json error_record(const Json& id, const Error& error) {
  Json what;
  what["message"] = std::string_view(error.what());
  what["where"] = error.where();
  if (!error.hint().empty()) what["hint"] = error.hint();
  Json out;
  out["id"] = id;
  out["error"] = std::move(what);
  return out;
}

bool spoils_one_record(const Error& error) {
  return error.kind() == ErrorKind::kBadData || error.kind() == ErrorKind::kUsage ||
         error.kind() == ErrorKind::kNoInput;  // text given to a folder that has no tokenizer
}

RecordWriter::RecordWriter(const RecordJob& job)
    : job_(job), bad_lines_(job.bad_lines.empty() ? nullptr : std::make_unique<AtomicFile>(job.bad_lines)) {}

void RecordWriter::count() {
  ++counts_.n_written;
  if (job_.on_written) job_.on_written(counts_);
}

void RecordWriter::keep(const AnswerFile::Line& answer) {
  ++counts_.n_before;
  count();
  job_.answers->keep(answer);
}

void RecordWriter::write(const Json& result, const Record& record) {
  count();
  const std::string line = dump(result) + "\n";
  if (job_.answers) return job_.answers->append(line, record.json);
  put(line);
}

void RecordWriter::put(const std::string& line) {
  if (!job_.output) return;
  job_.output->write(line);
  if (job_.flush_each) job_.output->flush();
}

void RecordWriter::write_error(const Json& result, const Error& error, std::string_view line) {
  ++counts_.n_failed;
  if (job_.on_bad) job_.on_bad(error);
  if (bad_lines_) bad_lines_->write(std::string(line) + "\n");
  count();
  const std::string text = dump(result) + "\n";
  if (job_.answers) return job_.answers->append_error(text);
  put(text);
}

RecordCounts RecordWriter::finish(int64_t n_read, bool interrupted) {
  counts_.n_read = n_read;
  counts_.interrupted = interrupted;
  DS_CHECK(counts_.n_read == counts_.n_written);
  if (job_.output) job_.output->flush();
  if (bad_lines_) bad_lines_->commit();
  if (job_.answers && !interrupted) job_.answers->finish();
  return counts_;
}

int64_t count_records(const std::string& path, int64_t most) {
  std::error_code ignored;
  if (path == "-" || !std::filesystem::is_regular_file(path, ignored)) return 0;
  try {
    LineReader lines(path);
    int64_t n = 0;
    for (std::optional<std::string_view> line; n < most && (line = lines.next());)
      n += line->find_first_not_of(" \t\r") != std::string_view::npos;
    return n;
  } catch (const Error&) {
    return 0;  // whoever reads the records will say what is wrong
  }
}

RecordCounts for_each_record(const RecordJob& job, MemberNames known, const RecordHandler& handle) {
  JsonlRecordReader reader(job, std::move(known));
  RecordWriter writer(job);
  bool dropped = false;  // the record under way, when asked to stop
  const auto on_bad = [&](const Json& id, const Error& e, std::string_view line) {
    writer.write_error(error_record(id, e), e, line);
  };
  while (const std::optional<Record> record = reader.next(on_bad)) {
    if (const auto answer = job.answers ? job.answers->take(record->id, record->json) : std::nullopt) {
      writer.keep(*answer);
      continue;
    }
    Json result;
    try {
      result = handle(*record);
    } catch (const Error& e) {
      dropped = e.kind() == ErrorKind::kInterrupted;
      if (dropped) break;
      if (!spoils_one_record(e)) throw;
      writer.write_error(error_record(record->id, e), e, record->line);
      continue;
    }
    Json out;
    out["id"] = record->id;
    for (auto& [key, value] : result.get_ref<Json::object_t&>())
      out.get_ref<Json::object_t&>().emplace_back(std::move(key), std::move(value));
    writer.write(out, *record);
  }
  return writer.finish(reader.n_read() - (dropped ? 1 : 0), dropped || reader.interrupted());
}

void require_one_of(const Record& record, const MemberNames& names) {
  const JsonMembers members = record.members();
  std::string given, wanted;
  int n_given = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string name = "\"" + std::string(names[i]) + "\"";
    wanted += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + name;
    if (members.find(names[i])) given += (n_given++ ? " and " : "") + name;
  }
  if (n_given == 0) throw Error(ErrorKind::kBadData, "a record needs one of " + wanted, record.where);
  if (n_given > 1)
    throw Error(ErrorKind::kBadData, "the record has " + given + ": one of them is wanted", record.where);
}

std::optional<std::vector<int32_t>> ids_member(const JsonMembers& members, std::string_view name) {
  const Json* value = members.find(name);
  if (!value) return std::nullopt;
  if (!value->is_array()) members.refuse(name, "a list of token ids");
  std::vector<int32_t> ids;
  ids.reserve(value->size());
  for (const Json& id : *value) {
    if (!is_int(id) || as_int(id) < 0 || as_int(id) > INT32_MAX) members.refuse(name, "a list of token ids");
    ids.push_back(static_cast<int32_t>(as_int(id)));
  }
  return ids;
}

}  // namespace ds::infer
