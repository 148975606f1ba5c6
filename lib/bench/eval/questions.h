// Questions put to any target, each answer judged without another model.
#pragma once
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "bench/plan/plan.h"
#include "bench/records/record.h"
#include "bench/targets/target.h"

namespace ds::bench {

struct Question {
  Request request;
  std::string set, category, match = "exact";
  std::vector<std::string> expected;  // any of them
  int64_t turns = 0, distance = 0;
};

// "math", "multiturn", "reading": the sets in data_folder; anything else is a file of
// {"messages"|"prompt"|"question", "answer" (one or a list), "id", "match", "category"} lines. Throws Error.
std::vector<Question> read_questions(const std::string& set, const std::string& data_folder);
// Names a set whatever it is called and in whatever order: over ids, questions and answers.
std::string set_digest(const std::vector<Question>& questions);

struct AskOptions {
  int64_t max_tokens = 256;
  int64_t limit = 0;  // the first so many; 0: all
  int64_t clients = 1;
  std::string arm = "a";
  Shard shard;
  std::set<std::string> skip;  // ids already answered
  StopRequest stop;
  std::function<void(const ItemRecord&)> on_item;  // in the order of the questions
  std::function<void(int64_t done, int64_t all)> on_progress;
};
// Returns false when stopped.
bool ask(Target& target, const std::vector<Question>& questions, const AskOptions& options);

}  // namespace ds::bench
