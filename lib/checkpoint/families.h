// The families' rows, one file each.
#pragma once
#include <span>

#include "checkpoint/architecture.h"

namespace ds::checkpoint {

std::span<const Architecture> llama_family();
std::span<const Architecture> deepseek_family();

}  // namespace ds::checkpoint
