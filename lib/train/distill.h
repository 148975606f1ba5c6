// Losses that teach a student a teacher's distribution, with their gradients. One position at a time; sums in
// double. p is the teacher, q the student, both at the temperature T; no factor T^2. Sources: Hinton et al.
// (2015); Agarwal et al., "On-policy distillation" (2023) for the generalised Jensen-Shannon divergence; TRL
// and ms-swift for the two ways to treat a teacher of whom only the largest log-probabilities are known.
#pragma once
#include <cstdint>
#include <span>

#include "core/rooms.h"

namespace ds::train {

enum class Divergence { kForwardKl, kReverseKl, kJensenShannon };

struct DistillOptions {
  Divergence divergence = Divergence::kForwardKl;
  // Of kJensenShannon: beta KL(p||m) + (1 - beta) KL(q||m), m = beta p + (1 - beta) q. At 0 and 1, where that
  // is 0, it means forward and reverse KL.
  double beta = 0.5;
  double temperature = 1;
};

// The divergence of two rows of logits [V]. Adds scale * d divergence / d student to `gradient` [V], where
// that is not empty. Rows must be finite and T above 0.
double distill_loss(std::span<const float> teacher, std::span<const float> student,
                    const DistillOptions& options, double scale, std::span<float> gradient);

// What is known of a teacher's K most likely tokens: log p at the temperature of the loss.
struct TopLogprobs {
  std::span<const int32_t> ids;     // distinct, each below V
  std::span<const float> logprobs;  // [K]
  // true: all other tokens are one more, of the mass that is left. false: both distributions are those of the
  // K tokens alone.
  bool tail = true;
};
// Forward KL to such a teacher, otherwise as above.
double distill_top_loss(const TopLogprobs& teacher, std::span<const float> student, double temperature,
                        double scale, std::span<float> gradient);

}  // namespace ds::train
