// RoPE frequencies of a config: plain, linear, llama3 and YaRN (spec sections 1.2 and 2.3).
#pragma once
#include "checkpoint/config.h"
#include "kernels/rope.h"

namespace ds::model {

// theta for D rotated dimensions, and the magnitude of cos and sin.
RopeTable make_rope_table(const ModelConfig& config, int64_t D);

}  // namespace ds::model
