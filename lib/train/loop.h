// A training run: documents in, updates, checkpoints.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/cpu.h"
#include "core/json.h"
#include "kernels/context.h"
#include "train/document.h"
#include "train/parameters.h"

namespace ds::train {

struct TrainOptions {
  std::string model, out;  // a folder or GGUF file; the run's folder
  ParameterOptions parameters;
  // An update is `accumulation` times `batch` documents. packing: the documents of a batch run as one step,
  // else one after the other; the same numbers up to rounding.
  int64_t batch = 8, accumulation = 4;
  bool packing = true;
  int64_t steps = 0, epochs = 3;  // updates; 0: as many as the epochs make
  bool shuffle = true;            // anew for every epoch, by the seed
  uint64_t seed = 0;
  // The learning rate of the update that follows `step` finished ones, of n_steps in all.
  std::function<double(int64_t step, int64_t n_steps)> rate;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double clip = 1;  // of the gradient's norm; 0: none
  // DP-SGD: each document's gradient (of its mean loss) is clipped to dp_clip, noise of dp_noise * dp_clip is
  // added to their sum, which is then divided by the documents of an update. 0: none. Shuffled, a document is
  // in an update by chance, as the accountant assumes.
  double dp_clip = 0, dp_noise = 0;
  std::string grads;      // file for the first update's gradient, before clipping; of DP-SGD the sum
  bool recompute = true;  // see Model::forward_hidden
  int64_t save_every = 0, keep = 2;  // updates between checkpoints (0: at the end only); how many stay
  bool resume = false;
  int64_t max_bad_losses = 8;  // updates in a row whose loss is not finite, and which are left out
  int n_threads = 1;
  Isa isa = Isa::kScalar;
  Activations activations = Activations::kF32;
  std::function<bool()> stop;  // asked between updates; null: never
  std::function<void(const Json& event)>
      on_event;  // {"event": "start" | "step" | "skip" | "save" | "end", ..}
};

struct TrainReport {
  bool stopped = false;  // and saved: resume goes on
  int64_t n_documents = 0, n_steps = 0, n_skipped = 0;
  double first_loss = 0, last_loss = 0;
  int64_t n_trained = 0;   // values
  int64_t peak_bytes = 0;  // of passes, beside weights, parameters and their moments
};

// Throws Error for what cannot be trained: {kBadModel} architectures without a backward, {kBadData} data
// without a supervised token, losses that stay NaN.
TrainReport train_model(const TrainOptions& options, DocumentSource& source);

}  // namespace ds::train
