// A line that a person types, edited with the keys of any shell (libedit; ~/.editrc says more).
#pragma once
#include <memory>
#include <optional>
#include <string>

namespace ds::cli {

class LineEditor {
 public:
  // Both streams are terminals; what is typed is shown on `out_fd`. Earlier lines come from the tool's file
  // and are kept there, for their owner alone: $XDG_STATE_HOME/dstools/TOOL_history, else under
  // ~/.local/state. Where that cannot be written they are kept as long as this lives.
  LineEditor(int out_fd, const std::string& tool);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // What is typed until Enter, UTF-8, without the line feed; pasted line feeds stand in it. `begin` stands
  // there already. Nothing: the end (Ctrl-D, a closed terminal, SIGTERM). Ctrl-C clears the line, twice
  // on an empty one ends. A SIGINT that stopped what went on before is forgotten. The terminal is as it was
  // when this returns, and while the program is suspended.
  std::optional<std::string> read(const std::string& prompt, const std::string& begin);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ds::cli
