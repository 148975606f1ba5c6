#include "infer/memory_plan.h"

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "core/json_value.h"

namespace ds::infer {
namespace {

// Kept free for everything else in the process: tokenizer, buffers, the program itself.
constexpr int64_t kReserveBytes = 64 << 20;
constexpr int64_t kMinUsefulContext = 16;
// Smaller weights stay in the caches, or nearly; larger ones would leave the page cache too little of the
// memory.
constexpr int64_t kMinCopiedBytes = 64 << 20;
constexpr double kMaxCopiedShare = 0.4;

// Long passes read weights once for many tokens; beyond this the gain is small and the scratch memory grows.
constexpr int64_t kMaxChunkTokens = 512;
// Of the cache: small against a context, large enough that attention seldom changes pages.
constexpr int64_t kPageTokens = 64;
// Scratch and logits stay well inside "planned cache + 150 MB".
constexpr int64_t kMaxWorkspaceBytes = 96 << 20;
constexpr int64_t kMaxLogitsBytes = 32 << 20;

// resident_bytes: weights that stay in memory beside the scheduler.
void check_fits(const MemoryPlan& plan, const SchedulerSize& size, int64_t resident_bytes) {
  const int64_t needed = size.bytes() + resident_bytes + kReserveBytes;
  if (needed <= plan.available_bytes) return;
  std::string lower_ctx = "lower --ctx";
  if (plan.cache_bytes_per_token > 0)
    lower_ctx += ": each token costs " + bytes_text(plan.cache_bytes_per_token);
  lower_ctx += "; ";
  throw Error(ErrorKind::kOs,
              "a context of " + std::to_string(size.ctx) + " tokens needs " + bytes_text(needed) +
                  ": cache " + bytes_text(size.cache_bytes) + ", scratch " +
                  bytes_text(size.workspace_bytes + size.logits_bytes) +
                  (resident_bytes ? ", weights " + bytes_text(resident_bytes) : "") + ", " +
                  bytes_text(kReserveBytes) + " kept for everything else; " +
                  bytes_text(plan.available_bytes) + " are available",
              plan.path,
              (size.ctx > kMinUsefulContext ? lower_ctx : std::string()) +
                  (resident_bytes ? "--weights map reads weights that do not fit from disk again and again "
                                    "(slow)"
                                  : "free some memory or raise the limit on it"));
}

// The largest of least..most that is good, where least is, and all below a good one are.
template <class Good>
int64_t largest(int64_t least, int64_t most, const Good& is_good) {
  if (least >= most || is_good(most)) return most;
  for (; most - least > 1;) {
    const int64_t middle = least + (most - least) / 2;
    (is_good(middle) ? least : most) = middle;
  }
  return least;
}

// Gives several sequences as much cache as they can use of the memory that is left. Where nobody asked for so
// many, half of that stays free.
void grow_cache(MemoryPlan& plan, const Model& model, const MemoryPlanOptions& options) {
  SchedulerSize& size = plan.scheduler;
  const int64_t free_bytes =
      std::max<int64_t>(0, plan.available_bytes - plan.memory_of_weights() - size.bytes() - kReserveBytes);
  const int64_t limit = size.cache_bytes + (options.max_sequences == 0 ? free_bytes / 2 : free_bytes);
  const auto bytes_of = [&](int64_t n_pages) {
    KvPoolSize pool = size.pool();
    pool.total_tokens = n_pages * size.page_tokens;
    return KvPool::bytes(model.cache_streams(), pool);
  };
  const int64_t n_pages = size.cache_tokens / size.page_tokens;
  int64_t n_most = n_pages * size.max_sequences;
  if (options.cache_tokens > 0) n_most = std::clamp(options.cache_tokens / size.page_tokens, n_pages, n_most);
  size.cache_tokens =
      size.page_tokens * largest(n_pages, n_most, [&](int64_t n) { return bytes_of(n) <= limit; });
  size.cache_bytes = bytes_of(size.cache_tokens / size.page_tokens);
}

}  // namespace

std::string bytes_text(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 999.5 && unit < 4) value /= 1000, ++unit;
  char text[32];
  std::snprintf(text, sizeof text,
                unit == 0 || value >= 99.95 ? "%.0f %s"
                : value >= 9.995            ? "%.1f %s"
                                            : "%.2f %s",
                value, kUnits[unit]);
  return text;
}

SchedulerSize plan_scheduler(const Model& model, int64_t ctx, int64_t max_sequences, int64_t cache_tokens,
                             int n_threads, DType cache_type) {
  SchedulerSize size;
  size.ctx = ctx;
  size.max_sequences = max_sequences;
  size.chunk_tokens = kMaxChunkTokens;
  size.cache_type = cache_type;
  // Where prompts are cut must depend on the model alone: neither threads nor memory may change the bits of
  // an answer.
  const int64_t longest = std::max(ctx, model.config().max_position_embeddings);
  while (size.chunk_tokens > 16 &&
         model.workspace_floats(size.chunk_tokens, longest, 1) * 4 > kMaxWorkspaceBytes)
    size.chunk_tokens /= 2;
  size.chunk_tokens = std::min(size.chunk_tokens, ctx);
  size.page_tokens = kPageTokens;
  const auto whole_pages = [](int64_t n_tokens) {
    return (n_tokens + kPageTokens - 1) / kPageTokens * kPageTokens;
  };
  size.cache_tokens =
      std::clamp(whole_pages(cache_tokens), whole_pages(ctx), max_sequences * whole_pages(ctx));
  const int64_t row_bytes = model.config().vocab_size * 4;
  size.scored_tokens = std::clamp<int64_t>(kMaxLogitsBytes / row_bytes, 1, size.chunk_tokens);
  size.workspace_bytes =
      model.workspace_floats(size.step_tokens(), ctx, n_threads, max_sequences, cache_type) * 4;
  size.cache_bytes = KvPool::bytes(model.cache_streams(), size.pool());
  size.logits_bytes = size.step_rows() * row_bytes;
  return size;
}

MemoryPlan make_memory_plan(const ModelFolder& folder, const Model& model, const MemoryPlanOptions& options) {
  const ModelConfig& config = model.config();
  MemoryPlan plan;
  plan.path = folder.path();
  plan.warnings = folder.warnings();
  plan.model_type = config.model_type;
  plan.n_layers = config.num_hidden_layers;
  plan.vocab_size = config.vocab_size;
  for (const WeightFile& file : folder.files()) plan.n_weight_files += !file.name.empty();
  for (const WeightFile& file : folder.files()) plan.weight_file_bytes += file.bytes;
  plan.weight_bytes = model.weight_bytes();
  plan.weight_bytes_per_token = model.weight_bytes_per_token();
  plan.cache_bytes_per_token = KvPool::bytes_per_token(model.cache_streams(), options.cache_type);
  for (const CacheStream& s : model.cache_streams())
    plan.window_tokens = std::max(plan.window_tokens, s.window * s.tokens_per_row);
  plan.max_position_embeddings = config.max_position_embeddings;
  plan.threads = options.threads;
  plan.isa = options.isa;
  plan.rounds_activations = options.rounds_activations;
  plan.available_bytes = options.available_bytes;
  const bool pays = plan.weight_file_bytes >= kMinCopiedBytes &&
                    static_cast<double>(plan.weight_file_bytes) <=
                        kMaxCopiedShare * static_cast<double>(plan.available_bytes);
  plan.copies_weights =
      options.weights == WeightPlacement::kCopied || (options.weights == WeightPlacement::kAuto && pays);

  const int64_t whole = config.max_position_embeddings > 0 ? config.max_position_embeddings : 4096;
  if (options.ctx > whole)
    throw Error(ErrorKind::kUsage,
                "--ctx " + std::to_string(options.ctx) + " is beyond the " + std::to_string(whole) +
                    " positions that the model knows",
                config.path, "choose at most max_position_embeddings");
  // The least that a number of sequences needs: the cache of one, for which the others wait.
  int64_t n_sequences = std::max<int64_t>(options.max_sequences, 1);
  const auto size_of = [&](int64_t ctx) {
    return plan_scheduler(model, ctx, n_sequences, ctx, options.threads.n_threads, options.cache_type);
  };
  // Who says map accepts weights that come and go; else they must fit beside the scheduler.
  const int64_t resident_bytes = options.weights == WeightPlacement::kMapped ? 0 : plan.memory_of_weights();
  const auto ok = [&](const SchedulerSize& size) {
    return size.bytes() + resident_bytes + kReserveBytes <= plan.available_bytes;
  };
  int64_t ctx = options.ctx;
  if (ctx == 0) {
    ctx = std::min(whole, kMinUsefulContext);
    check_fits(plan, size_of(ctx), resident_bytes);
    ctx = largest(ctx, whole, [&](int64_t c) { return ok(size_of(c)); });
    plan.ctx_reduced = ctx < whole;
  }
  plan.scheduler = size_of(ctx);
  check_fits(plan, plan.scheduler, resident_bytes);
  if (options.max_sequences == 0) {
    n_sequences = options.n_requests > 0 ? std::min(kAutoSequences, options.n_requests) : kAutoSequences;
    while (n_sequences > 1 && !ok(size_of(ctx))) n_sequences /= 2;
    plan.scheduler = size_of(ctx);
  }
  grow_cache(plan, model, options);
  return plan;
}

bool MemoryPlan::weights_fit() const {
  return memory_of_weights() + scheduler.bytes() + kReserveBytes <= available_bytes;
}

const char* MemoryPlan::cache_type_name() const {
  return scheduler.cache_type == DType::kBF16 ? "bf16" : "f32";
}

std::string MemoryPlan::machine_text() const {
  return std::to_string(threads.n_threads) + (threads.n_threads == 1 ? " thread (" : " threads (") +
         threads.reason + "), " + isa_name(isa);
}

std::string MemoryPlan::shortage_text() const {
  return bytes_text(weight_bytes) + " of weights and " + bytes_text(scheduler.bytes()) +
         " of cache do not fit " + bytes_text(available_bytes) +
         " of memory: weights will be read from disk again and again (slow)";
}

std::string MemoryPlan::text() const {
  std::string out;
  const auto line = [&](const char* name, const std::string& value) {
    char label[24];
    std::snprintf(label, sizeof label, "%-12s", name);
    out += label + value + "\n";
  };
  line("model", path + " (" + model_type + ", " + std::to_string(n_layers) + " layers, vocabulary " +
                    std::to_string(vocab_size) + ")");
  line("weights", bytes_text(weight_bytes) + (copies_weights ? " copied from " : " mapped from ") +
                      std::to_string(n_weight_files) + (n_weight_files == 1 ? " file" : " files") + ", " +
                      bytes_text(weight_bytes_per_token) + " read per token");
  line("context", std::to_string(scheduler.ctx) + " tokens" +
                      (ctx_reduced ? " (memory allows no more; the model knows " +
                                         std::to_string(max_position_embeddings) + ")"
                                   : ""));
  line("cache", bytes_text(scheduler.cache_bytes) + " when full, " + bytes_text(cache_bytes_per_token) +
                    " per token" +
                    (window_tokens > 0 ? " beyond the last " + std::to_string(window_tokens) : "") +
                    ", rows in " + cache_type_name());
  if (scheduler.max_sequences > 1)
    line("together", std::to_string(scheduler.max_sequences) + " records, which share " +
                         std::to_string(scheduler.cache_tokens) + " tokens of cache or wait for it");
  line("scratch", bytes_text(scheduler.workspace_bytes + scheduler.logits_bytes) + ", prompts read " +
                      std::to_string(scheduler.chunk_tokens) + " tokens at a time");
  line("memory",
       bytes_text(available_bytes) + " available" +
           (weights_fit() ? ""
                          : "; the weights do not fit beside the cache and will be read from disk again "
                            "and again (slow)"));
  line("threads", std::to_string(threads.n_threads) + " (" + threads.reason + ")");
  for (const std::string& warning : warnings) line("note", warning);
  line("kernels", std::string(isa_name(isa)) + ", activations " + (rounds_activations ? "bf16" : "f32"));
  return out;
}

Json MemoryPlan::json() const {
  Json out;
  out["model"] = path;
  out["model_type"] = model_type;
  out["n_layers"] = n_layers;
  out["vocab_size"] = vocab_size;
  Json::array_t notes(warnings.begin(), warnings.end());
  out["warnings"] = std::move(notes);
  out["n_weight_files"] = n_weight_files;
  out["weight_file_bytes"] = weight_file_bytes;
  out["weight_bytes"] = weight_bytes;
  out["weight_bytes_per_token"] = weight_bytes_per_token;
  out["ctx_tokens"] = scheduler.ctx;
  out["max_position_embeddings"] = max_position_embeddings;
  out["max_sequences"] = scheduler.max_sequences;
  out["cache_tokens"] = scheduler.cache_tokens;
  out["cache_type"] = cache_type_name();
  out["cache_bytes"] = scheduler.cache_bytes;
  out["cache_bytes_per_token"] = cache_bytes_per_token;
  out["window_tokens"] = window_tokens;
  out["scratch_bytes"] = scheduler.workspace_bytes + scheduler.logits_bytes;
  out["chunk_tokens"] = scheduler.chunk_tokens;
  out["available_bytes"] = available_bytes;
  out["weights_fit"] = weights_fit();
  out["weights"] = copies_weights ? "copy" : "map";
  out["n_threads"] = threads.n_threads;
  out["threads_reason"] = threads.reason;
  out["isa"] = isa_name(isa);
  out["activations"] = rounds_activations ? "bf16" : "f32";
  return out;
}

}  // namespace ds::infer
