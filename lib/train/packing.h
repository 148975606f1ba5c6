// Which documents a micro-batch holds: as many as fit, none cut, without a token of padding. Documents of one
// micro-batch do not see each other; that is the attention's doing, this only chooses them.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/rooms.h"

namespace ds::train {

// The order of n documents in an epoch (from 0): a pure function of seed and epoch, so that a run which goes
// on needs to know no more than how far it was. Fisher-Yates over the counter generator.
std::vector<int64_t> shuffled_order(int64_t n, uint64_t seed, int64_t epoch);

// Packs `lengths` (tokens, in the order of training) into groups of at most max_tokens, best fit decreasing
// among `window` documents at a time: within a window the longest first, each into the fullest group that
// still has room. A document longer than max_tokens is a group of its own. Returns positions in `lengths`;
// groups are in the order of their first document, which keeps the order of training but for a window, and
// documents of a group are in order, too.
std::vector<std::vector<int64_t>> pack_documents(std::span<const int64_t> lengths, int64_t max_tokens,
                                                 int64_t window = 1024);

}  // namespace ds::train
