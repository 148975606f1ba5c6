// What this machine can and cannot measure, and what ds-bench itself costs on it.
#pragma once
#include <string>

#include "bench/records/environment.h"
#include "core/json_value.h"

namespace ds::bench {

struct Doctor {
  Json facts;
  std::string text;
  bool self_test_ok = true;  // A against A was not called different
};
Doctor examine(const Build& build, int width);

}  // namespace ds::bench
