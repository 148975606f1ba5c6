#include "model/decoder.h"

#include <algorithm>

#include "checkpoint/rope_scaling.h"
#include "kernels/embed.h"
#include "kernels/gather_rows.h"
#include "kernels/norm.h"
#include "kernels/residual_add.h"
#include "kernels/tape.h"
#include "model/gqa.h"
#include "model/mla.h"
#include "model/mlp.h"
#include "model/moe.h"

namespace ds::model {
Decoder::Layer::Layer(const ModelConfig& c, const BlockSpec& block, const RopeTable& rope, int64_t layer,
                      Weights& weights, std::vector<CacheStream>& streams) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  input_layernorm = weights.vector(prefix + "input_layernorm.weight", c.hidden_size);
  if (block.attention == BlockSpec::Attention::kGrouped) {
    attention = std::make_unique<GroupedQueryAttention>(c, block, rope, prefix + "self_attn.", layer, weights,
                                                        streams);
  } else {
    attention =
        std::make_unique<LatentAttention>(c, block, rope, prefix + "self_attn.", layer, weights, streams);
  }
  post_attention_layernorm = weights.vector(prefix + "post_attention_layernorm.weight", c.hidden_size);
  if (block.ffn == BlockSpec::Ffn::kExperts) {
    ffn = std::make_unique<MixtureOfExperts>(c, prefix + "mlp.", weights);
  } else {
    ffn = std::make_unique<Mlp>(c, prefix + "mlp.", weights);
  }
}

Decoder::Decoder(const std::shared_ptr<const ModelFolder>& folder, const Architecture& architecture,
                 Weights::Access access, WeightBinder* binder)
    : config_(folder->config()),
      weights_(folder, access, binder),
      rope_(make_rope_table(config_, config_.kv_lora_rank ? config_.qk_rope_head_dim : config_.head_dim)) {
  const int64_t D = config_.hidden_size, V = config_.vocab_size;
  embed_tokens_ = weights_.matrix("model.embed_tokens", V, D);
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i)
    layers_.emplace_back(config_, architecture.block(config_, i), rope_, i, weights_, streams_);
  norm_ = weights_.vector("model.norm.weight", D);
  lm_head_ = config_.tie_word_embeddings ? embed_tokens_ : weights_.matrix("lm_head", V, D);
  weights_.require_all_bound();
}

void Decoder::check(std::span<const int32_t> tokens, std::span<const Segment> segments) const {
  int64_t n = 0;
  for (const Segment& s : segments) {
    n += s.n_tokens;
    if (s.cache->length() + s.n_tokens > s.cache->capacity()) {
      throw Error(ErrorKind::kBadData,
                  std::to_string(s.cache->length() + s.n_tokens) + " tokens do not fit a context of " +
                      std::to_string(s.cache->capacity()),
                  "context", "raise --ctx or shorten the input");
    }
  }
  DS_CHECK(n == static_cast<int64_t>(tokens.size()));
  for (const int32_t id : tokens) {
    if (id < 0 || id >= config_.vocab_size)
      throw Error(ErrorKind::kBadData,
                  "token id " + std::to_string(id) + " is outside the vocabulary of " +
                      std::to_string(config_.vocab_size),
                  "input_ids");
  }
}

std::span<StepSegment> Decoder::open_segments(const Context& context, std::span<const int32_t> tokens,
                                              std::span<const Segment> segments) const {
  check(tokens, segments);
  for (const Segment& s : segments) s.cache->make_room(context, s.n_tokens);
  const auto steps = context.arena.list<StepSegment>(static_cast<int64_t>(segments.size()));
  for (size_t i = 0; i < segments.size(); ++i) {
    const auto rows = context.arena.list<KvRows>(static_cast<int64_t>(streams_.size()));
    for (size_t s = 0; s < rows.size(); ++s) rows[s] = segments[i].cache->rows(static_cast<int64_t>(s));
    steps[i].n_tokens = segments[i].n_tokens;
    steps[i].position = segments[i].cache->length();
    steps[i].streams = rows;
  }
  return steps;
}

template <class Then>
void Decoder::run_hidden(const Context& context, std::span<const int32_t> tokens,
                         std::span<StepSegment> segments, std::span<const int32_t> logit_rows, Pass kind,
                         Then&& then) const {
  Arena& arena = context.arena;
  const ScratchScope scope(arena);
  const int64_t T = static_cast<int64_t>(tokens.size()), D = config_.hidden_size;
  const auto n_segments = static_cast<int64_t>(segments.size());
  const auto n_rows = static_cast<int64_t>(logit_rows.size());
  const auto eps = static_cast<float>(config_.rms_norm_eps);

  // How each sequence's tokens are multiplied, and those of its tokens that get logits, follows from their
  // own number.
  const auto positions = arena.list<int32_t>(T);
  const auto segment_tokens = arena.list<int64_t>(n_segments);
  const auto runs = arena.list<TokenRun>(n_segments), logit_runs = arena.list<TokenRun>(n_segments);
  int64_t t = 0, row = 0;
  for (int64_t i = 0; i < n_segments; ++i) {
    const int64_t n = segments[i].n_tokens, first_row = row;
    segments[i].first_token = t;
    for (int64_t j = 0; j < n; ++j) positions[t++] = static_cast<int32_t>(segments[i].position + j);
    while (row < n_rows && logit_rows[row] < t) ++row;
    segment_tokens[i] = n;
    runs[i] = {n, few_or_many(n)};
    logit_runs[i] = {row - first_row, few_or_many(row - first_row)};
  }
  DS_CHECK(t == T && row == n_rows);
  const Step step{context, tokens, positions, segments, segment_tokens, runs, kind != Pass::kInference};

  const TensorView x = arena.take(T, D);  // residual stream
  const TensorView h = arena.take(T, D);  // normalised
  const TensorView y = arena.take(T, D);  // what a sublayer adds
  embed(context, embed_tokens_, tokens, x);
  for (const Layer& layer : layers_) {
    const auto run_once = [&step, &layer, this, x, h, y](const Context& c) {
      run_layer(
          {c, step.tokens, step.positions, step.segments, step.segment_tokens, step.runs, step.training},
          layer, x, h, y);
    };
    if (kind == Pass::kRecomputed && context.tape) {
      context.tape->run_again(context, x, run_once);
    } else {
      run_once(context);
    }
  }
  const TensorView last = h.rows_from(0, n_rows);
  gather_rows(context, x, logit_rows, last);
  rms_norm(context, last, norm_, eps, last);
  then(last, logit_runs);
}

void Decoder::forward(const Context& context, std::span<const int32_t> tokens,
                      std::span<const Segment> segments, std::span<const int32_t> logit_rows,
                      float* logits) const {
  const ScratchScope scope(context.arena);
  run(context, tokens, open_segments(context, tokens, segments), logit_rows, logits);
  for (const Segment& s : segments) s.cache->advance(s.n_tokens);
}

void Decoder::forward_hidden(const Context& context, std::span<const int32_t> tokens,
                             std::span<const Segment> segments, std::span<const int32_t> logit_rows,
                             bool recompute, const std::function<void(TensorView hidden)>& then) const {
  const ScratchScope scope(context.arena);
  for (const Segment& s : segments) DS_CHECK(s.cache->length() == 0);
  run_hidden(context, tokens, open_segments(context, tokens, segments), logit_rows,
             recompute ? Pass::kRecomputed : Pass::kTraining,
             [&](TensorView hidden, std::span<const TokenRun>) { then(hidden); });
}

void Decoder::head(const Context& context, TensorView hidden, TensorView logits) const {
  const MatmulJob job[] = {{lm_head_, hidden, logits}};
  matmul(context, job);
}

void Decoder::run(const Context& context, std::span<const int32_t> tokens, std::span<StepSegment> segments,
                  std::span<const int32_t> logit_rows, float* logits) const {
  run_hidden(context, tokens, segments, logit_rows, Pass::kInference,
             [&](TensorView hidden, std::span<const TokenRun> runs) {
               const int64_t V = config_.vocab_size;
               const MatmulJob job[] = {
                   {lm_head_, hidden, {logits, DType::kF32, context.device, hidden.rows, V, V}}};
               matmul(context, job, runs);
             });
}

void Decoder::run_layer(const Step& step, const Layer& layer, TensorView x, TensorView h,
                        TensorView y) const {
  const Context& context = step.context;
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  rms_norm(context, x, layer.input_layernorm, eps, h);
  layer.attention->forward(step, h, y);
  residual_add(context, x, y);
  rms_norm(context, x, layer.post_attention_layernorm, eps, h);
  layer.ffn->forward(step, h, y);
  residual_add(context, x, y);
}

int64_t Decoder::measure(const Context& context, std::span<const int64_t> segment_tokens,
                         int64_t context_tokens, DType cache_type) const {
  const int64_t most = *std::max_element(segment_tokens.begin(), segment_tokens.end());
  std::vector<KvRows> rows;
  for (const CacheStream& s : streams_)
    rows.push_back({nullptr, 1, std::max(context_tokens, most), s.width, cache_type, true});
  std::vector<StepSegment> segments;
  std::vector<int32_t> tokens, logit_rows;
  for (const int64_t n : segment_tokens) {
    segments.push_back({0, n, std::max<int64_t>(context_tokens - n, 0), rows});
    tokens.resize(tokens.size() + n);
  }
  for (size_t t = 0; t < tokens.size(); ++t) logit_rows.push_back(static_cast<int32_t>(t));
  run(context, tokens, segments, logit_rows, nullptr);
  return context.arena.peak_floats();
}

int64_t Decoder::workspace_floats(int64_t max_tokens, int64_t max_context, int n_threads,
                                  int64_t max_sequences, DType cache_type) const {
  // One long prompt beside short steps of all others; short steps of all, since what few tokens need is not
  // contained in what many need; and as many tokens as may be, multiplied as many: of one and of all.
  const int64_t n = std::min(max_sequences, max_tokens);
  std::vector<int64_t> longest(n, 1), shortest, shares(n, max_tokens / n);
  longest[0] = max_tokens - (n - 1);
  for (int64_t i = 0; i < max_tokens % n; ++i) ++shares[i];
  for (int64_t left = max_tokens; left > 0 && static_cast<int64_t>(shortest.size()) < max_sequences;)
    left -= shortest.emplace_back(std::min(left, kFewTokens));
  int64_t most = 0;
  for (const Isa isa : available_isas()) {
    for (const auto& segment_tokens : {longest, shortest, shares, std::vector<int64_t>{max_tokens}}) {
      Arena arena = Arena::measure(n_threads);
      const Context context{nullptr, arena, {isa, Activations::kF32}};
      most = std::max(most, measure(context, segment_tokens, max_context, cache_type));
    }
  }
  return most;
}

int64_t Decoder::weight_bytes_per_token() const {
  int64_t bytes = weights_.bound_bytes();
  for (const Layer& layer : layers_) bytes -= layer.ffn->idle_bytes_per_token();
  // Of the embedding one row is read; a tied one is read whole, as the head.
  if (!config_.tie_word_embeddings) bytes -= (embed_tokens_.rows - 1) * embed_tokens_.row_bytes();
  return bytes;
}

namespace {

// All that can be said of a folder before its tensors are bound.
const Architecture& check_folder(const ModelFolder& folder) {
  // The row first: a config of an unknown family would only fail for a key it spells differently.
  if (folder.model_type().empty()) folder.config();  // says what is wrong
  const Architecture& architecture = require_architecture(folder.model_type(), folder.config_path());
  folder.require_readable();
  return architecture;
}

}  // namespace

std::unique_ptr<const Model> load_model(const std::shared_ptr<const ModelFolder>& folder,
                                        WeightBinder* binder) {
  return std::make_unique<Decoder>(folder, check_folder(*folder), Weights::Access::kValues, binder);
}

std::string check_loadable(const std::shared_ptr<const ModelFolder>& folder) {
  const std::string type = folder->model_type();
  if (const Architecture* known = find_architecture(type); known && !known->block)
    return "model_type " + type +
           " is not run here yet: that its config.json and its tensors belong together was not checked";
  Decoder(folder, check_folder(*folder), Weights::Access::kNames);
  return "";
}

}  // namespace ds::model
