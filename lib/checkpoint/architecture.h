// Which architectures there are. A row says all that is particular to one: what its config leaves out, how it
// is sampled, what GGUF calls it, and what each of its blocks is made of. lib/model's decoder interprets
// blocks, the config reader the defaults, the exports the names: an architecture made of known parts is a row
// here, in its family's file, and nothing else.
//
// The rows stand below lib/model because the reader of config.json and the exports need them, too.
//
// What DeepSeek-V4 (spec section 5) will add, none of which a row can say today:
//   streams       a block has several: a windowed one of plain rows, a compressed one whose rows pool
//                 compress_ratio tokens (CacheStream::tokens_per_row and window exist; attention would read
//                 both and merge by AttentionJob::lse), the ratio differing by layer: `streams` in BlockSpec,
//                 by layer
//   attention     Attention::kCompressed: one latent as key and value, attention sinks (one more logit
//                 a head), an indexer over compressed rows, output projection in groups
//   residual      Residual::kHyperConnections: n parallel streams mixed before and after each half, head
//                 included; today all rows add what a half returns to one stream
//   experts       hash-routed first layers, sqrt(softplus) scores, gates clamped at swiglu_limit:
//                 RouterOptions and silu_mul; FP4 values with E8M0 scales for each 32: a TensorFormat and
//                 a WeightView type
#pragma once
#include <string>

#include "checkpoint/config.h"

namespace ds::checkpoint {

// What a family's own code assumes for keys that a config leaves out, and how it spells what others spell
// differently. Configs saved by transformers leave out scoring_func and topk_method of V3, which has only one
// of each.
struct ConfigDefaults {
  int64_t max_position_embeddings = 4096;
  int64_t num_key_value_heads = 0;  // 0: as many as heads
  int64_t head_dim = 0;             // 0: hidden_size shared out

  bool latent_attention = false;   // needs kv_lora_rank, which others must not have
  bool indexed_attention = false;  // layer_types may say so
  // Where the layers do not say themselves whether they have a window: none, all, or those that Qwen's
  // use_sliding_window and max_window_layers choose.
  enum class Windows { kNone, kAll, kSwitched } windows = Windows::kNone;
  int64_t sliding_window = 0;

  const char* n_experts_key = "n_routed_experts";
  bool sparse_step = false;  // decoder_sparse_step and mlp_only_layers say which layers have experts
  const char* scoring_func = "softmax";
  const char* topk_method = "greedy";
  bool norm_topk_prob = false;
  double routed_scaling_factor = 1;
  int64_t n_group = 1, topk_group = 1, first_k_dense_replace = 0, n_shared_experts = 0;
};

// One block: x += attention(norm(x)), then x += ffn(norm(x)), both norms RMSNorm, every gate a SiLU.
struct BlockSpec {
  enum class Attention {
    kGrouped,       // keys and values of KV heads; RoPE over whole heads, half-split
    kLatent,        // MLA: one latent and one rope key a token
    kSparseLatent,  // MLA over the keys that an indexer selects
  } attention = Attention::kGrouped;
  bool qkv_bias = false, o_bias = false;  // of the projections; latent: those into and out of the latents
  bool qk_norm = false;                   // grouped: RMSNorm over each head of q and k before RoPE
  double scale = 1;                       // of q . k in the softmax
  int64_t window = 0;                     // tokens that a token sees, itself included; 0: all
  enum class Ffn { kMlp, kExperts } ffn = Ffn::kMlp;
};

struct Architecture {
  const char* model_type;     // config.json's
  const char* gguf_name;      // general.architecture; nullptr: not exported
  double temperature, top_p;  // what the authors recommend
  ConfigDefaults defaults;
  BlockSpec (*block)(const ModelConfig& config, int64_t layer);  // nullptr: known, not supported yet
};

// nullptr when no row has this model_type.
const Architecture* find_architecture(const std::string& model_type);
// Throws Error{kBadModel} for a model_type without a row, listing those there are, or whose row says "not
// yet".
const Architecture& require_architecture(const std::string& model_type, const std::string& where);

}  // namespace ds::checkpoint
