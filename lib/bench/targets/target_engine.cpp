// The engine in this process as a target, and as a source. The model is loaded once. The requests of several
// clients share the steps of its scheduler; those for which there is no place wait, which their first token
// shows.
#include "bench/eval/perplexity.h"
#include "bench/records/environment.h"
#include "bench/targets/target.h"
#include "checkpoint/digest.h"
#include "core/clock.h"
#include "core/json_value.h"
#include "infer/engine.h"
#include "infer/request.h"
#include "infer/score.h"
#include "infer/shared_scheduler.h"

namespace ds::bench {
namespace {

constexpr int64_t kMostTogether = 64;  // sequences in a step
constexpr int kMostClients = 1024;

EngineOptions engine_options(const TargetOptions& options) {
  EngineOptions out;
  out.n_threads = options.threads;
  if (options.isa != "auto") out.isa = parse_isa(options.isa);
  out.ctx = options.context_tokens;
  out.max_sequences = std::min(options.concurrency, kMostTogether);
  return out;
}

class EngineTarget : public Target {
 public:
  EngineTarget(const std::string& folder, const TargetOptions& options)
      : engine_(Engine::load(folder, engine_options(options))),
        scheduler_(*engine_),
        digest_(checkpoint::model_digest(folder)) {}

  int max_concurrency() const override { return kMostClients; }

  Json describe() const override {
    const MemoryPlan& plan = engine_->plan();
    return Json{{"kind", "engine"},
                {"model", engine_->name()},
                {"model_type", plan.model_type},
                {"digest", digest_},
                {"weight_bytes", plan.weight_bytes},
                {"weight_bytes_per_token", plan.weight_bytes_per_token},
                {"cache_bytes_per_token", plan.cache_bytes_per_token},
                {"threads", plan.threads.n_threads},
                {"max_sequences", plan.scheduler.max_sequences},
                {"isa", isa_name(plan.isa)}};
  }

  Outcome send(const Request& request, const StopRequest& stop) override {
    Outcome o;
    o.t_send_ns = now_ns();
    try {
      const std::vector<int32_t> prompt = encode(request);
      decode(o, prompt, request, stop);
      o.n_in = static_cast<int64_t>(prompt.size());
      o.n_out = static_cast<int64_t>(o.event_ns.size());
      o.tokens_source = "engine";
    } catch (const Error& e) {
      // A prompt that does not fit spoils one request; a model that cannot be used spoils them all.
      if (e.kind() != ErrorKind::kBadData) throw;
      o.error = "bad_request";
      o.error_detail = e.message();
    }
    o.t_done_ns = now_ns();
    o.peak_rss_bytes = peak_memory_bytes();
    return o;
  }

 private:
  std::vector<int32_t> encode(const Request& request) const {
    const ModelText& text = engine_->text();
    if (!text.has_template()) return text.encode_plain(request.prompt);
    RenderRequest chat;
    chat.messages =
        request.messages.empty() ? Json::array_t{make_message("user", request.prompt)} : request.messages;
    return encode_chat(text, chat, request.id);
  }

  GenerationSettings settings(const Request& request) const {
    GenerationSettings s;
    s.sampling.temperature = request.temperature;
    s.sampling.seed = request.seed;
    s.max_tokens = request.max_tokens;
    return s;
  }

  void decode(Outcome& o, const std::vector<int32_t>& prompt, const Request& request,
              const StopRequest& stop) {
    GenerateRequest generate;
    generate.prompt = prompt;
    generate.settings = settings(request);
    generate.exact_length = request.ignore_eos;
    generate.reuse = PrefixReuse::kNone;
    Generation g = scheduler_.run(std::move(generate), {}, stop);
    o.event_ns = std::move(g.token_ns);
    o.finish = finish_reason_name(g.finish_reason);
    o.text = std::move(g.text);
    if (g.finish_reason == FinishReason::kInterrupted) o.error = "stopped";
  }

  std::unique_ptr<const Engine> engine_;
  SharedScheduler scheduler_;
  std::string digest_;
};

class EngineLogits : public LogitsSource {
 public:
  EngineLogits(const std::string& folder, const TargetOptions& options)
      : engine_(Engine::load(folder, engine_options(options))),
        scheduler_(*engine_),
        digest_(checkpoint::model_digest(folder)) {}

  int64_t vocab_size() const override { return engine_->model().config().vocab_size; }
  int64_t context_tokens() const override { return engine_->plan().scheduler.ctx; }
  std::string digest() const override { return digest_; }
  std::vector<int32_t> encode(const std::string& text) const override {
    return engine_->text().tokenizer().encode(text, false);
  }
  std::optional<int32_t> begin_id() const override { return infer::begin_id(engine_->text()); }
  std::string token_text(int32_t id) const override {
    return std::string(engine_->text().tokenizer().token_bytes(id));
  }
  void logits(std::span<const int32_t> ids, const LogitsSink& sink) override {
    const int64_t V = vocab_size();
    read_with_logits(scheduler_, {ids.begin(), ids.end()}, "window", {},
                     [&](int64_t first, std::span<const float> rows) {
                       const int64_t n = static_cast<int64_t>(rows.size()) / V;
                       for (int64_t i = 0; i < n; ++i)
                         sink(first + i, rows.subspan(static_cast<size_t>(i * V), static_cast<size_t>(V)));
                     });
  }

 private:
  std::unique_ptr<const Engine> engine_;
  Scheduler scheduler_;
  std::string digest_;
};

}  // namespace

std::unique_ptr<Target> make_engine_target(const std::string& model_folder, const TargetOptions& options) {
  return std::make_unique<EngineTarget>(model_folder, options);
}
std::unique_ptr<LogitsSource> engine_logits(const std::string& model_folder, const TargetOptions& options) {
  return std::make_unique<EngineLogits>(model_folder, options);
}

}  // namespace ds::bench
