// What a training run leaves on disk:
//   RUN/step-000200/   an adapter in PEFT's layout, or a model folder; state.safetensors and state.json to go
//   on
//                      from, the latter written last: a folder without it is no checkpoint
//   RUN/last           a link to the newest of them
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"
#include "core/json.h"
#include "io/run_lock.h"
#include "train/parameters.h"

namespace ds::train {

// Tensors of float32 as a safetensors file that appears whole. shape of each: as given.
struct NamedFloats {
  std::string name;
  std::vector<int64_t> shape;
  const float* values;
};
void write_floats(const std::string& path, const std::vector<NamedFloats>& tensors);

// First and second moments of every parameter (kernels/adamw.h), beside Parameters::all().
struct Moments {
  std::vector<std::vector<float>> m, v;
};

class RunFolder {
 public:
  // Makes the folder where it is not there, and holds it: one run at a time. Throws Error{kCannotCreate},
  // also when it holds checkpoints that nobody asked to go on from.
  RunFolder(const std::string& path, bool resume);

  // Writes a checkpoint of update `step`, lets `last` point to it, and removes all but the `keep` newest
  // (0: none). `state` is what load() gives back.
  void save(int64_t step, const ModelFolder& model, const Parameters& parameters, const Moments& moments,
            const Json& state, int64_t keep);
  // Whether there is a checkpoint to go on from.
  bool has_checkpoint() const { return !last_.empty(); }
  // Values and moments of the newest checkpoint into place; its state. Throws Error{kBadModel} when it is of
  // another model or other settings.
  Json load(Parameters& parameters, Moments& moments) const;

 private:
  std::string path_, last_;
  RunLock lock_;
};

}  // namespace ds::train
