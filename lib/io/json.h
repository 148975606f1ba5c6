// Parsing JSON text (RFC 8259, strict UTF-8) into ds::Json.
#pragma once
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/json.h"

namespace ds::io {

// Of members with one name the last counts, at the place of the first, as in Python. Throws Error{kind}
// naming `where` when the text is no single JSON value, nests deeper than 500 levels, or holds a float that
// is no finite double (1e400).
Json parse_json(std::string_view text, const std::string& where, ErrorKind kind = ErrorKind::kBadData);

}  // namespace ds::io
