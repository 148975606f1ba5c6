#include "infer/records.h"

#include <cmath>

#include "io/json.h"

namespace ds::infer {
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
      on_bad(id, e, *line);
    }
  }
}

Record parse_record(std::string_view line, const std::string& where, int64_t line_number, Json& id) {
  Record record;
  record.where = where;
  record.line = line;
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

RecordWriter::RecordWriter(const RecordJob& job)
    : job_(job), bad_lines_(job.bad_lines.empty() ? nullptr : std::make_unique<AtomicFile>(job.bad_lines)) {}

void RecordWriter::write(const Json& result) {
  ++counts_.n_written;
  if (!job_.output) return;
  job_.output->write(result.dump() + "\n");
  if (job_.flush_each) job_.output->flush();
}

void RecordWriter::write_error(const Json& id, const Error& error, std::string_view line) {
  ++counts_.n_failed;
  if (job_.on_bad) job_.on_bad(error);
  if (bad_lines_) bad_lines_->write(std::string(line) + "\n");
  write(error_record(id, error));
}

RecordCounts RecordWriter::finish(int64_t n_read, bool interrupted) {
  counts_.n_read = n_read;
  counts_.interrupted = interrupted;
  DS_CHECK(counts_.n_read == counts_.n_written);
  if (job_.output) job_.output->flush();
  if (bad_lines_) bad_lines_->commit();
  return counts_;
}

RecordCounts for_each_record(const RecordJob& job, const RecordHandler& handle) {
  RecordReader reader(job.input, job.stop_requested);
  RecordWriter writer(job);
  bool dropped = false;  // the record under way, when asked to stop
  const auto on_bad = [&](const Json& id, const Error& e, std::string_view line) {
    writer.write_error(id, e, line);
  };
  while (const std::optional<Record> record = reader.next(on_bad)) {
    Json result;
    try {
      result = handle(*record);
    } catch (const Error& e) {
      dropped = e.kind() == ErrorKind::kInterrupted;
      if (dropped) break;
      if (!spoils_one_record(e)) throw;
      writer.write_error(record->id, e, record->line);
      continue;
    }
    Json out;
    out.set("id", record->id);
    for (auto& [key, value] : result.as_object())
      out.as_object().emplace_back(std::move(key), std::move(value));
    writer.write(out);
  }
  return writer.finish(reader.n_read() - (dropped ? 1 : 0), dropped || reader.interrupted());
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

}  // namespace ds::infer
