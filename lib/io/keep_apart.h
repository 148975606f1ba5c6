// Outputs must not go over what is read, or over each other.
#pragma once
#include <string>
#include <vector>

namespace ds::io {

// Paths; "" is none, "-" is stdin or stdout. Throws Error{kUsage} for an output that is one of the inputs,
// lies in an input that is a folder, or is another output. Devices and pipes are nobody's.
void keep_apart(const std::vector<std::string>& outputs, const std::vector<std::string>& inputs);

}  // namespace ds::io
