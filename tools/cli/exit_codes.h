// What a tool's exit code says: one table, printed by --help and the man pages.
#pragma once
#include <span>

namespace ds::cli {

struct ExitCode {
  const char* code;
  const char* meaning;
};
std::span<const ExitCode> exit_codes();

}  // namespace ds::cli
