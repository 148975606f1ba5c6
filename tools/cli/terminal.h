// What kind of place the three streams lead to.
#pragma once

namespace ds::cli {

bool stdin_is_terminal();
bool stdout_is_terminal();
bool stderr_is_terminal();
// Columns of the terminal that stdout or stderr is, else what COLUMNS says, else `otherwise`.
int stdout_columns(int otherwise);
int stderr_columns(int otherwise);
// Whether stderr may show what moves: a terminal that is not dumb.
bool stderr_is_animated();
// Whether stderr may show colour: the same, and NO_COLOR unset.
bool stderr_has_colour();

}  // namespace ds::cli
