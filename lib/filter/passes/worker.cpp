#include "filter/passes/worker.h"

#include <unicode/ucnv.h>

#include <algorithm>

#include "core/clock.h"
#include "core/json.h"
#include "core/utf8.h"

namespace ds::filter {
namespace {

std::string base64(std::string_view bytes) {
  constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t v = 0;
    for (size_t k = 0; k < 3; ++k)
      v = v << 8 | (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : kAlphabet[v >> (18 - 6 * k) & 63];
  }
  return out;
}

// The line read as GB18030, when all of it is and at least a tenth of it is Chinese; else "".
std::string from_gb18030(std::string_view bytes) {
  UErrorCode error = U_ZERO_ERROR;
  UConverter* converter = ucnv_open("gb18030", &error);
  if (U_FAILURE(error)) return "";
  ucnv_setToUCallBack(converter, UCNV_TO_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &error);
  std::u16string wide(bytes.size() + 1, u'\0');
  const int32_t n =
      ucnv_toUChars(converter, reinterpret_cast<UChar*>(wide.data()), static_cast<int32_t>(wide.size()),
                    bytes.data(), static_cast<int32_t>(bytes.size()), &error);
  ucnv_close(converter);
  if (U_FAILURE(error)) return "";
  std::string out;
  int n_han = 0, n_high = 0;
  for (int32_t i = 0; i < n; ++i) {
    uint32_t c = wide[i];
    if (c >= 0xD800 && c <= 0xDBFF && i + 1 < n) c = 0x10000 + ((c - 0xD800) << 10) + (wide[++i] - 0xDC00);
    n_high += c >= 0x80;
    n_han += c >= 0x4E00 && c <= 0x9FFF;
    if (c == 0xFFFD || (c >= 0xE000 && c <= 0xF8FF)) return "";
    append_utf8(out, c);
  }
  return n_han * 2 >= n_high ? out : "";
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r\f\v") == line.npos; }

}  // namespace

std::string with_member(std::string_view record, std::string_view member) {
  const size_t close = record.rfind('}');
  const size_t before = record.find_last_not_of(" \t\r\n", close - 1);
  std::string out(record.substr(0, close));
  if (record[before] != '{') out += ',';
  out += member;
  out += '}';
  return out;
}

Worker::Worker(const Profile& profile, std::span<const LoadedStage> stages, WorkerOptions options)
    : profile_(profile),
      options_(std::move(options)),
      duplicates_(duplicate_search(profile).stage),
      reader_(options_.fields),
      scorecard_(profile, options_.score_all) {
  for (size_t i = 0; i < stages.size(); ++i) {
    const int idx = stage_index(profile.stages[i]);
    stage_idx_.push_back(idx);
    first_rule_.push_back(rule_index(stage_table()[idx].rules[0].id));
    stages_.push_back(stages[i].make());
  }
}

void Worker::quarantine(std::string_view bytes, const InputLine& line, const std::string& file_name,
                        const char* error, const char* hint, JudgedLine& out) {
  out.fate = Fate::kBad;
  out.own = true;
  std::string& t = out.text;
  t = "{\"file\":";
  append_json_string(t, file_name);
  t += ",\"line\":" + std::to_string(line.line) + ",\"offset\":" + std::to_string(line.offset) +
       ",\"length\":" + std::to_string(line.oversize ? line.whole_length : line.length) + ",\"error\":";
  append_json_string(t, error);
  if (*hint) {
    t += ",\"hint\":";
    append_json_string(t, hint);
  }
  if (find_invalid_utf8(bytes) == std::string_view::npos) {
    t += ",\"text\":";
    append_json_string(t, bytes);
  } else {
    t += ",\"base64\":\"" + base64(bytes) + "\"";
  }
  t += '}';
  ++statistics_.quarantined;
  ++statistics_.quarantine_reasons[error];
}

void Worker::judge(std::string_view bytes, const InputLine& line, const LineBatch& batch,
                   const std::string& file_name, size_t file, JudgedLine& out) {
  out.fate = Fate::kKept;
  out.blank = out.own = out.has_signature = false;
  statistics_.input_bytes += line.length + 1;
  if (!line.oversize && is_blank(bytes) && !line.cut) {
    out.blank = true;
    ++statistics_.blank_lines;
    return;
  }
  ++statistics_.read;
  if (line.oversize)
    return quarantine(bytes, line, file_name, "line too long",
                      "only its beginning is kept here; see --max-line-mb", out);
  if (line.cut) return quarantine(bytes, line, file_name, "the file ends inside this line", "", out);
  bool transcoded = batch.transcoded;
  int64_t start = now_ns();
  if (options_.text_lines) {
    record_ = {};
    if (find_invalid_utf8(bytes) == std::string_view::npos) {
      record_.ok = record_.has_text = true;
      record_.text = bytes;
      if (!bytes.empty() && bytes.back() == '\r') record_.text.remove_suffix(1);
    } else {
      record_.error = "not valid UTF-8";
    }
  } else {
    reader_.parse(bytes, record_);
  }
  if (!record_.ok && find_invalid_utf8(bytes) != std::string_view::npos) {
    std::string utf8 = from_gb18030(bytes);
    if (!utf8.empty() && !options_.transcode)
      return quarantine(bytes, line, file_name, record_.error,
                        "it reads well as GB18030: run with --transcode", out);
    if (!utf8.empty()) {
      converted_ = std::move(utf8);
      const size_t length = converted_.size();
      converted_.resize(length + kRecordPadding);
      bytes = std::string_view(converted_).substr(0, length);
      if (options_.text_lines) {
        record_.ok = record_.has_text = true;
        record_.text = bytes;
      } else {
        reader_.parse(bytes, record_);
      }
      transcoded = true;
    }
  }
  if (!record_.ok) return quarantine(bytes, line, file_name, record_.error, "", out);
  if (!record_.has_text) {
    statistics_.note_without_text(bytes);
    const std::string error = "no text in '" + options_.fields.text_field + "'";
    return quarantine(bytes, line, file_name, error.c_str(), "--text-field names the member", out);
  }
  if (transcoded) {
    ++statistics_.transcoded;
    out.own = true;
    out.text = bytes;
  }
  statistics_.duplicate_keys += !record_.superseded.empty();
  statistics_.parse_nanoseconds += now_ns() - start;

  doc_.text = record_.text;
  doc_.url = record_.url;
  doc_.id = record_.id;
  doc_.language = {};
  run_stages();
  statistics_.text_bytes += doc_.text.size();
  statistics_.characters += doc_.size();
  statistics_.add_values(profile_, doc_.script, scorecard_.values());
  auto& language = statistics_.languages[doc_.language.code];
  ++language[0];

  if (scorecard_.dropped()) {
    const int rule = scorecard_.verdict();
    out.fate = Fate::kDropped;
    out.stage = static_cast<uint8_t>(stage_of_rule(rule));
    out.own = true;
    const std::string member = verdict_member(file_name, line);
    if (options_.text_lines) {
      std::string record = "{\"text\":";
      append_json_string(record, doc_.text);
      out.text = record + "," + member + "}";
    } else {
      out.text = with_member(bytes, member);
    }
    ++statistics_.dropped;
    ++statistics_.stages[out.stage].dropped;
    ++statistics_.rules[static_cast<int>(doc_.script)][rule].dropped;
    return;
  }
  ++statistics_.kept;
  ++language[1];
  if (options_.sign) {
    start = now_ns();
    hasher_.sign(doc_, profile_.duplicates.shingle[static_cast<int>(doc_.script)], out.signature);
    out.signature.ordinal = {file, line.offset};
    out.signature.line = line.line;
    out.has_signature = true;
    statistics_.stages[duplicates_].nanoseconds += now_ns() - start;
  }
  if (!edits_.empty() || !record_.superseded.empty()) {
    out.text = edited_line(bytes);
    out.own = true;
    statistics_.masked += !edits_.empty();
  }
}

void Worker::run_stages() {
  int64_t start = now_ns();
  prepare(doc_);
  edits_.clear();
  scorecard_.restart(doc_.script, 0);
  // Decoding and splitting serve all stages; they are booked under the first.
  for (size_t s = 0; s < stages_.size(); ++s) {
    scorecard_.enter_stage(first_rule_[s]);
    stages_[s]->judge(doc_, scorecard_, edits_);
    const int64_t end = now_ns();
    StageStatistics& t = statistics_.stages[stage_idx_[s]];
    ++t.records;
    t.nanoseconds += end - start;
    t.text_bytes += doc_.text.size();
    start = end;
    if (scorecard_.dropped() && !options_.score_all) break;
  }
  count_entities();
}

void Worker::count_entities() {
  for (const FoundSpan& span : scorecard_.spans()) {
    if (span.kind == SpanKind::kPersonal) ++statistics_.personal_data[span.what];
    if (span.kind == SpanKind::kTerm)
      ++statistics_.entity_categories[span.what.substr(0, span.what.find(':'))];
  }
}

// Every string of the line that holds a masked stretch is written anew; all other bytes stay. But an earlier
// member of the text's name was neither judged nor masked: it is empty in what is kept.
std::string Worker::edited_line(std::string_view line) {
  std::sort(edits_.begin(), edits_.end(), [](const Edit& a, const Edit& b) { return a.begin < b.begin; });
  if (options_.text_lines)
    return masked_text(0, doc_.text.size()) + std::string(line.substr(doc_.text.size()));
  std::vector<StringEdit> strings;
  for (const auto& [begin, end] : record_.superseded) strings.push_back({begin, end, ""});
  if (record_.pieces.empty() && !edits_.empty()) {
    const auto [begin, end] = find_member(line, options_.fields.text_field);
    strings.push_back({begin, end, masked_text(0, doc_.text.size())});
  }
  for (const TextPiece& p : record_.pieces) {
    const std::string_view text = doc_.text.substr(p.text_begin, p.text_end - p.text_begin);
    std::string masked = masked_text(p.text_begin, p.text_end);
    if (masked != text) strings.push_back({p.begin, p.end, std::move(masked)});
  }
  std::sort(strings.begin(), strings.end(),
            [](const StringEdit& a, const StringEdit& b) { return a.begin < b.begin; });
  return replace_strings(line, strings);
}

// The bytes [from, to) of the text with the edits applied; one that goes on over its end ends there.
std::string Worker::masked_text(size_t from, size_t to) const {
  std::string out;
  uint32_t at = 0;     // code points
  size_t byte_at = 0;  // of `at`
  size_t done = from;
  for (const Edit& e : edits_) {
    if (e.begin < at) continue;
    const size_t begin = byte_at + doc_.byte_length(at, e.begin),
                 end = begin + doc_.byte_length(e.begin, e.end);
    at = e.end;
    byte_at = end;
    if (end <= from) continue;
    if (begin >= to) break;
    out += doc_.text.substr(done, std::max(begin, done) - done);
    out += e.replacement;
    done = std::min(end, to);
  }
  out += doc_.text.substr(done, to - done);
  return out;
}

std::string Worker::verdict_member(const std::string& file_name, const InputLine& line) const {
  constexpr size_t kMaxSpans = 20;
  const int rule = scorecard_.verdict();
  const RuleSpec& spec = *all_rules()[rule];
  const auto number = [](std::string& t, double v) { append_json_number(t, v); };
  std::string t = "\"ds_filter\":{\"verdict\":\"drop\",\"stage\":\"";
  t += stage_table()[stage_of_rule(rule)].name;
  t += "\",\"rule\":\"";
  t += spec.id;
  t += "\",\"value\":";
  number(t, scorecard_.verdict_value());
  t += spec.drop_when == DropWhen::kBelow ? ",\"drop_when\":\"<\",\"threshold\":"
                                          : ",\"drop_when\":\">\",\"threshold\":";
  number(t, profile_.rules[rule].threshold[static_cast<int>(doc_.script)]);
  t += ",\"unit\":";
  append_json_string(t, spec.unit);
  t += ",\"script\":\"" + std::string(script_name(doc_.script)) + "\",\"language\":\"" + doc_.language.code +
       "\"";
  if (doc_.language.shares[0].share > 0) {
    t += ",\"languages\":{";
    for (const auto& [code, share] : doc_.language.shares) {
      if (share <= 0) break;
      t += (t.back() == '{' ? "\"" : ",\"") + std::string(code) + "\":";
      number(t, share);
    }
    t += '}';
  }
  t += ",\"profile\":";
  append_json_string(t, profile_.name);
  t += ",\"file\":";
  append_json_string(t, file_name);
  t += ",\"line\":" + std::to_string(line.line) + ",\"offset\":" + std::to_string(line.offset);
  if (!scorecard_.note().empty()) {
    t += ",\"matched\":";
    append_json_string(t, scorecard_.note());
  }
  if (!scorecard_.spans().empty()) {
    t += ",\"spans\":[";
    for (size_t i = 0; i < std::min(kMaxSpans, scorecard_.spans().size()); ++i) {
      const FoundSpan& s = scorecard_.spans()[i];
      t += i ? ",{\"what\":" : "{\"what\":";
      append_json_string(t, s.what);
      t += ",\"chars\":[" + std::to_string(s.begin) + "," + std::to_string(s.end) + "],\"bytes\":[" +
           std::to_string(doc_.byte_offset(s.begin)) + "," + std::to_string(doc_.byte_offset(s.end)) + "]}";
    }
    t += ']';
  }
  if (options_.score_all) {
    t += ",\"scores\":{";
    bool first = true;
    for (const RuleValue& v : scorecard_.values()) {
      t += first ? "\"" : ",\"";
      first = false;
      t += all_rules()[v.rule]->id;
      t += "\":";
      number(t, v.value);
    }
    t += '}';
  }
  return t + '}';
}

}  // namespace ds::filter
