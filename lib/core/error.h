// What went wrong, where, and what to do about it. Thrown once where it is found, caught once in
// tools/cli/run.cpp.
#pragma once
#include <stdexcept>
#include <string>

#include "core/rooms.h"

namespace ds {

// The value is the process exit code of every tool (the pipe contract's table).
enum class ErrorKind {
  kUsage = 2,
  kBadData = 65,       // a record, a line or a data file is malformed
  kNoInput = 66,       // a named input does not exist or cannot be read
  kInternal = 70,      // our bug
  kOs = 71,            // device, memory or operating system
  kCannotCreate = 73,  // an output cannot be created
  kIo = 74,            // reading or writing failed half-way, full disk included
  kInterrupted = 75,   // stopped by a signal; a later run can resume
  kBadModel = 78,      // model folder or configuration cannot be used
};

class Error : public std::runtime_error {
 public:
  // what: expected and found. where: file, tensor or line. hint: the remedy, may be empty.
  Error(ErrorKind kind, const std::string& what, std::string where, std::string hint = "")
      : std::runtime_error(what), kind_(kind), where_(std::move(where)), hint_(std::move(hint)) {}
  ErrorKind kind() const { return kind_; }
  const std::string& where() const { return where_; }
  const std::string& hint() const { return hint_; }
  // "where: what (hint)", one line.
  std::string message() const;

 private:
  ErrorKind kind_;
  std::string where_, hint_;
};

// The reader of our output went away. Not an error to report: the tool ends quietly.
struct BrokenPipe {};

[[noreturn]] void check_failed(const char* expr, const char* file, int line);

}  // namespace ds

// A broken invariant of ours, never of the user's input.
#define DS_CHECK(expr) ((expr) ? (void)0 : ::ds::check_failed(#expr, __FILE__, __LINE__))
