// Completion scripts for shells: commands, options of the command given, values that are a list, files else.
#pragma once
#include <CLI/CLI.hpp>
#include <string>

namespace ds::cli {

// `shell`: bash, zsh or fish.
std::string completion_script(const CLI::App& app, const std::string& shell);

}  // namespace ds::cli
