// Which models lie in a folder: model folders, GGUF files, repositories of a Hugging Face cache.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"

namespace ds::checkpoint {

struct ModelPlace {
  std::string name;              // what locate_model() finds it by: a path, or ORG/NAME of the cache
  std::string path;              // the folder or file itself
  std::optional<Error> problem;  // of a repository in which there is no model to be found
};

// In the order of their names, `folder` itself where it is one; a file is a list of one. Folders in folders
// are looked into three deep, what is hidden is not. Of a GGUF file in several parts the first stands for
// all. Nothing is opened. Throws Error{kNoInput} for a folder that is not there.
std::vector<ModelPlace> find_models(const std::string& folder);

}  // namespace ds::checkpoint
