// A model ready to answer: weights, text side, defaults and threads. Loaded once, then const; a
// scheduler holds what changes.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/model_text.h"
#include "infer/generation_config.h"
#include "infer/memory_plan.h"
#include "kernels/context.h"
#include "model/model.h"

namespace ds::infer {

struct EngineOptions {
  int n_threads = 0;                            // 0: what the machine allows
  std::optional<Isa> isa;                       // unset: the best this machine has
  Activations activations = Activations::kF32;  // in prompts; see kernels/context.h
  int64_t ctx = 0;                              // tokens of context; 0: the model's, as far as memory allows
  int64_t max_sequences = 1;       // answered together by one scheduler; 0: see MemoryPlanOptions
  int64_t n_requests = 0;          // that will be made; 0: not known
  int64_t cache_tokens = 0;        // of all sequences together at most; 0: what memory allows
  DType cache_type = DType::kF32;  // of cached rows: kF32, or kBF16 for half the memory, rounded
  WeightPlacement weights = WeightPlacement::kAuto;
  bool plan_only = false;  // leave the weights unread: only plan() is wanted
  ModelTextOptions text;
};

class Engine {
 public:
  // Throws Error{kNoInput} or {kBadModel} for a folder that cannot be used, {kOs} when the plan does not fit.
  static std::unique_ptr<const Engine> load(const std::string& folder, const EngineOptions& options);

  std::string name() const;  // the last part of the path that load() was given
  const Model& model() const { return *model_; }
  const MemoryPlan& plan() const { return plan_; }
  // Throws Error{kNoInput} when the folder has no tokenizer.json.
  const ModelText& text() const;
  bool has_text() const { return text_ != nullptr; }
  // See GenerationConfig::settings.
  GenerationSettings defaults(const GenerationOverrides& told = {}) const {
    return generation_.settings(told);
  }
  bool is_stop_id(int32_t id) const;

  // The engine's threads serve one scheduler at a time.
  ThreadPool& pool() const { return *pool_; }
  Policy policy() const { return {plan_.isa, activations_}; }

 private:
  Engine() = default;

  std::unique_ptr<const Model> model_;
  std::unique_ptr<const ModelText> text_;
  GenerationConfig generation_;
  std::unique_ptr<ThreadPool> pool_;
  Activations activations_ = Activations::kF32;
  MemoryPlan plan_;
  std::string path_, folder_;  // as given; where it was found
};

}  // namespace ds::infer
