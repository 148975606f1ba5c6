// RoPE frequencies of a config: plain, linear, llama3 and YaRN (spec sections 1.2 and 2.3).
#pragma once
#include "checkpoint/config.h"
#include "kernels/rope.h"

namespace ds::checkpoint {

// theta for D rotated dimensions, and the magnitude of cos and sin.
RopeTable make_rope_table(const ModelConfig& config, int64_t D);

// What YaRN adds to the softmax scale of MLA: m(factor, mscale_all_dim)^2, at every length; 1 without YaRN.
double mla_softmax_factor(const RopeScaling& scaling);

}  // namespace ds::checkpoint
