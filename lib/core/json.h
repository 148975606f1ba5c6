// The JSON document: what configs, records and template variables are made of. It is nlohmann's ordered_json
// (members keep the order in which they were written, keys are looked up linearly), declared here and defined
// in core/json_value.h. Parsing lives in io/json.h.
//
// Numbers keep their digits: integers are int64_t, from 2^63 on uint64_t, beyond 64 bits a long_integer
// below; what has a point or an exponent is a double.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "core/rooms.h"

namespace ds {

using Json = nlohmann::ordered_json;

// The member of that name, or nullptr when absent or when `value` is no object.
const Json* find(const Json& value, std::string_view key);

// An integer that an int64_t holds. (nlohmann's is_number_integer is true of larger ones, too.)
bool is_int(const Json& value);
// An integer of any length: dump() gives its digits.
bool is_any_integer(const Json& value);

// Each throws a nlohmann exception when the value is of another kind: ask first.
int64_t as_int(const Json& value);
const std::string& as_string(const Json& value);

// An integer beyond 64 bits, kept as its digits; no number to nlohmann's own functions, so that who wants a
// number and cannot take this one refuses it by name. `long_integer_digits` is empty for anything else.
Json long_integer(std::string_view digits);
std::string_view long_integer_digits(const Json& value);

// Compact RFC 8259 text in UTF-8, numbers and strings as the functions below write them.
std::string dump(const Json& value);

// Appends `text` as a JSON string with its quotes. Valid UTF-8 is kept as it is, a broken byte becomes
// U+FFFD.
void append_json_string(std::string& out, std::string_view text);
// Appends a number as the shortest text that reads back the same, "2.0" for two; `null` when not finite.
void append_json_number(std::string& out, double value);
void append_json_number(std::string& out, float value);

}  // namespace ds
