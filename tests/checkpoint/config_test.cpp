// config.json as vendors and transformers write it: what absent keys mean, and what is refused by name.
#include "checkpoint/config.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/json_value.h"
#include "io/json.h"

using namespace ds;
using namespace ds::checkpoint;

namespace {

constexpr const char* kLlama =
    R"("model_type":"llama","vocab_size":320,"hidden_size":64,"num_hidden_layers":4,"intermediate_size":160,
       "num_attention_heads":4,"max_position_embeddings":4096)";
constexpr const char* kMoe =
    R"("vocab_size":320,"hidden_size":64,"num_hidden_layers":4,"intermediate_size":160,"num_attention_heads":4,
       "kv_lora_rank":32,"qk_nope_head_dim":16,"qk_rope_head_dim":16,"v_head_dim":16,
       "n_routed_experts":16,"num_experts_per_tok":4,"moe_intermediate_size":32)";

constexpr const char* kAnyType =
    R"("vocab_size":320,"hidden_size":64,"num_hidden_layers":4,"intermediate_size":160,"num_attention_heads":4,
       "head_dim":16,"num_key_value_heads":4,"max_position_embeddings":4096)";

ModelConfig parse(const std::string& base, const std::string& more = "") {
  const Json json = parse_json("{" + base + (more.empty() ? "" : "," + more) + "}", "test");
  parse_quantization_config(json, "config.json");
  return parse_model_config(json, "config.json");
}
// The message of the refusal.
std::string refusal(const std::string& base, const std::string& more) {
  try {
    parse(base, more);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kBadModel);
    return e.message();
  }
  return "accepted";
}
bool names(const std::string& message, const std::string& key) {
  return message.find(key) != std::string::npos && message.find("config.json") != std::string::npos;
}

}  // namespace

TEST_CASE("routing keys that transformers leaves out have the values of their family") {
  for (const char* type : {"deepseek_v3", "deepseek_v32"}) {
    const ModelConfig c = parse(kMoe, std::string(R"("model_type":")") + type + '"');
    INFO(type);
    CHECK(c.scoring_func == "sigmoid");
    CHECK(c.topk_method == "noaux_tc");
    CHECK(c.norm_topk_prob);
    CHECK(c.routed_scaling_factor == 2.5);
    CHECK(c.n_group == 8);
    CHECK(c.topk_group == 4);
    CHECK(c.first_k_dense_replace == 3);
    CHECK(c.n_shared_experts == 1);
  }
  const ModelConfig v2 = parse(kMoe, R"("model_type":"deepseek_v2")");
  CHECK(v2.scoring_func == "softmax");
  CHECK(v2.topk_method == "greedy");
  CHECK_FALSE(v2.norm_topk_prob);
  CHECK(v2.n_shared_experts == 0);
  // null says none, where absence says nothing.
  const ModelConfig none = parse(kMoe, R"("model_type":"deepseek_v3","n_shared_experts":null,"n_group":null,
                                          "topk_group":null,"first_k_dense_replace":null)");
  CHECK(none.n_shared_experts == 0);
  CHECK(none.n_group == 1);
  CHECK(none.topk_group == 1);
  CHECK(none.first_k_dense_replace == 0);
}

TEST_CASE("which layers are mixtures of experts") {
  const auto pattern = [](const ModelConfig& c) {
    std::string out;
    for (int64_t i = 0; i < c.num_hidden_layers; ++i) out += c.is_moe_layer(i) ? 'm' : 'd';
    return out;
  };
  const std::string v3 = std::string(kMoe) + R"(,"model_type":"deepseek_v3")";
  CHECK(pattern(parse(v3, R"("first_k_dense_replace":1)")) == "dmmm");
  CHECK(pattern(parse(v3, R"("first_k_dense_replace":1,"moe_layer_freq":2)")) == "ddmd");
  CHECK(pattern(parse(v3, R"("mlp_layer_types":["sparse","dense","dense","sparse"])")) == "mddm");
  CHECK(pattern(parse(kLlama)) == "dddd");
  CHECK(names(refusal(v3, R"("mlp_layer_types":["sparse","dense"])"), "mlp_layer_types"));
  CHECK(names(refusal(v3, R"("mlp_layer_types":["sparse","dense","odd","dense"])"), "mlp_layer_types"));
}

TEST_CASE("head sizes") {
  CHECK(parse(kLlama).head_dim == 16);
  CHECK(parse(kLlama).num_key_value_heads == 4);
  CHECK(parse(kLlama, R"("head_dim":24,"num_key_value_heads":2)").head_dim == 24);
  std::string qwen3 = kLlama;
  qwen3.replace(qwen3.find("llama"), 5, "qwen3");
  CHECK(parse(qwen3).head_dim == 128);
}

TEST_CASE("RoPE in both spellings") {
  const ModelConfig old_style =
      parse(kLlama, R"("rope_theta":5e5,"rope_scaling":{"type":"linear","factor":4})");
  const ModelConfig new_style =
      parse(kLlama, R"("rope_parameters":{"rope_type":"linear","factor":4.0,"rope_theta":500000.0})");
  for (const ModelConfig& c : {old_style, new_style}) {
    CHECK(c.rope_theta == 5e5);
    CHECK(c.rope_scaling.type == RopeScaling::Type::kLinear);
    CHECK(c.rope_scaling.factor == 4);
  }
  CHECK(parse(kLlama, R"("rope_parameters":{"rope_type":"default","rope_theta":7e4})").rope_theta == 7e4);

  // YaRN's neighbours in transformers: the trained context defaults to max_position_embeddings, and a factor
  // left out is their quotient.
  const ModelConfig no_original = parse(kLlama, R"("rope_scaling":{"type":"yarn","factor":2.0})");
  CHECK(no_original.rope_scaling.original_max_position_embeddings == 4096);
  const ModelConfig no_factor = parse(
      kLlama, R"("rope_scaling":{"type":"yarn","factor":null,"original_max_position_embeddings":1024})");
  CHECK(no_factor.rope_scaling.factor == 4);
  CHECK(parse(kMoe, R"("model_type":"deepseek_v3")").rope_interleave);
  CHECK_FALSE(parse(kMoe, R"("model_type":"deepseek_v3","rope_interleave":false)").rope_interleave);

  for (const char* bad :
       {R"("rope_scaling":{"type":"dynamic","factor":2})", R"("rope_scaling":{"type":"linear"})",
        R"("rope_scaling":{"type":"yarn"})", R"("rope_scaling":[1])", R"("rope_scaling":"yarn")",
        R"("rope_parameters":{"full_attention":{"rope_type":"default"}})", R"("rope_theta":-1)",
        R"("partial_rotary_factor":0.5)", R"("rope_parameters":{"partial_rotary_factor":0.5})",
        R"("rope_scaling":{"type":"linear","factor":-4})",
        R"("rope_scaling":{"type":"linear","factor":"x"})"}) {
    INFO(bad);
    CHECK(names(refusal(kLlama, bad), "r"));
  }
}

TEST_CASE("sliding windows: which layers have one, as each family's own code says") {
  const auto windows = [](const std::string& type, const std::string& more) {
    const ModelConfig c =
        parse(kAnyType, "\"model_type\":\"" + type + "\"" + (more.empty() ? "" : "," + more));
    std::string out;
    for (int64_t i = 0; i < c.num_hidden_layers; ++i) out += std::to_string(c.window_of(i)) + " ";
    return out;
  };
  const std::string none = "0 0 0 0 ";
  for (const char* type : {"qwen2", "qwen3"}) {
    CHECK(windows(type, R"("use_sliding_window":false,"sliding_window":8,"max_window_layers":1)") == none);
    CHECK(windows(type, R"("use_sliding_window":true,"sliding_window":8,"max_window_layers":4)") == none);
    CHECK(windows(type, R"("use_sliding_window":true,"sliding_window":null,"max_window_layers":0)") == none);
    CHECK(windows(type, R"("use_sliding_window":true,"sliding_window":8,"max_window_layers":3)") ==
          "0 0 0 8 ");
  }
  CHECK(windows("llama", R"("use_sliding_window":true,"sliding_window":8)") == none);
  CHECK(windows("mistral", R"("sliding_window":16)") == "16 16 16 16 ");
  CHECK(windows("mistral", R"("sliding_window":null)") == none);
  CHECK(windows("mistral", R"("sliding_window":4096)") == none);  // the whole context
  CHECK(windows("llama",
                R"("layer_types":["full_attention","full_attention","full_attention","full_attention"])") ==
        none);
  const std::string mixed =
      R"("layer_types":["full_attention","sliding_attention","full_attention","sliding_attention"])";
  CHECK(windows("qwen3", mixed + R"(,"sliding_window":32)") == "0 32 0 32 ");
  CHECK(names(refusal(kLlama, mixed), "sliding_window"));
  CHECK(names(refusal(kLlama, R"("layer_types":["full_attention","x","full_attention","full_attention"])"),
              "'x'"));
}

TEST_CASE("qwen3_moe: which layers are mixtures, and what its keys mean") {
  const std::string base = std::string(kAnyType) +
                           R"(,"model_type":"qwen3_moe","num_experts":8,"num_experts_per_tok":2,
                              "moe_intermediate_size":32,"num_key_value_heads":2)";
  const auto pattern = [&](const std::string& more) {
    const ModelConfig c = parse(base, more);
    std::string out;
    for (int64_t i = 0; i < c.num_hidden_layers; ++i) out += c.is_moe_layer(i) ? 'm' : 'd';
    return out;
  };
  CHECK(pattern("") == "mmmm");
  CHECK(pattern(R"("decoder_sparse_step":2)") == "dmdm");
  CHECK(pattern(R"("mlp_only_layers":[0,3,9])") == "dmmd");
  CHECK(pattern(R"("mlp_only_layers":[])") == "mmmm");
  const ModelConfig c = parse(base, R"("norm_topk_prob":true)");
  CHECK(c.n_routed_experts == 8);
  CHECK(c.n_shared_experts == 0);
  CHECK(c.norm_topk_prob);
  CHECK_FALSE(parse(base).norm_topk_prob);
  CHECK(names(refusal(base, R"("mlp_only_layers":[-1])"), "mlp_only_layers"));
}

TEST_CASE("YaRN extends the context where it says of which") {
  const auto context = [](const std::string& more) {
    return parse(kLlama, R"("rope_scaling":{"rope_type":"yarn","factor":4)" + more + "}")
        .max_position_embeddings;
  };
  CHECK(context(R"(,"original_max_position_embeddings":2048)") == 8192);
  CHECK(context(R"(,"original_max_position_embeddings":512)") == 4096);  // it knew more before
  CHECK(context("") == 4096);
  CHECK(context(R"(,"original_max_position_embeddings":1e12)") == int64_t{1} << 31);
}

TEST_CASE("llama3 RoPE without one of its numbers is refused by key") {
  const std::string all[] = {R"("low_freq_factor":1)", R"("high_freq_factor":4)",
                             R"("original_max_position_embeddings":8192)", R"("factor":8)"};
  for (const std::string& left_out : all) {
    std::string rope = R"("rope_scaling":{"rope_type":"llama3")";
    for (const std::string& key : all)
      if (key != left_out) rope += "," + key;
    CHECK(names(refusal(kLlama, rope + "}"), left_out.substr(1, left_out.find('"', 1) - 1)));
  }
}

TEST_CASE("block shapes in both spellings") {
  const auto blocks = [](const std::string& text) {
    return parse_quantization_config(parse_json(text, "test"), "config.json");
  };
  const auto fp8 = blocks(R"({"quantization_config":{"quant_method":"fp8","weight_block_size":[64,32]}})");
  CHECK(fp8.method == "fp8");
  CHECK(fp8.block_rows == 64);
  CHECK(fp8.block_cols == 32);
  const auto group = [](const std::string& block) {
    return R"({"weights":{"block_structure":)" + block + "}}";
  };
  const auto two = [&](const std::string& a, const std::string& b) {
    return blocks(
        R"({"quantization_config":{"quant_method":"compressed-tensors","config_groups":{"group_0":)" +
        group(a) + R"(,"group_1":)" + group(b) + "}}}");
  };
  CHECK(two("[128,64]", "null").block_rows == 128);
  CHECK(two("[128,64]", "[128,64]").block_cols == 64);
  CHECK(two("[128,64]", "[64,64]").block_rows == 0);
  CHECK_THROWS_AS(two("[128]", "null"), Error);
  CHECK_THROWS_AS(blocks(R"({"quantization_config":{"weight_block_size":[0,128]}})"), Error);
}

TEST_CASE("numbers that make no sense are refused by key") {
  for (const char* key :
       {"vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads",
        "num_key_value_heads", "max_position_embeddings", "head_dim"}) {
    for (const char* value :
         {"0", "-1", "1.5", "1e30", "9223372036854775807", "\"64\"", "true", "[64]", "{}"}) {
      const std::string found = refusal(R"("model_type":"llama")", [&] {
        std::string all;
        for (const char* k :
             {"vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads",
              "num_key_value_heads", "max_position_embeddings", "head_dim"})
          all +=
              (all.empty() ? "\"" : ",\"") + std::string(k) + "\":" + (std::string(k) == key ? value : "64");
        return all;
      }());
      INFO(key, " ", value, ": ", found);
      CHECK(names(found, key));
    }
  }
  const std::string v3 = std::string(kMoe) + R"(,"model_type":"deepseek_v3")";
  for (const char* bad :
       {R"("scoring_func":"tanh")", R"("topk_method":"best")", R"("norm_topk_prob":1)",
        R"("routed_scaling_factor":-1)", R"("n_group":3)", R"("n_group":17)", R"("topk_group":9)",
        R"("n_group":16,"topk_group":1)", R"("moe_layer_freq":0)", R"("first_k_dense_replace":-1)",
        R"("mlp_bias":true)", R"("hidden_act":"gelu")", R"("eos_token_id":"</s>")",
        R"("eos_token_id":[1,-1])", R"("quantization_config":{"weight_block_size":[0,128]})",
        R"("quantization_config":{"weight_block_size":[128]})", R"("rms_norm_eps":-1e-6)"})
    CHECK_MESSAGE(refusal(v3, bad) != "accepted", bad);
}

TEST_CASE("every key is read into its own field") {
  // No two numbers are the same.
  const ModelConfig c = parse(
      R"("model_type":"deepseek_v32","vocab_size":321,"hidden_size":66,"num_hidden_layers":5,"intermediate_size":161,
         "num_attention_heads":6,"num_key_value_heads":3,"max_position_embeddings":4097,"rms_norm_eps":0.25,
         "num_nextn_predict_layers":2,"tie_word_embeddings":true,"attention_bias":true,"hidden_act":"swish",
         "kv_lora_rank":33,"q_lora_rank":49,"qk_nope_head_dim":17,"qk_rope_head_dim":14,"v_head_dim":19,
         "rope_interleave":false,"index_n_heads":7,"index_head_dim":35,"index_topk":21,
         "n_routed_experts":24,"n_shared_experts":8,"num_experts_per_tok":9,"moe_intermediate_size":31,
         "first_k_dense_replace":10,"moe_layer_freq":11,"scoring_func":"softmax","topk_method":"group_limited_greedy",
         "norm_topk_prob":false,"routed_scaling_factor":1.75,"n_group":12,"topk_group":5,"eos_token_id":[13,15])");
  CHECK(c.model_type == "deepseek_v32");
  CHECK(c.vocab_size == 321);
  CHECK(c.hidden_size == 66);
  CHECK(c.num_hidden_layers == 5);
  CHECK(c.intermediate_size == 161);
  CHECK(c.num_attention_heads == 6);
  CHECK(c.num_key_value_heads == 3);
  CHECK(c.max_position_embeddings == 4097);
  CHECK(c.rms_norm_eps == 0.25);
  CHECK(c.num_nextn_predict_layers == 2);
  CHECK(c.tie_word_embeddings);
  CHECK(c.attention_bias);
  CHECK_FALSE(c.mlp_bias);
  CHECK(c.kv_lora_rank == 33);
  CHECK(c.q_lora_rank == 49);
  CHECK(c.qk_nope_head_dim == 17);
  CHECK(c.qk_rope_head_dim == 14);
  CHECK(c.v_head_dim == 19);
  CHECK_FALSE(c.rope_interleave);
  CHECK(c.index_n_heads == 7);
  CHECK(c.index_head_dim == 35);
  CHECK(c.index_topk == 21);
  CHECK(c.n_routed_experts == 24);
  CHECK(c.n_shared_experts == 8);
  CHECK(c.num_experts_per_tok == 9);
  CHECK(c.moe_intermediate_size == 31);
  CHECK(c.first_k_dense_replace == 10);
  CHECK(c.moe_layer_freq == 11);
  CHECK(c.scoring_func == "softmax");
  CHECK(c.topk_method == "group_limited_greedy");
  CHECK_FALSE(c.norm_topk_prob);
  CHECK(c.routed_scaling_factor == 1.75);
  CHECK(c.n_group == 12);
  CHECK(c.topk_group == 5);
  CHECK(c.eos_token_ids == std::vector<int32_t>{13, 15});
  CHECK(parse(kLlama, R"("mlp_bias":true)").mlp_bias);
  CHECK(parse(kLlama, R"("eos_token_id":7)").eos_token_ids == std::vector<int32_t>{7});
  CHECK(parse(kLlama, R"("eos_token_id":2147483647)").eos_token_ids == std::vector<int32_t>{2147483647});
  CHECK(names(refusal(kLlama, R"("eos_token_id":2147483648)"), "eos_token_id"));

  const RopeScaling yarn =
      parse(kLlama, R"("rope_scaling":{"type":"yarn","factor":3,"original_max_position_embeddings":1000,
                       "beta_fast":33,"beta_slow":2,"truncate":false,"mscale":0.5,"mscale_all_dim":0.75,
                       "attention_factor":1.5,"attn_factor":0.875})")
          .rope_scaling;
  CHECK(yarn.type == RopeScaling::Type::kYarn);
  CHECK(yarn.factor == 3);
  CHECK(yarn.original_max_position_embeddings == 1000);
  CHECK(yarn.beta_fast == 33);
  CHECK(yarn.beta_slow == 2);
  CHECK_FALSE(yarn.truncate);
  CHECK(yarn.mscale == 0.5);
  CHECK(yarn.mscale_all_dim == 0.75);
  CHECK(yarn.attention_factor == 1.5);
  CHECK(yarn.attn_factor == 0.875);
  const RopeScaling llama3 =
      parse(kLlama,
            R"("rope_scaling":{"rope_type":"llama3","factor":3,"original_max_position_embeddings":1000,
                       "low_freq_factor":2,"high_freq_factor":5})")
          .rope_scaling;
  CHECK(llama3.type == RopeScaling::Type::kLlama3);
  CHECK(llama3.factor == 3);
  CHECK(llama3.original_max_position_embeddings == 1000);
  CHECK(llama3.low_freq_factor == 2);
  CHECK(llama3.high_freq_factor == 5);
}

TEST_CASE("what keys that are left out stand for") {
  const ModelConfig c = parse(
      R"("model_type":"llama","vocab_size":320,"hidden_size":64,"num_hidden_layers":4,"intermediate_size":160,
         "num_attention_heads":4)");
  CHECK(c.max_position_embeddings == 2048);
  CHECK(c.num_key_value_heads == 4);
  CHECK(c.rms_norm_eps == 1e-6);
  CHECK(c.rope_theta == 10000);
  CHECK(c.rope_scaling.type == RopeScaling::Type::kNone);
  CHECK(c.num_nextn_predict_layers == 0);
  CHECK_FALSE(c.tie_word_embeddings);
  CHECK_FALSE(c.attention_bias);
  CHECK_FALSE(c.mlp_bias);
  CHECK(c.n_routed_experts == 0);
  CHECK(c.eos_token_ids.empty());
  const RopeScaling yarn = parse(kLlama, R"("rope_scaling":{"type":"yarn","factor":3})").rope_scaling;
  CHECK(yarn.beta_fast == 32);
  CHECK(yarn.beta_slow == 1);
  CHECK(yarn.truncate);
  CHECK(yarn.mscale == 0);
  CHECK(yarn.mscale_all_dim == 0);
  CHECK(yarn.attention_factor == 0);
  CHECK(yarn.attn_factor == 0);
  const ModelConfig v2 = parse(kMoe, R"("model_type":"deepseek_v2")");
  CHECK(v2.q_lora_rank == 0);
  CHECK(v2.rope_interleave);
  CHECK(v2.moe_layer_freq == 1);
  CHECK(v2.first_k_dense_replace == 0);
  CHECK(v2.routed_scaling_factor == 1);
  // Of fewer groups than the family has, all are kept.
  CHECK(parse(kMoe, R"("model_type":"deepseek_v3","n_group":2)").topk_group == 2);
  CHECK(parse(kMoe, R"("model_type":"deepseek_v3","n_group":8)").topk_group == 4);
  // As many experts as the kept groups hold, and not one more: 16 experts in 4 groups, or in 8, of which 1 is
  // kept.
  CHECK(parse(kMoe, R"("model_type":"deepseek_v3","n_group":4,"topk_group":1)").num_experts_per_tok == 4);
  CHECK(names(refusal(kMoe, R"("model_type":"deepseek_v3","n_group":8,"topk_group":1)"),
              "num_experts_per_tok"));
  // Qwen's switch is off and, were it on, the first 28 layers see all.
  std::string deep = R"("model_type":"qwen2","vocab_size":320,"hidden_size":64,"num_hidden_layers":30,
                        "intermediate_size":160,"num_attention_heads":4,"sliding_window":8)";
  for (int64_t i = 0; i < 30; ++i) {
    CHECK(parse(deep).window_of(i) == 0);
    CHECK(parse(deep, R"("use_sliding_window":true)").window_of(i) == (i < 28 ? 0 : 8));
    CHECK(parse(deep, R"("use_sliding_window":true,"max_position_embeddings":9)").window_of(i) ==
          (i < 28 ? 0 : 8));
    CHECK(parse(deep, R"("use_sliding_window":true,"max_position_embeddings":8)").window_of(i) == 0);
  }
}
