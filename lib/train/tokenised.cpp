#include "train/tokenised.h"

#include <limits>

#include "core/json_value.h"

namespace ds::train {
namespace {

std::vector<int32_t> ids(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array())
    throw Error(ErrorKind::kBadData, "has no list of numbers \"" + std::string(key) + "\"", where,
                "a record of tokens is {\"input_ids\": [..], \"labels\": [..]}");
  std::vector<int32_t> out;
  out.reserve(found->size());
  for (const Json& id : *found) {
    const int64_t n = id.is_number_integer() ? id.get<int64_t>() : std::numeric_limits<int64_t>::max();
    if (n < kNotTrained || n > std::numeric_limits<int32_t>::max())
      throw Error(ErrorKind::kBadData, "\"" + std::string(key) + "\" holds what is no token id", where);
    out.push_back(static_cast<int32_t>(n));
  }
  return out;
}

}  // namespace

TrainingDocument tokenised_document(const Json& json, const std::string& where) {
  TrainingDocument document{ids(json, "input_ids", where), ids(json, "labels", where), where};
  const auto [tokens, labels] = std::pair{document.input_ids.size(), document.labels.size()};
  if (tokens != labels)
    throw Error(ErrorKind::kBadData,
                std::to_string(tokens) + " input_ids have " + std::to_string(labels) + " labels", where);
  for (size_t t = 0; t < labels; ++t) {
    const int32_t label = document.labels[t];
    if (label == kNotTrained) continue;
    if (t == 0 || label < 0)
      throw Error(ErrorKind::kBadData,
                  "label " + std::to_string(label) + " at position " + std::to_string(t) +
                      (t == 0 ? ": nothing stands before it to predict it from" : " is no token id"),
                  where, "labels[t] is the target predicted from position t - 1; -100: not trained");
  }
  return document;
}

bool TokenisedSource::next(TrainingDocument& document) {
  auto record = reader_.next();
  if (!record) return false;
  document = tokenised_document(record->json, record->where);
  return true;
}

}  // namespace ds::train
