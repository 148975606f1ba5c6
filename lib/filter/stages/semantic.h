// The embedder as a profile wants it, for the stage and for its calibration.
#pragma once
#include <memory>

#include "filter/semantic/embedder.h"
#include "filter/stages/stage.h"

namespace ds::filter {

// Throws Error, {kBadModel} where the profile's cuts were made for another one.
std::shared_ptr<const Embedder> load_embedder(const SemanticSettings& settings,
                                              const ResourceOptions& options);

}  // namespace ds::filter
