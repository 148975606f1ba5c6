#include "io/jsonl.h"

#include "core/json_value.h"
#include "io/json.h"
#include "io/other_formats.h"

namespace ds::io {

Json parse_jsonl_line(std::string_view line, const std::string& where) {
  Json json = parse_record_json(line, where);
  if (!json.is_object())
    throw Error(ErrorKind::kBadData, "a record must be a JSON object", where, "one {...} a line");
  return json;
}

JsonlReader::JsonlReader(const std::string& path, int64_t max_line_bytes) : lines_(path, max_line_bytes) {}

void JsonlReader::stop_when(std::function<bool()> stop) {
  stop_ = std::move(stop);
  lines_.stop_when(stop_);
}

std::optional<JsonlRecord> JsonlReader::next(const OnBad& on_bad) {
  while (!stopped()) {
    const std::optional<std::string_view> line = lines_.next();
    if (!line) break;
    if (line->find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (n_read_ == 0) refuse_other_formats(line->substr(0, kTellingBytes), true, lines_.where());
    ++n_read_;
    try {
      return JsonlRecord{parse_jsonl_line(*line, lines_.where()), lines_.where(), std::string(*line),
                         lines_.line_number()};
    } catch (const Error& e) {
      if (!on_bad) throw;
      on_bad(e, *line);
    }
  }
  return std::nullopt;
}

}  // namespace ds::io
