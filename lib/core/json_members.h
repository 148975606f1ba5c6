// Members of a JSON object with checked types. A member that is absent or null is none; one of another type
// throws Error{kind} that names the member and `where`.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/json.h"

namespace ds {

// Another name that the member `name` goes by.
struct JsonSynonym {
  std::string_view other, name;
};

class JsonMembers {
 public:
  // All of it must outlive this. A member is also found under its synonyms; two names with different values
  // are refused.
  JsonMembers(const Json& object, const std::string& where, ErrorKind kind = ErrorKind::kBadData,
              std::span<const JsonSynonym> synonyms = {})
      : object_(object), where_(where), kind_(kind), synonyms_(synonyms) {}

  const Json* find(std::string_view name) const;  // of any type
  const std::string* string(std::string_view name) const;
  std::optional<bool> boolean(std::string_view name) const;
  std::optional<double> number(std::string_view name) const;
  std::optional<int64_t> integer(std::string_view name) const;
  std::optional<int64_t> count(std::string_view name) const;  // 0 or more
  const Json* list(std::string_view name) const;
  const Json* object(std::string_view name) const;

  // "NAME" must be WANTED.
  [[noreturn]] void refuse(std::string_view name, const std::string& wanted) const;
  const std::string& where() const { return where_; }

 private:
  const Json& object_;
  const std::string& where_;
  ErrorKind kind_;
  std::span<const JsonSynonym> synonyms_;
};

}  // namespace ds
