// What is often given for JSONL and is not: told by the first bytes, so that it is refused by its name and
// not read as thousands of bad lines.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace ds::io {

constexpr size_t kTellingBytes = 512;  // as many of the content's first bytes tell

// Throws Error{kBadData} naming the format and how to make lines of it: zip, tar, lz4, Parquet, Arrow,
// UTF-16 and UTF-32, and with `json` an array of records and an object over several lines. A single line that
// is an array of numbers or words is a bad line, no such file.
void refuse_other_formats(std::string_view head, bool json, const std::string& where);

}  // namespace ds::io
