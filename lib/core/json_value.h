// The definition of ds::Json, for files that hold, build or walk one. It is a large header: headers that only
// name the type include core/json.h. No other file includes nlohmann's.
#pragma once
#define JSON_NO_IO 1
#define JSON_HAS_FILESYSTEM 0
#define JSON_HAS_EXPERIMENTAL_FILESYSTEM 0
#define JSON_HAS_RANGES 0
#define JSON_USE_IMPLICIT_CONVERSIONS 0
#include <nlohmann/json.hpp>

#include "core/json.h"
