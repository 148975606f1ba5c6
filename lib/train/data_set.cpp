#include "train/data_set.h"

#include <algorithm>

#include "report/words.h"
#include "train/conversation_mask.h"
#include "train/tokenised.h"

namespace ds::train {
namespace {

constexpr size_t kMostReasons = 20;

std::string default_target(RecordFormat format) {
  switch (format) {
    case RecordFormat::kQuestionAnswer:
      return "{answer}";
    case RecordFormat::kAlpaca:
      return "{output}";
    case RecordFormat::kPromptCompletion:
      return "{completion}";
    default:
      return "";
  }
}

std::string counted(int64_t n, const char* one, const char* many) {
  return std::to_string(n) + " " + (n == 1 ? one : many);
}

int64_t count_trained(const TrainingDocument& d) {
  return std::count_if(d.labels.begin(), d.labels.end(), [](int32_t label) { return label != kNotTrained; });
}

// Whether a text might hold a special token's: only then is it worth to look closer.
bool looks_special(std::string_view text) {
  return text.find("<|") != text.npos || text.find("<｜") != text.npos || text.find("<s>") != text.npos ||
         text.find("</s>") != text.npos || text.find("[INST]") != text.npos;
}

}  // namespace

std::vector<std::string> counts_text(const DataSetCounts& c) {
  std::vector<std::string> out;
  out.push_back(
      counted(c.n_read, "record", "records") + (c.format ? " (" + name_of(*c.format) + ")" : std::string()) +
      ": " + counted(c.n_documents, "document", "documents") + ", " + std::to_string(c.n_bad) + " bad, " +
      std::to_string(c.n_dropped) + " too long, " + std::to_string(c.n_truncated) + " cut; " +
      counted(c.n_tokens, "token", "tokens") + ", " + std::to_string(c.n_trained) + " trained" +
      (c.n_tokens
           ? " (" + report::percent(static_cast<double>(c.n_trained) / static_cast<double>(c.n_tokens)) + ")"
           : std::string()) +
      ", the longest " + std::to_string(c.longest_tokens));
  for (const auto& reason : c.reasons)
    out.push_back(std::to_string(reason.n) + " x " + reason.text + ", first at " + reason.first_where);
  if (c.n_unlike_inference)
    out.push_back(counted(c.n_unlike_inference, "document has", "documents have") +
                  " a reply without reasoning, though the model's prompt opens it with <think>");
  if (c.n_special_text)
    out.push_back(counted(c.n_special_text, "document holds", "documents hold") +
                  " the text of special tokens, read as text (--parse-special reads it as tokens)");
  return out;
}

DataSet::DataSet(std::string folder, DataSetOptions options)
    : folder_(std::move(folder)), options_(std::move(options)) {
  if (!options_.target.empty() && options_.prompt.empty())
    throw Error(ErrorKind::kUsage, "goes with a template of the prompt", "--target", "add --template TEXT");
  if (!options_.prompt.empty() && options_.as_chat)
    throw Error(ErrorKind::kUsage, "--template and --chat contradict each other", "--chat");
  if (!options_.bad_lines.empty()) bad_lines_ = std::make_unique<AtomicFile>(options_.bad_lines);
  counts_.format = options_.format;
}

const ModelText& DataSet::text() {
  if (!text_) text_ = ModelText::open(folder_, {options_.chat_template});
  return *text_;
}

bool DataSet::next(TrainingDocument& document) {
  for (;;) {
    if (!reader_) {
      if (stopped_ || n_opened_ == options_.inputs.size()) return false;
      reader_ = std::make_unique<JsonlReader>(options_.inputs[n_opened_++]);
      if (options_.stop) reader_->stop_when(options_.stop);
    }
    std::optional<JsonlRecord> record = reader_->next([&](const Error& e, std::string_view line) {
      ++counts_.n_read;
      bad(e, line);
    });
    if (!record) {
      stopped_ = reader_->stopped();
      reader_.reset();
      continue;
    }
    ++counts_.n_read;
    try {
      document = document_of(*record);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kBadData) throw;
      bad(e, record->line);
      continue;
    }
    if (!cut(document)) {
      ++counts_.n_dropped;
      if (bad_lines_) bad_lines_->write(record->line + "\n");
      continue;
    }
    const Json* id = find(record->json, "id");
    record_id_ = id ? *id : Json();
    ++counts_.n_documents;
    counts_.n_tokens += static_cast<int64_t>(document.input_ids.size());
    counts_.n_trained += count_trained(document);
    return true;
  }
}

void DataSet::bad(const Error& error, std::string_view line) {
  ++counts_.n_bad;
  if (bad_lines_) bad_lines_->write(std::string(line) + "\n");
  if (options_.on_bad) options_.on_bad(error);
  auto& reasons = counts_.reasons;
  const std::string text = reasons.size() < kMostReasons ? error.what() : "other reasons";
  auto found =
      std::find_if(reasons.begin(), reasons.end(), [&](const auto& r) { return r.text == error.what(); });
  if (found == reasons.end())
    found = std::find_if(reasons.begin(), reasons.end(), [&](const auto& r) { return r.text == text; });
  if (found == reasons.end()) found = reasons.insert(reasons.end(), {text, error.where(), 0});
  ++found->n;
}

RecordFormat DataSet::format_of(const Json& record, const std::string& where) {
  const std::optional<RecordFormat> own = detect_format(record);
  // A template of one's own needs no format: it says itself what it reads.
  if (!counts_.format && !options_.prompt.empty() && (!own || !options_.target.empty()))
    return own == RecordFormat::kTokenised ? *own : RecordFormat::kText;
  if (!counts_.format && !own)
    throw Error(
        ErrorKind::kBadData, "is of no known format", where,
        "it has " + members_text(record) +
            "; known are question and answer, instruction and output, conversations, messages, prompt "
            "and completion, text, input_ids and labels; others with --template");
  if (!counts_.format) counts_.format = own;
  if (own && own != counts_.format && !options_.format)
    throw Error(ErrorKind::kBadData,
                "is a record of " + name_of(*own) + ", the first was one of " + name_of(*counts_.format),
                where, "give each format to a run of its own, or name it with --format");
  return *counts_.format;
}

void DataSet::parse_templates(RecordFormat format) {
  if (prompt_) return;
  const std::string target = options_.target.empty() ? default_target(format) : options_.target;
  if (target.empty())
    throw Error(ErrorKind::kUsage, "what is to follow the template?", "--template",
                "add --target '{name}' with the member that holds the answer");
  prompt_ =
      PromptTemplate::parse(options_.prompt.empty() ? kClassicPrompt : options_.prompt, text().tokenizer());
  target_ = PromptTemplate::parse(target, text().tokenizer());
  if (!target_->has_places())
    throw Error(ErrorKind::kUsage, "names no member: every answer would be the same", "--target",
                "for example '{answer}'");
}

TrainingDocument DataSet::document_of(const JsonlRecord& record) {
  const RecordFormat format = format_of(record.json, record.where);
  if (format == RecordFormat::kTokenised) return tokenised_document(record.json, record.where);
  TrainingText read;
  if (!options_.prompt.empty()) {
    if (format == RecordFormat::kMessages || format == RecordFormat::kShareGpt)
      throw Error(ErrorKind::kUsage, "conversations have the model's chat template, no other", "--template",
                  "give a chat template with --chat-template FILE");
  } else {
    read = read_training_text(record.json, format, options_.train_on, options_.as_chat, record.where);
  }
  if (read.turns.empty()) return two_texts(record.json, read, record.where);
  MaskedConversation masked = mask_conversation(text(), read, options_.parse_special, record.where);
  counts_.n_unlike_inference += masked.unlike_inference;
  check_special_text(read);
  return {std::move(masked.input_ids), std::move(masked.labels), record.where};
}

// BOS, the prompt, and behind them the target with its EOS, each tokenised by itself: so the ids of the
// prompt are those of inference, and the boundary of the mask is exact.
TrainingDocument DataSet::two_texts(const Json& record, const TrainingText& read, const std::string& where) {
  const Tokenizer& tokenizer = text().tokenizer();
  const bool templated = !options_.prompt.empty() || counts_.format == RecordFormat::kQuestionAnswer;
  std::vector<int32_t> prompt, target;
  if (templated) {
    parse_templates(counts_.format.value_or(RecordFormat::kText));
    prompt = prompt_->encode(record, tokenizer, options_.parse_special, where);
    target = target_->encode(record, tokenizer, options_.parse_special, where);
    if (target.empty()) throw Error(ErrorKind::kBadData, "the target is empty: nothing to learn", where);
  } else {
    prompt = tokenizer.encode(read.prompt, options_.parse_special);
    target = tokenizer.encode(read.target, options_.parse_special);
  }
  check_special_text(read);
  TrainingDocument out{text().frame().before, {}, where};
  // A BOS that the prompt begins with already is not given twice.
  const auto& before = out.input_ids;
  if (prompt.size() >= before.size() && std::equal(before.begin(), before.end(), prompt.begin()))
    out.input_ids.clear();
  out.input_ids.insert(out.input_ids.end(), prompt.begin(), prompt.end());
  out.labels.assign(out.input_ids.size(), kNotTrained);
  if (text().eos_ids().empty())
    throw Error(ErrorKind::kBadModel, "names no end of text: nothing would teach the model to stop", folder_,
                "tokenizer_config.json needs an \"eos_token\"");
  const int32_t eos = text().eos_ids()[0];
  if (target.empty() || target.back() != eos) target.push_back(eos);
  for (const int32_t id : target) {
    // Nothing stands before the first token of a document to predict it from.
    out.labels.push_back(out.input_ids.empty() ? kNotTrained : id);
    out.input_ids.push_back(id);
  }
  return out;
}

void DataSet::check_special_text(const TrainingText& read) {
  if (options_.parse_special) return;
  const auto differs = [&](const std::string& data) {
    return looks_special(data) && text().tokenizer().encode(data) != text().tokenizer().encode(data, false);
  };
  bool found = differs(read.prompt) || differs(read.target);
  for (const TrainedTurn& turn : read.turns) {
    const Json* content = turn.trained ? find(turn.message, "content") : nullptr;
    found = found || (content && content->is_string() && differs(as_string(*content)));
  }
  counts_.n_special_text += found;
}

bool DataSet::cut(TrainingDocument& d) {
  const auto length = static_cast<int64_t>(d.input_ids.size());
  counts_.longest_tokens = std::max(counts_.longest_tokens, length);
  const int64_t most = options_.max_tokens;
  if (most == 0 || length <= most) return true;
  if (options_.truncation == Truncation::kDrop) return false;
  const auto erase = [&](int64_t begin, int64_t end) {
    for (auto* v : {&d.input_ids, &d.labels}) v->erase(v->begin() + begin, v->begin() + end);
  };
  if (options_.truncation == Truncation::kPrompt) {
    const auto first =
        std::find_if(d.labels.begin(), d.labels.end(), [](int32_t l) { return l != kNotTrained; });
    const int64_t n_prompt = first - d.labels.begin();
    const auto n_frame = text_ ? static_cast<int64_t>(text_->frame().before.size()) : 0;
    const bool framed =
        n_frame <= n_prompt && n_frame > 0 &&
        std::equal(d.input_ids.begin(), d.input_ids.begin() + n_frame, text_->frame().before.begin());
    // One token of it stays: a target needs something before it.
    const int64_t begin = framed ? n_frame : 0, end = std::max(begin, n_prompt - (begin == 0));
    erase(begin, std::min(end, begin + length - most));
  }
  if (static_cast<int64_t>(d.input_ids.size()) > most) erase(most, static_cast<int64_t>(d.input_ids.size()));
  if (count_trained(d) == 0) return false;
  ++counts_.n_truncated;
  return true;
}

void DataSet::finish() {
  DS_CHECK(counts_.n_read == counts_.n_documents + counts_.n_bad + counts_.n_dropped);
  if (bad_lines_) bad_lines_->commit();
  if (stopped_ || counts_.n_trained > 0) return;
  std::string why = "there is no record";
  if (counts_.n_documents > 0)
    why = "no token of " + counted(counts_.n_documents, "document", "documents") + " is a target";
  if (counts_.n_dropped > 0)
    why =
        counted(counts_.n_dropped, "record has", "records have") + " no trained token left within --max-len";
  std::string hint =
      counts_.n_dropped > 0 ? "raise --max-len, or keep the answers with --truncation prompt" : "";
  if (counts_.n_bad > 0) {
    const auto& most = *std::max_element(counts_.reasons.begin(), counts_.reasons.end(),
                                         [](const auto& a, const auto& b) { return a.n < b.n; });
    why = std::to_string(most.n) + " of " + counted(counts_.n_read, "record", "records") + ": " + most.text +
          ", first at " + most.first_where;
  }
  throw Error(ErrorKind::kBadData, "nothing would be learnt: " + why, "", hint);
}

}  // namespace ds::train
