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

// The same of a record, which may hold more than is asked of it: a float that is no finite double is an
// infinite one, as in Python, and whoever asks for that member will refuse it.
Json parse_record_json(std::string_view text, const std::string& where);
// Of a text that is no JSON: the members of its object that were read, commas behind them included, before
// what is wrong with it. No object when there are none.
Json members_before_error(std::string_view text);

}  // namespace ds::io
