// ds-run's work in one call: a job and the streams it may use.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/chat.h"
#include "infer/engine.h"
#include "infer/records.h"
#include "infer/request.h"
#include "io/files.h"

namespace ds::infer {

struct RunJob {
  enum class Kind { kAnswer, kChat, kBatch, kScore, kTokenize, kDetokenize, kRender, kPlan, kList };
  Kind kind = Kind::kAnswer;
  std::string model;
  std::vector<std::string> folders;  // of kList; none: the Hugging Face cache
  EngineOptions engine;
  GenerationOverrides generation;  // over the model's own settings
  RequestDefaults defaults;        // its settings are filled in once the model is known
  std::string prompt;              // of an answer; text or ids of kTokenize and kDetokenize
  std::string records;             // file of records; empty for kTokenize and kDetokenize of `prompt`
  std::string resume;              // file of answers to go on with, in place of the output; empty: none
  // Records of kBatch that share the steps; 0: as suits their number, the model and the memory. kPlan plans
  // for as many, or for one where there are no `records` either.
  int64_t concurrency = 0;
  bool unordered = false;    // kBatch: answers as they come
  bool json = false;         // an answer as a record, a plan as an object, a list as records
  bool add_special = false;  // kTokenize: what the tokenizer adds to a text, too
  std::string logits, bad_lines, think_out,
      timings;  // files; empty: not wanted; all but logits are opened first
};

struct RunStreams {
  OutputStream* out = nullptr;
  bool out_is_terminal = false;
  std::function<void(std::string_view)> reasoning;  // shown to people; empty: not
  bool colour = false;                              // reasoning may be dimmed
  std::function<void(const std::string&)> note;     // words for people that --quiet leaves out
  std::function<void(const std::string&)> warn;     // and those it does not
  // How far a job on records is: n_all 0 where that cannot be known. Empty: nobody looks.
  std::function<void(const RecordCounts&, int64_t n_all)> progress;
  std::function<void()> ready;  // the model is loaded: from now on stop is asked
  std::function<bool()> stop;
  AskPerson ask;  // a chat's
};

enum class RunEnd { kDone, kBadRecords, kStopped };
// Throws Error for models that cannot be used and files that cannot be made, before anything is generated.
RunEnd run_job(RunJob job, const RunStreams& streams);

}  // namespace ds::infer
