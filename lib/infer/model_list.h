// The models that are there: what each is, how large, and whether it fits.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/find_models.h"
#include "core/json.h"

namespace ds::infer {

struct ListedModel {
  std::string name, path;  // as checkpoint/find_models.h has them
  std::string model_type;  // "" where that cannot be read
  std::string weights;     // what most of their bytes are stored as: "BF16", "Q4_K"
  int64_t weight_bytes = 0;
  int64_t available_bytes = 0;   // of memory, now
  std::optional<Error> problem;  // why it cannot be run
  // Whether the weights do; the context comes on top, and ds-run --plan says how much.
  bool fits() const { return !problem && weight_bytes <= available_bytes; }
  std::string text() const;  // a line of the table, more for long names and problems; at most 80 columns
  Json json() const;
};
extern const char* const kModelListHead;  // the table's first line

// Those of `folders`, or of the Hugging Face cache where there are none, one after the other; what is broken
// is among them. Nothing but headers is read. How many there were. Throws Error{kNoInput} for folders that
// are not there.
int64_t list_models(const std::vector<std::string>& folders,
                    const std::function<void(const ListedModel&)>& each);

}  // namespace ds::infer
