// Command lines and addresses as records keep them.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"

namespace ds::bench {

// Without what looks like a secret: the user part of an address, the value of an Authorization or Cookie
// header, what follows "Bearer", and the value after a name that ends in key, token, secret or password
// ("API_KEY=...", "--auth-token ...", "x-api-key: ...").
std::string redacted(const std::string& text);
Json redacted(const std::vector<std::string>& argv);

}  // namespace ds::bench
