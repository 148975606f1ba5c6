// Which model it is, told by what its files hold.
#pragma once
#include <string>

namespace ds::checkpoint {

// "sha256:..." over config, tokenizer, templates and weights, by their names in the folder, or over the parts
// of a GGUF. Of weights above 64 MiB in all, the first and last MiB and the size of each file count, and the
// digest then starts with "sampled-sha256:". name: as locate_model takes it. Throws Error{kNoInput} when
// there is no such model.
std::string model_digest(const std::string& name);

}  // namespace ds::checkpoint
