// Bytes as records of a data set: every one is a document or an Error, and the mask fits the tokens.
#include <cstdint>

#include "core/error.h"
#include "io/jsonl.h"
#include "train/conversation_mask.h"
#include "train/prompt_template.h"
#include "train/tokenised.h"

using namespace ds;
using namespace ds::train;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto model = checkpoint::ModelText::open(DS_SOURCE_DIR "/data/dsv3-tiny");
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (; !text.empty();) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    try {
      const PromptTemplate prompt = PromptTemplate::parse(line, model->tokenizer());
      prompt.encode(Json{{"a", "b"}}, model->tokenizer(), false, "fuzz:1");
    } catch (const Error&) {
    }
    try {
      const Json record = io::parse_jsonl_line(line, "fuzz:1");
      const auto format = detect_format(record);
      if (!format) continue;
      if (*format == RecordFormat::kTokenised) {
        const TrainingDocument d = tokenised_document(record, "fuzz:1");
        DS_CHECK(d.input_ids.size() == d.labels.size());
        continue;
      }
      const TrainingText read = read_training_text(record, *format, TrainOn::kAll, true, "fuzz:1");
      if (read.turns.empty()) continue;
      const MaskedConversation masked = mask_conversation(*model, read, false, "fuzz:1");
      DS_CHECK(masked.input_ids.size() == masked.labels.size());
      for (size_t t = 0; t < masked.labels.size(); ++t)
        DS_CHECK(masked.labels[t] == kNotTrained || masked.labels[t] == masked.input_ids[t]);
    } catch (const Error&) {
    }
  }
  return 0;
}
