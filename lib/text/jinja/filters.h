// Filters that work through lists, dicts and the characters of strings. False: no filter of that name here.
#pragma once
#include <string>

#include "text/jinja/interpreter.h"

namespace ds::text::jinja {

bool apply_list_filter(Interpreter& in, const std::string& name, const Value& v, const Arguments& args,
                       const Keywords& keywords, Value& result);

}  // namespace ds::text::jinja
