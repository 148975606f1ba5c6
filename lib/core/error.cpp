#include "core/error.h"

namespace ds {

std::string Error::message() const {
  std::string text = where_.empty() ? std::string() : where_ + ": ";
  text += what();
  if (!hint_.empty()) text += " (" + hint_ + ")";
  return text;
}

void check_failed(const char* expr, const char* file, int line) {
  throw Error(ErrorKind::kInternal, std::string("broken invariant: ") + expr,
              std::string(file) + ":" + std::to_string(line), "this is a bug in dstools, please report it");
}

}  // namespace ds
