// Parsing JSON text (RFC 8259, strict UTF-8) into ds::Json.
#pragma once
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/json.h"

namespace ds::io {

// Throws Error{kind} naming `where` when the text is no single JSON value, nests deeper than 500 levels, or
// holds an integer of 2^64 or more (integers from 2^63 on become doubles).
Json parse_json(std::string_view text, const std::string& where, ErrorKind kind = ErrorKind::kBadData);

}  // namespace ds::io
