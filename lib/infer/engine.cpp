#include "infer/engine.h"

#include <algorithm>
#include <future>

#include "checkpoint/model_file.h"
#include "checkpoint/other_folders.h"

namespace ds::infer {

std::unique_ptr<const Engine> Engine::load(const std::string& path, const EngineOptions& options) {
  std::unique_ptr<Engine> engine(new Engine);
  // What is free is asked before the weights are mapped: under ulimit -v they would be counted twice.
  MemoryPlanOptions plan;
  const auto folder = open_model(path);
  engine->path_ = path;
  engine->folder_ = folder->path();
  // A large vocabulary takes as long to read as the weights take to bind: do both at once, or, where no
  // thread can be started, the one after the other.
  std::future<std::unique_ptr<const ModelText>> text;
  if (model_file_exists(engine->folder_ + "/tokenizer.json"))
    text = std::async([&] { return ModelText::open(engine->folder_, options.text); });

  engine->model_ = load_model(folder);
  engine->generation_ = read_generation_config(engine->folder_, engine->model_->config());
  plan.ctx = options.ctx;
  plan.max_sequences = options.max_sequences;
  plan.n_requests = options.n_requests;
  plan.cache_tokens = options.cache_tokens;
  plan.cache_type = options.cache_type;
  plan.threads =
      options.n_threads > 0 ? ThreadBudget{options.n_threads, "as asked with --threads"} : default_threads();
  plan.isa = options.isa ? *options.isa : best_isa();
  plan.rounds_activations = options.activations == Activations::kBF16;
  plan.weights = options.weights;
  engine->plan_ = make_memory_plan(*folder, *engine->model_, plan);
  engine->activations_ = options.activations;
  engine->pool_ = std::make_unique<ThreadPool>(plan.threads.n_threads);
  if (engine->plan_.copies_weights && !options.plan_only)
    engine->model_->copy_into_large_pages(*engine->pool_);

  if (text.valid()) {
    engine->text_ = text.get();
    // The tokenizer's end tokens end a turn too: chat models often differ there from config.json.
    for (const int32_t eos : engine->text_->eos_ids())
      if (!engine->is_stop_id(eos)) engine->generation_.stop_ids.push_back(eos);
  }
  return engine;
}

std::string Engine::name() const {
  const std::string path = path_.substr(0, path_.find_last_not_of('/') + 1);
  return path.substr(path.rfind('/') + 1);
}

const ModelText& Engine::text() const {
  if (text_) return *text_;
  require_tokenizer(folder_);
  throw Error(ErrorKind::kNoInput, "came after the model was loaded", folder_ + "/tokenizer.json",
              "run again");
}

bool Engine::is_stop_id(int32_t id) const {
  const auto& ids = generation_.stop_ids;
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace ds::infer
