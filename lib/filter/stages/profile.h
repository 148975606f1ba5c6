// Profiles as JSON: what a user edits.
#pragma once
#include "core/json.h"
#include "filter/stages/rules.h"

namespace ds::filter {

Profile default_profile();
// The default one, with a JSON file over it and of these stages; "" stands for neither. Throws Error.
Profile read_profile(const std::string& path, const std::string& stages);
// Applies a JSON object over `profile`. Throws Error{kBadModel} for an unknown key or a wrong type: a
// misspelt rule must not silently do nothing.
void apply_profile(Profile& profile, const Json& json, const std::string& where);
// Comma separated names. Throws Error{kBadModel} for an unknown one.
void choose_stages(Profile& profile, const std::string& list);
Json profile_json(const Profile& profile);  // complete; apply_profile reads it back

}  // namespace ds::filter
