// A program on a terminal of its own, driven as a person would: keys in, what is seen out.
#pragma once
#include <string>
#include <vector>

class PseudoTerminal {
 public:
  static bool is_possible();  // a bare root has no /dev/pts
  // Runs an absolute path or DS_BIN_DIR/name as leader of a session on an xterm of 80 columns.
  PseudoTerminal(const std::string& name, const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment);
  ~PseudoTerminal();  // kills what still runs
  PseudoTerminal(const PseudoTerminal&) = delete;

  void type(const std::string& keys);
  // Waits until `text` is seen behind what was waited for before; false after half a minute, or at the end.
  bool sees(const std::string& text);
  bool read_more();  // what comes next, into seen(); false at the end
  void resize(int columns);
  bool is_cooked() const;  // whether the terminal edits lines by itself, as shells leave it
  int wait();              // for the end: the exit code, or 128 + signal
  const std::string& seen() const { return seen_; }

 private:
  int pid_ = -1, fd_ = -1;
  std::string seen_;
  size_t at_ = 0;
};
