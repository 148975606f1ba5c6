// What somebody who mistyped may have meant.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace ds::cli {

// The candidate that is a slip or two away from `word`, "" when none is.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

// A parse error in full: the guilty word, what may have been meant, and the environment variable it came
// from. Parses once more to find that out.
std::string explain_parse_error(CLI::App& app, const std::vector<std::string>& words,
                                const CLI::ParseError& error);

// The command that a word that is no file may have meant, "" when none.
std::string command_meant(const CLI::App& app, const std::string& word);

}  // namespace ds::cli
