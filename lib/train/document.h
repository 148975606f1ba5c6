// What is trained on: a document's tokens, and which of them are to be learnt.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/rooms.h"

namespace ds::train {

// A label of a token that nobody learns to predict.
constexpr int32_t kNotTrained = -100;

// labels[t] is the token predicted from position t - 1, or kNotTrained; labels[0] is always kNotTrained,
// since nothing stands before it.
struct TrainingDocument {
  std::vector<int32_t> input_ids;  // [T]
  std::vector<int32_t> labels;     // [T]
  std::string id;                  // for messages; file:line where the record has none
};

// The documents of a data set, in the order in which they are read.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  // False: there are no more.
  virtual bool next(TrainingDocument& document) = 0;
};

}  // namespace ds::train
