// The scratch memory that a model plans is enough for every length up to the planned context.
#include <doctest/doctest.h>

#include "checkpoint/model_maker.h"
#include "goldens.h"
#include "model/model.h"

using namespace ds;
using namespace ds::model;
using namespace ds::test;

TEST_CASE("latent attention's plan covers the length at which most heads are expanded at once") {
  // Heads so wide that two of them fit the expansion up to 512 tokens, and only one at 516.
  constexpr int64_t D = 8, H = 2, Dn = 2048, Dv = 2048, Dr = 2, Rkv = 2100, V = 16, F = 8, S = 512,
                    kCtx = 516;
  TempFolder folder;
  folder.write("config.json",
               R"({"model_type":"deepseek_v2","vocab_size":16,"hidden_size":8,"num_hidden_layers":1,
                   "intermediate_size":8,"num_attention_heads":2,"q_lora_rank":null,"kv_lora_rank":2100,
                   "qk_nope_head_dim":2048,"qk_rope_head_dim":2,"v_head_dim":2048})");
  const auto zeros = [](const std::string& name, std::vector<int64_t> shape) {
    int64_t n = 2;
    for (const int64_t d : shape) n *= d;
    return MadeTensor{name, "BF16", shape, std::string(n, '\0')};
  };
  const std::string layer = "model.layers.0.", attn = layer + "self_attn.", mlp = layer + "mlp.";
  write_shard(
      folder, "model.safetensors",
      {zeros("model.embed_tokens.weight", {V, D}), zeros("lm_head.weight", {V, D}),
       zeros("model.norm.weight", {D}), zeros(layer + "input_layernorm.weight", {D}),
       zeros(layer + "post_attention_layernorm.weight", {D}),
       zeros(attn + "q_proj.weight", {H * (Dn + Dr), D}),
       zeros(attn + "kv_a_proj_with_mqa.weight", {Rkv + Dr, D}), zeros(attn + "kv_a_layernorm.weight", {Rkv}),
       zeros(attn + "kv_b_proj.weight", {H * (Dn + Dv), Rkv}), zeros(attn + "o_proj.weight", {D, H * Dv}),
       zeros(mlp + "gate_proj.weight", {F, D}), zeros(mlp + "up_proj.weight", {F, D}),
       zeros(mlp + "down_proj.weight", {D, F})});
  const auto model = load_model(open_model(folder.path()));
  ThreadPool pool(1);
  Arena arena(model->workspace_floats(S, kCtx, 1));
  const Context context{&pool, arena, {best_isa(), Activations::kF32}};
  KvPool cache_pool(model->cache_streams(), {1, kCtx, kCtx, 16, DType::kF32});
  KvSequence cache(cache_pool);
  const std::vector<int32_t> tokens(S, 1);
  const Segment segment{&cache, S};
  std::vector<float> logits(V, 1);
  const int32_t last = S - 1;
  model->forward(context, tokens, {&segment, 1}, {&last, 1}, logits.data());
  CHECK(logits == std::vector<float>(V, 0));
}

TEST_CASE("the plan of several sequences covers every mixture of their prompts") {
  constexpr int64_t kTokens = 541, kSequences = 29, kCtx = 600;  // as a batch of 29 with chunks of 512
  std::vector<std::vector<int64_t>> mixtures = {{270, 271}, {541}, {7, 534}};
  mixtures.emplace_back(27, 20);
  mixtures.emplace_back(29, 18);
  for (const char* name : {"llama", "deepseek_v3", "qwen3_moe"}) {  // a kind of layer each
    const auto model = load_model(open_model((kArch / name).string()));
    const int64_t V = model->config().vocab_size;
    ThreadPool pool(2);
    Arena arena(model->workspace_floats(kTokens, kCtx, 2, kSequences));
    const Context context{&pool, arena, {best_isa(), Activations::kF32}};
    for (const auto& mixture : mixtures) {
      KvPool cache_pool(model->cache_streams(), {kSequences, kCtx, kCtx, 16, DType::kF32});
      std::vector<std::unique_ptr<KvSequence>> caches;
      std::vector<Segment> segments;
      std::vector<int32_t> tokens, rows;
      for (const int64_t n : mixture) {
        caches.push_back(std::make_unique<KvSequence>(cache_pool));
        segments.push_back({caches.back().get(), n});
        for (int64_t i = 0; i < n; ++i) tokens.push_back(static_cast<int32_t>((7 * i + n) % V));
        rows.push_back(static_cast<int32_t>(tokens.size()) - 1);
      }
      std::vector<float> logits(rows.size() * V);
      CAPTURE(name);
      CHECK_NOTHROW(model->forward(context, tokens, segments, rows, logits.data()));
    }
  }
}
