// Which build of dstools this is, and where it finds its own data.
#pragma once
#include <string>

namespace ds::cli {

std::string version();   // "0.1.0"
std::string commit();    // "1a2b3c4d5e6f", "-dirty" behind it when files differed
std::string compiler();  // "GNU 12.2.0"
// What --version prints: version, commit, compiler, kernel levels, compressed formats, CUDA.
std::string version_text(const std::string& tool);
// The folder of the tiny model and the evaluation sets: share/dstools beside the executable's folder where
// it was installed, else data/ of the source tree.
std::string data_folder();

}  // namespace ds::cli
