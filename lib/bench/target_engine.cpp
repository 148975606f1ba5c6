// The engine in this process as a target.
#include "bench/target.h"
#include "core/error.h"

namespace ds::bench {

std::unique_ptr<Target> make_engine_target(const std::string& model_folder, const TargetOptions&) {
  throw Error(ErrorKind::kOs, "this build has no engine in it", model_folder, "measure with --cmd or --url");
}

}  // namespace ds::bench
