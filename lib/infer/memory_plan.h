// What a run will cost, before any weight is read.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/cpu.h"
#include "core/json.h"
#include "model/model.h"

namespace ds::infer {

// Where the weights lie while they are used.
enum class WeightPlacement {
  kAuto,    // kCopied when that pays and fits: see make_memory_plan
  kMapped,  // in the page cache, read on demand, shared between processes
  kCopied,  // in memory of this process, in large pages: read once at the start, then streamed faster
};

// How many sequences share a step where nobody says. Weights are read once for all of them, so each one more
// gains less: scripts/bench/batch.sh.
constexpr int64_t kAutoSequences = 8;

// What a scheduler costs, known before it exists.
struct SchedulerSize {
  int64_t ctx = 0;            // tokens of one sequence
  int64_t max_sequences = 1;  // read together in one forward pass
  int64_t chunk_tokens = 0;   // of a prompt, read in one forward pass
  int64_t scored_tokens = 0;  // the same when each wants its logits
  int64_t page_tokens = 0;    // of the cache
  int64_t cache_tokens = 0;   // that all sequences together may hold: a multiple of page_tokens
  DType cache_type = DType::kF32;
  int64_t cache_bytes = 0, workspace_bytes = 0, logits_bytes = 0;
  // One sequence reads a chunk while every other reads one token.
  int64_t step_tokens() const { return chunk_tokens + max_sequences - 1; }
  KvPoolSize pool() const {
    return {max_sequences, ctx, chunk_tokens, page_tokens, cache_type, cache_tokens};
  }
  int64_t step_rows() const { return scored_tokens + max_sequences - 1; }  // of logits
  int64_t bytes() const { return cache_bytes + workspace_bytes + logits_bytes; }
};
// cache_tokens: as many pages as hold them; at least one sequence's context, at most that of all.
SchedulerSize plan_scheduler(const Model& model, int64_t ctx, int64_t max_sequences, int64_t cache_tokens,
                             int n_threads, DType cache_type);

struct MemoryPlan {
  std::string path, model_type;
  int64_t n_layers = 0, vocab_size = 0;
  int64_t n_weight_files = 0, weight_file_bytes = 0;
  int64_t weight_bytes = 0;            // of tensors the model uses; mapped, read on demand
  int64_t weight_bytes_per_token = 0;  // that one decoded token reads
  int64_t cache_bytes_per_token = 0;   // beyond every window
  int64_t window_tokens = 0;           // that some layers see at most, and keep; 0: none
  int64_t max_position_embeddings = 0;
  SchedulerSize scheduler;
  bool copies_weights = false;
  bool ctx_reduced = false;  // memory allows less than the model's whole context
  int64_t available_bytes = 0;
  ThreadBudget threads;
  Isa isa = Isa::kScalar;
  bool rounds_activations = false;
  std::vector<std::string> warnings;  // where the folder can be read in two ways, and which was taken

  // A copy holds whole files, the page cache what is used of them.
  int64_t memory_of_weights() const { return copies_weights ? weight_file_bytes : weight_bytes; }
  // Whether weights and scheduler fit memory together. When mapped ones do not (--weights map), they are read
  // from disk again and again: slow, not wrong.
  bool weights_fit() const;
  const char* cache_type_name() const;  // as --cache-type names it
  std::string text() const;             // lines for people
  std::string machine_text() const;     // "2 threads (affinity mask), avx2"
  std::string shortage_text() const;    // what it means that the weights do not fit
  Json json() const;
};

struct MemoryPlanOptions {
  int64_t ctx = 0;  // tokens of context; 0: the model's, as far as memory allows
  // Answered together. 0: as many as pay, if their memory allows (kAutoSequences), at most one for each of
  // n_requests.
  int64_t max_sequences = 1;
  int64_t n_requests = 0;    // that will be made; 0: not known
  int64_t cache_tokens = 0;  // of all together at most, but no less than a context; 0: what memory allows
  DType cache_type = DType::kF32;
  ThreadBudget threads;
  Isa isa = Isa::kScalar;
  bool rounds_activations = false;
  WeightPlacement weights = WeightPlacement::kAuto;
  int64_t available_bytes = available_memory_bytes();
};
// Throws Error{kUsage} for a context beyond the model's, {kOs} with the numbers when cache, scratch memory
// and weights cannot fit together; under kMapped the weights need not.
MemoryPlan make_memory_plan(const ModelFolder& folder, const Model& model, const MemoryPlanOptions& options);

// "1.5 GB": for messages.
std::string bytes_text(int64_t bytes);

}  // namespace ds::infer
