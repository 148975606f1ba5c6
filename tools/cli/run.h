// The frame of every tool's main(): parse, run, turn errors into words and exit codes.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace ds::cli {

// Adds --version, --man, --completion, DS_<FLAG> environment variables for every option, and a help as wide
// as the terminal; parses, runs body, maps errors to exit codes. `body` returns 0 or another code of the
// table. Call it last in main.
int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

// The command line as a shell would read it, for reports.
std::string command_line(int argc, char** argv);

// A line on stderr, "ds-run: text"; nothing unless `wanted`: what --quiet leaves out.
void note(const std::string& text, bool wanted = true);

}  // namespace ds::cli
