// The small files of a model folder, as downloads and clones leave them. A GGUF file is read like a folder:
// FILE.gguf/config.json and the tokenizer's files are made from its metadata (checkpoint/gguf_config.h).
#pragma once
#include <cstdint>
#include <string>

#include "core/json.h"
#include "io/files.h"

namespace ds::checkpoint {

// Whether the name is there at all: a link that leads nowhere is, and opening it says so.
bool model_file_exists(const std::string& path);

// Opens for reading, without waiting for a writer should it be a pipe. Throws Error{kNoInput} for what is
// missing, no regular file, a link to nothing, or a Git LFS pointer in the file's place.
io::FileHandle open_model_file(const std::string& path);

// The whole file. Throws as open_model_file, {kBadModel} when it is longer than max_bytes.
std::string read_model_file(const std::string& path, int64_t max_bytes = int64_t{1} << 30);

// JSON as Python writes it: bare NaN, Infinity and -Infinity become the strings of these names, so that only
// who uses them has to mind. Throws Error{kBadModel} for anything else that is no JSON.
Json parse_model_json(const std::string& text, const std::string& where);
Json read_model_json(const std::string& path, int64_t max_bytes = int64_t{1} << 30);

}  // namespace ds::checkpoint
