#include "infer/records.h"

#include <cmath>

#include "io/json.h"

namespace ds {
namespace {

[[noreturn]] void wrong_type(const Record& record, std::string_view key, const char* wanted) {
  throw Error(ErrorKind::kBadData, "\"" + std::string(key) + "\" must be " + wanted, record.where);
}

const Json* member(const Record& record, std::string_view key) {
  const Json* value = record.json.find(key);
  return value && !value->is_null() ? value : nullptr;
}

}  // namespace

std::string counts_text(const RecordCounts& counts) {
  return std::to_string(counts.n_read) + " records read, " +
         std::to_string(counts.n_written - counts.n_failed) + " answered, " +
         std::to_string(counts.n_failed) + " failed" + (counts.interrupted ? ", interrupted" : "");
}

RecordReader::RecordReader(const std::string& path, std::function<bool()> stop_requested)
    : lines_(path), stop_requested_(std::move(stop_requested)) {
  lines_.stop_when(stop_requested_);
}

std::optional<Record> RecordReader::next(const OnBad& on_bad) {
  for (;;) {
    if (stop_requested_ && stop_requested_()) {
      interrupted_ = true;
      return std::nullopt;
    }
    const std::optional<std::string_view> line = lines_.next();
    if (!line) {
      interrupted_ = stop_requested_ && stop_requested_();
      return std::nullopt;
    }
    if (line->find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const int64_t index = n_read_++;
    Json id = lines_.line_number();
    try {
      Record record = parse_record(*line, lines_.where(), lines_.line_number(), id);
      record.index = index;
      return record;
    } catch (const Error& e) {
      on_bad(id, e);
    }
  }
}

Record parse_record(std::string_view line, const std::string& where, int64_t line_number, Json& id) {
  Record record;
  record.where = where;
  id = line_number;
  record.json = parse_json(line, where);
  if (!record.json.is_object())
    throw Error(ErrorKind::kBadData, "a record must be a JSON object", where, "one {...} a line");
  if (const Json* given = member(record, "id")) {
    if (!given->is_string() && !given->is_number()) wrong_type(record, "id", "a string or a number");
    id = *given;
  }
  record.id = id;
  return record;
}

Json error_record(const Json& id, const Error& error) {
  Json what;
  what.set("message", std::string_view(error.what()));
  what.set("where", error.where());
  if (!error.hint().empty()) what.set("hint", error.hint());
  Json out;
  out.set("id", id);
  out.set("error", std::move(what));
  return out;
}

bool spoils_one_record(const Error& error) {
  return error.kind() == ErrorKind::kBadData || error.kind() == ErrorKind::kUsage ||
         error.kind() == ErrorKind::kNoInput;  // text given to a folder that has no tokenizer
}

RecordCounts for_each_record(const RecordJob& job, const RecordHandler& handle) {
  RecordReader reader(job.input, job.stop_requested);
  RecordCounts counts;
  const auto write = [&](const Json& json) {
    job.output->write(json.dump() + "\n");
    if (job.flush_each) job.output->flush();
    ++counts.n_written;
  };
  const auto on_bad = [&](const Json& id, const Error& e) {
    ++counts.n_failed;
    if (job.on_bad) job.on_bad(e);
    write(error_record(id, e));
  };
  while (const std::optional<Record> record = reader.next(on_bad)) {
    Json result;
    try {
      result = handle(*record);
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::kInterrupted) {  // dropped unfinished: not counted as read either
        counts.interrupted = true;
        break;
      }
      if (!spoils_one_record(e)) throw;
      on_bad(record->id, e);
      continue;
    }
    Json out;
    out.set("id", record->id);
    for (auto& [key, value] : result.as_object())
      out.as_object().emplace_back(std::move(key), std::move(value));
    write(out);
  }
  job.output->flush();
  counts.n_read = reader.n_read() - (counts.interrupted ? 1 : 0);
  counts.interrupted |= reader.interrupted();
  DS_CHECK(counts.n_read == counts.n_written);
  return counts;
}

const std::string* string_member(const Record& record, std::string_view key) {
  const Json* value = member(record, key);
  if (!value) return nullptr;
  if (!value->is_string()) wrong_type(record, key, "a string");
  return &value->as_string();
}

std::optional<bool> bool_member(const Record& record, std::string_view key) {
  const Json* value = member(record, key);
  if (!value) return std::nullopt;
  if (!value->is_bool()) wrong_type(record, key, "true or false");
  return value->as_bool();
}

std::optional<double> number_member(const Record& record, std::string_view key) {
  const Json* value = member(record, key);
  if (!value) return std::nullopt;
  if (!value->is_number()) wrong_type(record, key, "a number");
  return value->as_double();
}

std::optional<int64_t> count_member(const Record& record, std::string_view key) {
  const Json* value = member(record, key);
  if (!value) return std::nullopt;
  if (!value->is_int() || value->as_int() < 0) wrong_type(record, key, "a whole number, 0 or more");
  return value->as_int();
}

std::optional<std::vector<int32_t>> ids_member(const Record& record, std::string_view key) {
  const Json* value = member(record, key);
  if (!value) return std::nullopt;
  if (!value->is_array()) wrong_type(record, key, "a list of token ids");
  std::vector<int32_t> ids;
  ids.reserve(value->as_array().size());
  for (const Json& id : value->as_array()) {
    if (!id.is_int() || id.as_int() < 0 || id.as_int() > INT32_MAX)
      wrong_type(record, key, "a list of token ids");
    ids.push_back(static_cast<int32_t>(id.as_int()));
  }
  return ids;
}

}  // namespace ds
