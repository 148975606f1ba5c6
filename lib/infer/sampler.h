// Choosing the next token from logits. The order of steps and their meaning are those of transformers: repeat
// penalty, temperature, top-k, top-p, min-p. The same logits, parameters and stream give the same token on
// every machine.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/rng.h"

namespace ds::infer {

struct SamplingParams {
  double temperature = 1;  // 0: the most likely token, ties go to the lowest id
  int64_t top_k = 0;       // keep this many of the most likely tokens; 0: all
  double top_p = 1;        // keep the smallest set of most likely tokens that holds this probability
  double min_p = 0;        // drop tokens less likely than this share of the most likely one
  double repeat_penalty =
      1;              // divides positive and multiplies negative logits of tokens already in the context
  uint64_t seed = 0;  // one seed, one answer
};
// Throws Error{kind} naming `where` and the parameter that makes no sense.
void check_sampling(const SamplingParams& params, ErrorKind kind, const std::string& where);

class Sampler {
 public:
  explicit Sampler(int64_t vocab_size);

  // Begins a sequence: `stream` selects its own random numbers under the seed, `context` is what was read so
  // far.
  void start(const SamplingParams& params, uint64_t stream, std::span<const int32_t> context);
  // logits: [V]. Throws Error{kBadModel} when none of them is a number.
  int32_t sample(std::span<const float> logits);

 private:
  struct Candidate {
    double weight;  // exp((logit - largest) / temperature)
    int32_t id;
  };
  void mark_seen(int32_t id);
  int32_t draw(std::span<const float> logits, float largest);
  // Sorts candidates, most likely first, at least until they hold `weight` of the total.
  void sort_until(double weight);

  SamplingParams params_;
  CounterRng rng_{0};
  std::vector<float> penalised_;       // [V], a copy when there is a penalty
  std::vector<uint8_t> is_seen_;       // [V]
  std::vector<int32_t> seen_;          // the distinct tokens of the context
  std::vector<Candidate> candidates_;  // at most V
};

}  // namespace ds::infer
