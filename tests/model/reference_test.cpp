// Models made here, one for each key of config.json that the reference logits leave at one value, against a
// forward pass in double written here: biases, the pairs that RoPE turns, the place and size of each norm's
// eps, ties of experts and of groups, and how experts are weighed.
#include "checkpoint/model_maker.h"
#include "goldens.h"

using namespace ds;
using namespace ds::test;

namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

struct Spec {
  std::string name, model_type;
  int64_t D = 32, V = 40, L = 2, F = 24, H = 4, KV = 2, hd = 8;
  bool qkv_bias = false, o_bias = false, qk_norm = false, mlp_bias = false, tied = false;
  double eps = 1e-2, theta = 50;
  double embedding = 0.2, latents = 0.5;  // sizes of the embedding, and of what makes latents
  // Latent attention.
  int64_t Rq = 0, Rkv = 0, Dn = 6, Dr = 8, Dv = 5;
  bool interleave = true;
  // Experts.
  int64_t E = 0, K = 3, n_group = 1, topk_group = 1, n_shared = 0, Fe = 12, first_dense = 0, frequency = 1;
  bool sigmoid = false, normalised = false, ties = false;
  std::string method = "greedy";
  double factor = 1;
  bool is_moe(int64_t layer) const { return E && layer >= first_dense && layer % frequency == 0; }
};

// The model's folder and its weights in double.
struct Made {
  Spec s;
  TempFolder folder;
  std::map<std::string, Row> weights;
  std::vector<MadeTensor> tensors;
  uint64_t stream = 1000;

  void add(const std::string& name, std::vector<int64_t> shape, double scale, double shift = 0) {
    int64_t n = 1;
    for (const int64_t d : shape) n *= d;
    std::vector<float> values = random_values(n, stream++);
    for (float& v : values) v = static_cast<float>(2 * v * scale + shift);
    if (s.ties && name.find("mlp.gate.weight") != std::string::npos)  // experts of two kinds
      for (int64_t i = 2 * s.D; i < n; ++i) values[i] = values[i - 2 * s.D];
    if (s.ties && name.find("correction_bias") != std::string::npos) values.assign(n, 0.125f);
    weights[name] = Row(values.begin(), values.end());
    tensors.push_back(f32_tensor(name, std::move(shape), values));
  }
  void matrix(const std::string& name, int64_t rows, int64_t cols, double scale, bool bias = false) {
    add(name + ".weight", {rows, cols}, scale);
    if (bias) add(name + ".bias", {rows}, 0.5);
  }
  void mlp(const std::string& prefix, int64_t width, bool bias) {
    matrix(prefix + "gate_proj", width, s.D, 0.5, bias);
    matrix(prefix + "up_proj", width, s.D, 0.5, bias);
    matrix(prefix + "down_proj", s.D, width, 0.3, bias);
  }

  explicit Made(const Spec& spec) : s(spec) {
    matrix("model.embed_tokens", s.V, s.D, s.embedding);
    add("model.norm.weight", {s.D}, 0.5, 1);
    if (!s.tied) matrix("lm_head", s.V, s.D, 0.5);
    for (int64_t l = 0; l < s.L; ++l) {
      const std::string layer = "model.layers." + std::to_string(l) + ".", a = layer + "self_attn.",
                        m = layer + "mlp.";
      add(layer + "input_layernorm.weight", {s.D}, 0.5, 1);
      add(layer + "post_attention_layernorm.weight", {s.D}, 0.5, 1);
      if (s.Rkv) {
        if (s.Rq) {
          matrix(a + "q_a_proj", s.Rq, s.D, s.latents, s.qkv_bias);
          add(a + "q_a_layernorm.weight", {s.Rq}, 0.5, 1);
          matrix(a + "q_b_proj", s.H * (s.Dn + s.Dr), s.Rq, 0.7);
        } else {
          matrix(a + "q_proj", s.H * (s.Dn + s.Dr), s.D, 0.7);
        }
        matrix(a + "kv_a_proj_with_mqa", s.Rkv + s.Dr, s.D, s.latents, s.qkv_bias);
        add(a + "kv_a_layernorm.weight", {s.Rkv}, 0.5, 1);
        matrix(a + "kv_b_proj", s.H * (s.Dn + s.Dv), s.Rkv, 0.7);
        matrix(a + "o_proj", s.D, s.H * s.Dv, 0.4, s.o_bias);
      } else {
        matrix(a + "q_proj", s.H * s.hd, s.D, 0.5, s.qkv_bias);
        matrix(a + "k_proj", s.KV * s.hd, s.D, 0.5, s.qkv_bias);
        matrix(a + "v_proj", s.KV * s.hd, s.D, 0.5, s.qkv_bias);
        matrix(a + "o_proj", s.D, s.H * s.hd, 0.4, s.o_bias);
        if (s.qk_norm) add(a + "q_norm.weight", {s.hd}, 0.5, 1), add(a + "k_norm.weight", {s.hd}, 0.5, 1);
      }
      if (!s.is_moe(l)) {
        mlp(m, s.F, s.mlp_bias);
        continue;
      }
      matrix(m + "gate", s.E, s.D, 0.5);
      if (s.method == "noaux_tc") add(m + "gate.e_score_correction_bias", {s.E}, 0.2);
      for (int64_t e = 0; e < s.E; ++e) mlp(m + "experts." + std::to_string(e) + ".", s.Fe, false);
      if (s.n_shared) mlp(m + "shared_experts.", s.n_shared * s.Fe, false);
    }
    write_shard(folder, "model.safetensors", tensors);
    folder.write("config.json", config());
  }

  std::string config() const {
    const auto flag = [](bool b) { return std::string(b ? "true" : "false"); };
    std::string out = "{\"model_type\":\"" + s.model_type + '"';
    const auto put = [&](const char* key, const std::string& value) {
      out += std::string(",\"") + key + "\":" + value;
    };
    const auto count = [&](const char* key, int64_t value) { put(key, std::to_string(value)); };
    count("vocab_size", s.V), count("hidden_size", s.D), count("num_hidden_layers", s.L);
    count("intermediate_size", s.F), count("num_attention_heads", s.H), count("max_position_embeddings", 128);
    put("rms_norm_eps", std::to_string(s.eps)), put("rope_theta", std::to_string(s.theta));
    put("tie_word_embeddings", flag(s.tied));
    if (s.model_type != "qwen2") put("attention_bias", flag(s.qkv_bias));
    if (s.mlp_bias) put("mlp_bias", "true");
    if (s.Rkv) {
      count("kv_lora_rank", s.Rkv), count("qk_nope_head_dim", s.Dn), count("qk_rope_head_dim", s.Dr);
      count("v_head_dim", s.Dv), put("rope_interleave", flag(s.interleave));
      if (s.Rq) count("q_lora_rank", s.Rq);
    } else {
      count("num_key_value_heads", s.KV), count("head_dim", s.hd);
    }
    if (s.E) {
      count("n_routed_experts", s.E), count("num_experts_per_tok", s.K),
          count("n_shared_experts", s.n_shared);
      count("moe_intermediate_size", s.Fe), count("first_k_dense_replace", s.first_dense);
      count("moe_layer_freq", s.frequency), count("n_group", s.n_group), count("topk_group", s.topk_group);
      put("scoring_func", s.sigmoid ? "\"sigmoid\"" : "\"softmax\""),
          put("topk_method", '"' + s.method + '"');
      put("norm_topk_prob", flag(s.normalised)), put("routed_scaling_factor", std::to_string(s.factor));
    }
    return out + "}";
  }

  // ---- the forward pass ----
  Row times(const std::string& name, const Row& x) const {
    const Row& w = weights.at(name + ".weight");
    Row y(w.size() / x.size(), 0.0);
    for (size_t r = 0; r < y.size(); ++r)
      for (size_t i = 0; i < x.size(); ++i) y[r] += w[r * x.size() + i] * x[i];
    if (const auto bias = weights.find(name + ".bias"); bias != weights.end())
      for (size_t r = 0; r < y.size(); ++r) y[r] += bias->second[r];
    return y;
  }
  Row norm(const std::string& name, const Row& x, double eps) const {
    double squares = 0;
    for (const double v : x) squares += v * v / static_cast<double>(x.size());
    Row y = x;
    for (size_t i = 0; i < x.size(); ++i) y[i] *= weights.at(name + ".weight")[i] / std::sqrt(squares + eps);
    return y;
  }
  Row turned(const Row& x, int64_t position, bool neighbours) const {
    const size_t n = x.size() / 2;
    Row y = x;
    for (size_t j = 0; j < n; ++j) {
      const size_t a = neighbours ? 2 * j : j, b = neighbours ? 2 * j + 1 : j + n;
      const double angle =
          static_cast<double>(position) * std::pow(s.theta, -static_cast<double>(j) / static_cast<double>(n));
      y[a] = x[a] * std::cos(angle) - x[b] * std::sin(angle);
      y[b] = x[b] * std::cos(angle) + x[a] * std::sin(angle);
    }
    return y;
  }
  static Row part(const Row& x, int64_t begin, int64_t n) {
    return {x.begin() + begin, x.begin() + begin + n};
  }
  static Row joined(Row a, const Row& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }

  // q, k and v of all heads of each token.
  struct Heads {
    Rows q, k, v;
  };
  Heads heads(const std::string& a, const Row& x, int64_t position) const {
    Heads out;
    if (!s.Rkv) {
      const Row q = times(a + "q_proj", x), k = times(a + "k_proj", x), v = times(a + "v_proj", x);
      for (int64_t h = 0; h < s.H; ++h) {
        Row head = part(q, h * s.hd, s.hd), key = part(k, h / (s.H / s.KV) * s.hd, s.hd);
        if (s.qk_norm) head = norm(a + "q_norm", head, s.eps), key = norm(a + "k_norm", key, s.eps);
        out.q.push_back(turned(head, position, false)), out.k.push_back(turned(key, position, false));
        out.v.push_back(part(v, h / (s.H / s.KV) * s.hd, s.hd));
      }
      return out;
    }
    // The norms of latents have an eps of their own.
    const Row q = s.Rq ? times(a + "q_b_proj", norm(a + "q_a_layernorm", times(a + "q_a_proj", x), 1e-6))
                       : times(a + "q_proj", x);
    const Row kv_a = times(a + "kv_a_proj_with_mqa", x);
    const Row rope_key = turned(part(kv_a, s.Rkv, s.Dr), position, s.interleave);
    const Row kv = times(a + "kv_b_proj", norm(a + "kv_a_layernorm", part(kv_a, 0, s.Rkv), 1e-6));
    for (int64_t h = 0; h < s.H; ++h) {
      const Row head = part(q, h * (s.Dn + s.Dr), s.Dn + s.Dr),
                own = part(kv, h * (s.Dn + s.Dv), s.Dn + s.Dv);
      out.q.push_back(joined(part(head, 0, s.Dn), turned(part(head, s.Dn, s.Dr), position, s.interleave)));
      out.k.push_back(joined(part(own, 0, s.Dn), rope_key));
      out.v.push_back(part(own, s.Dn, s.Dv));
    }
    return out;
  }

  Row gated(const std::string& prefix, const Row& x) const {
    Row gate = times(prefix + "gate_proj", x);
    const Row up = times(prefix + "up_proj", x);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
    return times(prefix + "down_proj", gate);
  }

  Row experts(const std::string& m, const Row& x) const {
    Row score = times(m + "gate", x), choice;
    double sum = 0;
    for (double& v : score) sum += v = s.sigmoid ? 1 / (1 + std::exp(-v)) : std::exp(v);
    for (double& v : score) v /= s.sigmoid ? 1 : sum;
    choice = score;
    if (s.method == "noaux_tc")
      for (int64_t e = 0; e < s.E; ++e) choice[e] += weights.at(m + "gate.e_score_correction_bias")[e];
    const int64_t size = s.E / s.n_group;
    if (s.method != "greedy") {
      std::vector<std::pair<double, int64_t>> groups;
      for (int64_t g = 0; g < s.n_group; ++g) {
        Row own = part(choice, g * size, size);
        std::sort(own.rbegin(), own.rend());
        groups.emplace_back(-(s.method == "noaux_tc" && size > 1 ? own[0] + own[1] : own[0]), g);
      }
      std::sort(groups.begin(), groups.end());  // of equals the lower id
      for (int64_t g = s.topk_group; g < s.n_group; ++g)
        for (int64_t i = 0; i < size; ++i) choice[groups[g].second * size + i] = -INFINITY;
    }
    std::vector<int64_t> order;
    for (int64_t e = 0; e < s.E; ++e) order.push_back(e);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return choice[a] > choice[b]; });
    double total = 0;
    for (int64_t k = 0; k < s.K; ++k) total += score[order[k]];
    Row y = s.n_shared ? gated(m + "shared_experts.", x) : Row(s.D, 0.0);
    for (int64_t k = 0; k < s.K; ++k) {
      const Row one = gated(m + "experts." + std::to_string(order[k]) + ".", x);
      for (int64_t i = 0; i < s.D; ++i)
        y[i] += one[i] * score[order[k]] / (s.normalised ? total : 1) * s.factor;
    }
    return y;
  }

  // Of the tokens from `first` on; with more than one layer all are computed.
  std::vector<float> logits(const std::vector<int32_t>& tokens, int64_t first = 0) const {
    const auto T = static_cast<int64_t>(tokens.size());
    const Row& table = weights.at("model.embed_tokens.weight");
    Rows x;
    for (const int32_t id : tokens) x.push_back(part(table, id * s.D, s.D));
    const auto add = [&](int64_t t, const Row& y) {
      for (int64_t i = 0; i < s.D; ++i) x[t][i] += y[i];
    };
    for (int64_t l = 0; l < s.L; ++l) {
      const std::string layer = "model.layers." + std::to_string(l) + ".";
      std::vector<Heads> all;
      for (int64_t t = 0; t < T; ++t)
        all.push_back(heads(layer + "self_attn.", norm(layer + "input_layernorm", x[t], s.eps), t));
      for (int64_t t = s.L == 1 ? first : 0; t < T; ++t) {
        Row o;
        for (int64_t h = 0; h < s.H; ++h) {
          const Row& q = all[t].q[h];
          Row p;
          double sum = 0;
          for (int64_t key = 0; key <= t; ++key) {
            double dot = 0;
            for (size_t i = 0; i < q.size(); ++i) dot += q[i] * all[key].k[h][i];
            p.push_back(std::exp(dot / std::sqrt(static_cast<double>(q.size()))));
            sum += p.back();
          }
          Row mean(all[t].v[h].size(), 0.0);
          for (int64_t key = 0; key <= t; ++key)
            for (size_t i = 0; i < mean.size(); ++i) mean[i] += p[key] / sum * all[key].v[h][i];
          o = joined(o, mean);
        }
        add(t, times(layer + "self_attn.o_proj", o));
      }
      for (int64_t t = s.L == 1 ? first : 0; t < T; ++t) {
        const Row h = norm(layer + "post_attention_layernorm", x[t], s.eps);
        add(t, s.is_moe(l) ? experts(layer + "mlp.", h) : gated(layer + "mlp.", h));
      }
    }
    std::vector<float> out;
    for (int64_t t = first; t < T; ++t)
      for (const double v : times(s.tied ? "model.embed_tokens" : "lm_head", norm("model.norm", x[t], s.eps)))
        out.push_back(static_cast<float>(v));
    return out;
  }
};

std::vector<Spec> specs() {
  const Spec llama = {.name = "llama", .model_type = "llama"};
  Spec latent = {.name = "latents", .model_type = "deepseek_v3"};
  latent.Rkv = 20, latent.Rq = 12;
  Spec experts = latent;
  experts.name = "experts", experts.E = 12, experts.sigmoid = true, experts.method = "noaux_tc";
  experts.n_group = 4, experts.topk_group = 2, experts.normalised = true, experts.factor = 2.5;
  experts.n_shared = 1;
  std::vector<Spec> all = {llama, latent, experts};
  const auto with = [&](Spec s, const char* name, auto change) {
    s.name += std::string(", ") + name;
    change(s);
    all.push_back(s);
  };
  with(llama, "attention_bias", [](Spec& s) { s.qkv_bias = s.o_bias = true; });
  with(llama, "mlp_bias", [](Spec& s) { s.mlp_bias = true; });
  with(llama, "tied, one kv head, wide heads", [](Spec& s) { s.tied = true, s.KV = 1, s.hd = 14; });
  with(llama, "tiny eps, tiny embedding", [](Spec& s) { s.eps = 1e-6, s.embedding = 1e-3; });
  with(llama, "qwen2", [](Spec& s) { s.model_type = "qwen2", s.qkv_bias = true; });
  with(llama, "qwen3", [](Spec& s) { s.model_type = "qwen3", s.qk_norm = true; });
  with(llama, "qwen3 with attention_bias",
       [](Spec& s) { s.model_type = "qwen3", s.qk_norm = s.qkv_bias = s.o_bias = true; });
  for (const bool with_rq : {true, false}) {
    Spec base = latent;
    if (!with_rq) base.Rq = 0, base.name += ", q_proj";
    with(base, "rope_interleave false", [](Spec& s) { s.interleave = false; });
    with(base, "attention_bias", [](Spec& s) { s.qkv_bias = s.o_bias = true; });
    with(base, "small latents", [](Spec& s) { s.latents = 3e-4; });
    with(base, "small latents, rope_interleave false",
         [](Spec& s) { s.latents = 1e-3, s.interleave = false; });
  }
  with(experts, "equal groups", [](Spec& s) { s.ties = true; });
  with(experts, "groups of one", [](Spec& s) { s.n_group = 12, s.topk_group = 5; });
  with(experts, "two shared, not normalised",
       [](Spec& s) { s.n_shared = 2, s.normalised = false, s.factor = 0.5; });
  with(experts, "softmax, group-limited, none shared", [](Spec& s) {
    s.model_type = "deepseek_v2", s.sigmoid = false, s.method = "group_limited_greedy", s.n_shared = 0;
    s.normalised = false, s.factor = 3;
  });
  with(experts, "softmax, group-limited, equal groups", [](Spec& s) {
    s.model_type = "deepseek_v2", s.sigmoid = false, s.method = "group_limited_greedy", s.ties = true;
  });
  with(experts, "greedy, every second layer after the first", [](Spec& s) {
    s.method = "greedy", s.n_group = s.topk_group = 1, s.L = 4, s.first_dense = 1, s.frequency = 2;
  });
  with(llama, "deepseek v1 with experts",
       [](Spec& s) { s.model_type = "deepseek", s.E = 6, s.K = 2, s.n_shared = 1, s.first_dense = 1; });
  return all;
}

}  // namespace

TEST_CASE("every key that changes a forward pass, against one in double") {
  std::vector<int32_t> tokens;
  for (int32_t t = 0; t < 11; ++t) tokens.push_back(t * 17 % 40);
  for (const Spec& spec : specs()) {
    const Made made(spec);
    const auto want = made.logits(tokens);
    double size = 0;
    for (const float v : want) size = std::max(size, std::fabs(double(v)));
    {  // A token reads every matrix but the experts it does not go to, and one row of the embedding.
      INFO(spec.name);
      const Runner run(made.folder.path(), best_isa(), 1);
      int64_t all = 0, idle = spec.tied ? 0 : (spec.V - 1) * spec.D;
      for (const MadeTensor& t : made.tensors)
        if (t.shape.size() == 2) all += t.shape[0] * t.shape[1];
      for (int64_t l = 0; l < spec.L; ++l)
        if (spec.is_moe(l)) idle += (spec.E - spec.K) * 3 * spec.Fe * spec.D;
      CHECK(run.model->weight_bytes() == 4 * all);
      CHECK(run.model->weight_bytes_per_token() == 4 * (all - idle));
    }
    for (const Isa isa : available_isas()) {
      Runner run(made.folder.path(), isa, 2);
      for (const int64_t chunk : {11, 3, 1}) {
        INFO(spec.name, " ", isa_name(isa), " chunk ", chunk);
        CHECK(worst(run.logits(tokens, chunk), want) < 2e-4 * size);
      }
    }
  }
}

// 128 keys of 2,100 heads of 16 values are more than are expanded at once (4 Mi values).
TEST_CASE("a prompt whose heads are expanded in two groups") {
  Spec s = {.name = "many heads", .model_type = "deepseek_v2"};
  s.D = 8, s.L = 1, s.F = 8, s.H = 2100, s.Rkv = 24, s.Dn = 9, s.Dr = 2, s.Dv = 7;
  const Made made(s);
  std::vector<int32_t> tokens;
  for (int32_t t = 0; t < 128; ++t) tokens.push_back(t * 17 % 40);
  const auto want = made.logits(tokens, 120);
  double size = 0;
  for (const float v : want) size = std::max(size, std::fabs(double(v)));
  Runner run(made.folder.path(), best_isa(), 2);
  const auto got = run.logits(tokens, 128);
  CHECK(worst({got.end() - static_cast<int64_t>(want.size()), got.end()}, want) < 2e-4 * size);
}
