// What people call a model: a folder, a GGUF file, a Hugging Face cache entry, a repository's name.
#pragma once
#include <string>
#include <vector>

namespace ds::checkpoint {

// The model folder that `name` means: a folder or a GGUF file itself; the snapshot that refs/main of a cached
// repository (models--ORG--NAME) points to; or, where no such path exists, the repository ORG/NAME in the
// Hugging Face cache (HF_HUB_CACHE, HF_HOME, else ~/.cache/huggingface). Throws Error{kNoInput} for what is
// nowhere, with the command that fetches it.
std::string locate_model(const std::string& name);

// Whether locate_model() would find something: a path that exists or a repository in the cache.
bool is_model_name(const std::string& name);

// The folder of the Hugging Face cache that holds repositories, there or not.
std::string hub_cache();

// The names in a folder, sorted; none where it cannot be read.
std::vector<std::string> names_in(const std::string& path);

}  // namespace ds::checkpoint
