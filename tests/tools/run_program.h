// Runs a built program as a shell would: arguments, stdin, and what came out of it.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

struct ProgramResult {
  int rc = 0;  // exit code, or 128 + signal as a shell reports it
  std::string out, err;
  int64_t peak_rss_bytes = 0;
};

struct ProgramOptions {
  std::string in;                        // written to stdin, which then ends
  bool keep_stdin_open = false;          // stdin never ends
  bool close_stdin = false;              // no stdin at all
  bool close_stdout = false;             // no stdout at all
  bool break_stdout = false;             // a pipe whose reader is gone
  std::string stdout_path;               // stdout is this file instead of a pipe
  std::vector<std::string> environment;  // NAME=VALUE, added
  int64_t address_space_bytes = 0;       // as ulimit -v sets it; 0: as it is
  int timeout_s = 60;
  // Called once when `out` holds at least one line; may send a signal to the process.
  std::function<void(int pid)> on_first_line;
};

// Runs DS_BIN_DIR/name, or an absolute path. Kills it after timeout_s: rc is then 128 + 9.
ProgramResult run_program(const std::string& name, const std::vector<std::string>& arguments,
                          const ProgramOptions& options = {});

// A folder that is removed with all its files at the end of the scope.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  const std::string& path() const { return path_; }
  std::string write(const std::string& name, const std::string& bytes) const;  // returns the file's path

 private:
  std::string path_;
};
std::string file_bytes(const std::string& path);
std::vector<std::string> lines_of(const std::string& text);
// The embedded model.
inline const std::string kTinyModel = DS_SOURCE_DIR "/data/dsv3-tiny";
