// What a run will cost, before any weight is read.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/cpu.h"
#include "core/json.h"
#include "infer/session.h"
#include "model/model.h"

namespace ds::infer {

// Where the weights lie while they are used.
enum class WeightPlacement {
  kAuto,    // kCopied when that pays and fits: see make_plan
  kMapped,  // in the page cache, read on demand, shared between processes
  kCopied,  // in memory of this process, in large pages: read once at the start, then streamed faster
};

struct Plan {
  std::string path, model_type;
  int64_t n_layers = 0, vocab_size = 0;
  int64_t n_weight_files = 0, weight_file_bytes = 0;
  int64_t weight_bytes = 0;            // of tensors the model uses; mapped, read on demand
  int64_t weight_bytes_per_token = 0;  // that one decoded token reads
  int64_t cache_bytes_per_token = 0;
  int64_t max_position_embeddings = 0;
  SessionSize session;
  bool copies_weights = false;
  bool ctx_reduced = false;  // memory allows less than the model's whole context
  int64_t available_bytes = 0;
  ThreadBudget threads;
  Isa isa = Isa::kScalar;
  bool rounds_activations = false;
  std::vector<std::string> warnings;  // where the folder can be read in two ways, and which was taken

  // A copy holds whole files, the page cache what is used of them.
  int64_t memory_of_weights() const { return copies_weights ? weight_file_bytes : weight_bytes; }
  // Whether weights and session fit memory together. When mapped ones do not (--weights map), they are read
  // from disk again and again: slow, not wrong.
  bool weights_fit() const;
  std::string text() const;           // lines for people
  std::string machine_text() const;   // "2 threads (affinity mask), avx2"
  std::string shortage_text() const;  // what it means that the weights do not fit
  Json json() const;
};

struct PlanOptions {
  int64_t ctx = 0;  // tokens of context; 0: the model's, as far as memory allows
  ThreadBudget threads;
  Isa isa = Isa::kScalar;
  bool rounds_activations = false;
  WeightPlacement weights = WeightPlacement::kAuto;
  int64_t available_bytes = available_memory_bytes();
};
// Throws Error{kUsage} for a context beyond the model's, {kOs} with the numbers when cache, scratch memory
// and weights cannot fit together; under kMapped the weights need not.
Plan make_plan(const ModelFolder& folder, const Model& model, const PlanOptions& options);

// "1.5 GB": for messages.
std::string bytes_text(int64_t bytes);

}  // namespace ds::infer
