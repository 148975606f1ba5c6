// What differentially private training spends: the Renyi accountant of the Gaussian mechanism on Poisson
// samples. Sources: Mironov, Talwar, Zhang, "Renyi differential privacy of the sampled Gaussian mechanism"
// (2019), and for the conversion Balle et al., "Hypothesis testing interpretations and Renyi differential
// privacy" (2020); orders and series are those of Opacus, whose values the tests hold it to.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/rooms.h"

namespace ds::train {

// Steps of one kind in a row.
struct PrivacyPhase {
  double sampling_rate = 0;     // the chance of each document to be in a step's batch
  double noise_multiplier = 0;  // sigma: deviation of the noise over the clipping norm
  int64_t n_steps = 0;
};

struct PrivacySpent {
  double epsilon = 0;
  double order = 0;  // the Renyi order that gave it
};

// Renyi divergence of one order (> 1) that a phase spends; infinite without noise.
double renyi_divergence(const PrivacyPhase& phase, double order);

// (epsilon, delta) of phases one after another, over the orders 1.1 .. 10.9 in steps of 0.1 and 12 .. 63.
// Throws Error{kUsage} for a rate outside 0..1, a negative sigma or number of steps, a delta outside 0..1.
PrivacySpent privacy_spent(std::span<const PrivacyPhase> phases, double delta);

// The smallest sigma of `next` with which `before` and `next` together spend at most `epsilon`, to twelve
// digits and never below it. Throws Error{kUsage} as above, and when no noise is enough.
double smallest_noise(std::span<const PrivacyPhase> before, PrivacyPhase next, double delta, double epsilon);

}  // namespace ds::train
