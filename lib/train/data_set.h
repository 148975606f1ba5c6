// A data set as documents to train on: read from files or stdin, its format found out, prompts made, masks
// set, what is too long cut; and an account of every record that became none.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/model_text.h"
#include "io/files.h"
#include "io/jsonl.h"
#include "train/document.h"
#include "train/prompt_template.h"
#include "train/record_format.h"

namespace ds::train {

// What a document that is too long loses. kEnd: its last tokens, with them the end of turn, so that a cut
// reply does not teach to stop there. kPrompt: the first tokens behind BOS, a reply that is too long by
// itself then its last ones. kDrop: itself.
enum class Truncation { kEnd, kPrompt, kDrop };

struct DataSetOptions {
  std::vector<std::string> inputs = {"-"};  // read one after another; "-" is stdin
  std::optional<RecordFormat> format;       // none: that of the first record that has one
  std::string prompt;                       // template in place of the format's own; "": none
  std::string target;                       // beside it; "": the format's answer
  std::string chat_template;                // file in place of the model's own
  bool as_chat = false;                     // question and answer, too, through the chat template
  TrainOn train_on = TrainOn::kAll;
  int64_t max_tokens = 0;  // a document's; 0: any number
  Truncation truncation = Truncation::kEnd;
  bool parse_special = false;  // the text of a special token in the data is that token
  std::string bad_lines;       // records that were no documents go to this file as they were; "": nowhere
  std::function<void(const Error&)> on_bad;  // told of each; may be empty
  std::function<bool()> stop;                // asked to end early; may be empty
};

struct DataSetCounts {
  int64_t n_read = 0;  // records = n_documents + n_bad + n_dropped
  int64_t n_documents = 0;
  int64_t n_bad = 0;        // could not be used
  int64_t n_dropped = 0;    // too long for kDrop, or cut so far that nothing is learnt from what is left
  int64_t n_truncated = 0;  // of the documents
  int64_t n_tokens = 0, n_trained = 0;
  int64_t longest_tokens = 0;      // of a document, before it was cut
  int64_t n_unlike_inference = 0;  // documents, see MaskedConversation
  int64_t n_special_text = 0;      // documents in whose data the text of a special token stayed text
  std::optional<RecordFormat> format;
  struct Reason {
    std::string text, first_where;
    int64_t n = 0;
  };
  std::vector<Reason> reasons;  // of what was bad, in the order found; at most 20, further ones under "other"
};

// Sentences for people: what was read, what it became, and what they should know of it.
std::vector<std::string> counts_text(const DataSetCounts& counts);

class DataSet : public DocumentSource {
 public:
  // `folder`: a model's or a tokenizer's; it is opened when the first record needs it, so that records of
  // tokens need none. Throws Error{kUsage} for options that contradict each other.
  DataSet(std::string folder, DataSetOptions options);

  bool next(TrainingDocument& document) override;
  const DataSetCounts& counts() const { return counts_; }
  bool stopped() const { return stopped_; }
  // The record's own "id" of the document last returned, as it was given; null when it had none.
  const Json& record_id() const { return record_id_; }
  // To be called when next() has said that there are no more: puts the bad lines in place. Throws
  // Error{kBadData} when nothing of the whole set would be learnt, saying why.
  void finish();

  // Opens the folder's tokenizer, if that has not happened yet. Throws as ModelText::open.
  const ModelText& text();

 private:
  TrainingDocument document_of(const JsonlRecord& record);
  TrainingDocument two_texts(const Json& record, const TrainingText& read, const std::string& where);
  RecordFormat format_of(const Json& record, const std::string& where);
  void parse_templates(RecordFormat format);
  void check_special_text(const TrainingText& read);
  bool cut(TrainingDocument& document);  // false: nothing is left
  void bad(const Error& error, std::string_view line);

  std::string folder_;
  DataSetOptions options_;
  DataSetCounts counts_;
  std::unique_ptr<const ModelText> text_;
  std::optional<PromptTemplate> prompt_, target_;
  std::unique_ptr<JsonlReader> reader_;
  size_t n_opened_ = 0;
  std::unique_ptr<AtomicFile> bad_lines_;
  Json record_id_;
  bool stopped_ = false;
};

}  // namespace ds::train
