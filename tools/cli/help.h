// --help as wide as the terminal, and --man.
#pragma once
#include <CLI/CLI.hpp>
#include <string>

namespace ds::cli {

// A tool's or a command's help. Description and footer are filled to the width; their indented lines, which
// are examples, stay as they are where they have room: else what an example does stands below it, and a long
// command goes on behind a backslash. The description's first line is the summary.
std::string help_text(const CLI::App& app, int columns);

// The man page of a tool, all commands included.
std::string man_page(const CLI::App& app);

}  // namespace ds::cli
