#include "infer/score.h"

#include <algorithm>
#include <cmath>

#include "core/json_value.h"
#include "infer/logits_file.h"
#include "infer/request.h"
#include "infer/scheduler.h"

namespace ds::infer {
namespace {

std::vector<int32_t> tokens_of(const Engine& engine, const Record& record) {
  const JsonMembers members = record.members();
  const std::string* text = members.string("text");
  const Json* messages = members.find("messages");
  auto ids = ids_member(members, "input_ids");
  require_one_of(record, {"text", "messages", "input_ids"});
  if (ids) return *ids;
  if (text) return engine.text().encode_plain(*text);
  return encode_chat(engine.text(), chat_of(record, *messages, {}, ChatEnd::kWhole), record.where);
}

}  // namespace

double log_probability(std::span<const float> logits, int32_t id) {
  float largest = logits[0];
  for (const float x : logits) largest = std::max(largest, x);
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - largest);
  const double value = static_cast<double>(logits[id]) - largest - std::log(sum);
  if (!std::isfinite(value))
    throw Error(ErrorKind::kBadModel, "the model's output is not a number", "logits",
                "weights or scales hold NaN or infinity; check the files against their checksums");
  return value;
}

void read_with_logits(Scheduler& scheduler, const std::vector<int32_t>& ids, const std::string& where,
                      const std::function<bool()>& stop_requested, LogitsSink sink) {
  GenerateRequest request;
  request.prompt = ids;
  request.prompt_logits = true;
  Generation read;
  try {
    read = scheduler.run(std::move(request), {{}, std::move(sink)}, stop_requested);
  } catch (const Error& e) {
    throw with_place(e, where);
  }
  if (read.finish_reason == FinishReason::kInterrupted)
    throw Error(ErrorKind::kInterrupted, "interrupted", where);
}

std::optional<int32_t> begin_id(const ModelText& text) {
  const auto begun = text.encode_plain("a"), plain = text.tokenizer().encode("a");
  const bool is_begun = begun.size() > plain.size() && (plain.empty() || begun[0] != plain[0]);
  return is_begun ? std::optional(begun[0]) : std::nullopt;
}

RecordCounts score_records(const Engine& engine, const ScoreOptions& options) {
  const int64_t vocab_size = engine.model().config().vocab_size;
  Scheduler scheduler(engine);
  std::optional<LogitsFile> logits_file;
  if (!options.logits_path.empty()) logits_file.emplace(options.logits_path, vocab_size);
  RecordJob job = options.job;
  job.flush_each = true;

  const MemberNames known = and_chat_members({"id", "text", "input_ids"});
  const RecordCounts counts = for_each_record(job, known, [&](const Record& record) {
    const std::vector<int32_t> ids = tokens_of(engine, record);
    if (logits_file)
      logits_file->begin(record.id.is_string() ? as_string(record.id) : dump(record.id), record.where);
    std::vector<double> log_probs(ids.size());  // [T], of token t; the first is unused
    read_with_logits(
        scheduler, ids, record.where, job.stop_requested, [&](int64_t first, std::span<const float> logits) {
          const int64_t n_rows = static_cast<int64_t>(logits.size()) / vocab_size;
          engine.pool().parallel_for(n_rows, 1, [&](int64_t begin, int64_t end, int) {
            for (int64_t row = begin; row < end; ++row) {
              const size_t next = static_cast<size_t>(first + row + 1);
              if (next < ids.size())
                log_probs[next] = log_probability(logits.subspan(row * vocab_size, vocab_size), ids[next]);
            }
          });
          if (logits_file) logits_file->append(logits);
        });
    if (logits_file) logits_file->end();

    Json::array_t values;
    values.reserve(ids.size());
    double sum = 0;
    for (size_t t = 0; t < ids.size(); ++t) {
      values.push_back(t == 0 ? Json() : Json(log_probs[t]));
      if (t > 0) sum += log_probs[t];
    }
    Json out;
    out["n_tokens"] = static_cast<int64_t>(ids.size());
    out["logprobs"] = std::move(values);
    out["sum_logprob"] = sum;
    out["perplexity"] = ids.size() > 1 ? Json(std::exp(-sum / static_cast<double>(ids.size() - 1))) : Json();
    return out;
  });
  if (logits_file) logits_file->commit();
  return counts;
}

}  // namespace ds::infer
