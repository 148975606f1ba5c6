#include "train/adapter_folder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>

#include "core/json_members.h"
#include "core/numbers.h"
#include "io/json.h"

namespace ds::train {
namespace {

constexpr int64_t kMaxConfigBytes = int64_t{1} << 26;
constexpr int64_t kMostRank = 1 << 20;
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kA = ".lora_A.weight", kB = ".lora_B.weight";

// The leaf of a module's name.
std::string_view leaf(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}
bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

// Several experts in one matrix, as PEFT keeps those that transformers 5 keeps in one parameter.
bool is_fused(const AdapterModule& m) {
  return m.name.ends_with(".experts") || m.name.ends_with(".experts.base_layer");
}

double change_norm(const AdapterFolder& adapter, const AdapterModule& m) {
  // ||B A||^2 = sum over the products of the Gram matrices of B's columns and A's rows.
  const std::vector<float> a = adapter.values(*m.a), b = adapter.values(*m.b);
  double sum = 0;
  for (int64_t i = 0; i < m.rank; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      double in = 0, out = 0;
      for (int64_t k = 0; k < m.n_in; ++k)
        in += static_cast<double>(a[static_cast<size_t>(i * m.n_in + k)]) *
              a[static_cast<size_t>(j * m.n_in + k)];
      for (int64_t k = 0; k < m.n_out; ++k)
        out += static_cast<double>(b[static_cast<size_t>(k * m.rank + i)]) *
               b[static_cast<size_t>(k * m.rank + j)];
      sum += (i == j ? 1 : 2) * in * out;
    }
  return std::fabs(m.scale) * std::sqrt(std::max(0.0, sum));
}

std::string tensor_name(const std::string& module, std::string_view end) {
  return std::string(kPrefix) + module + std::string(end);
}

}  // namespace

AdapterFolder::AdapterFolder(const std::string& path) : path_(path) {
  const std::string config_path = path + "/adapter_config.json";
  config_ = io::parse_json(io::read_file(config_path, kMaxConfigBytes), config_path, ErrorKind::kBadModel);
  const JsonMembers members(config_, config_path, ErrorKind::kBadModel);
  if (!config_.is_object()) throw Error(ErrorKind::kBadModel, "must be a JSON object", config_path);
  const std::string* type = members.string("peft_type");
  if (!type || *type != "LORA")
    throw Error(ErrorKind::kBadModel,
                "is of the kind " + (type ? "\"" + *type + "\"" : std::string("unknown")), config_path,
                "\"peft_type\": \"LORA\" is read, no other");
  file_ = std::make_unique<io::SafetensorsFile>(path + "/adapter_model.safetensors");
  std::map<std::string, AdapterModule> found;
  for (const io::TensorInfo& t : file_->tensors()) {
    const bool is_a = t.name.ends_with(kA), is_b = t.name.ends_with(kB);
    if (!is_a && !is_b) {
      others_.push_back(t.name);
      continue;
    }
    std::string module = t.name.substr(0, t.name.size() - kA.size());
    if (module.starts_with(kPrefix)) module.erase(0, kPrefix.size());
    const std::string where = file_->path() + ": tensor " + t.name;
    if (t.shape.size() != 2)
      throw Error(ErrorKind::kBadModel, "is no matrix: " + io::shape_text(t.shape), where);
    if (t.dtype != DType::kF32 && t.dtype != DType::kF16 && t.dtype != DType::kBF16)
      throw Error(ErrorKind::kBadModel, "is of type " + t.dtype_name, where, "F32, F16 and BF16 are read");
    AdapterModule& m = found[module];
    m.name = module;
    (is_a ? m.a : m.b) = &t;
  }
  for (auto& [name, m] : found) {
    const std::string where = file_->path() + ": " + name;
    if (!m.a || !m.b)
      throw Error(ErrorKind::kBadModel, std::string("has lora_") + (m.a ? "A" : "B") + " without its partner",
                  where);
    m.rank = m.a->shape[0], m.n_in = m.a->shape[1], m.n_out = m.b->shape[0];
    if (m.rank != m.b->shape[1] || m.rank < 1 || m.rank > kMostRank)
      throw Error(ErrorKind::kBadModel,
                  "shapes " + io::shape_text(m.a->shape) + " and " + io::shape_text(m.b->shape) +
                      " have no rank in common",
                  where);
    m.scale = scale_of(name, m.rank);
    modules_.push_back(m);
  }
  if (modules_.empty()) throw Error(ErrorKind::kBadModel, "has no lora_A and lora_B", file_->path());
}

double AdapterFolder::scale_of(const std::string& module, int64_t rank) const {
  const std::string where = path_ + "/adapter_config.json";
  const JsonMembers members(config_, where, ErrorKind::kBadModel);
  double alpha = members.number("lora_alpha").value_or(8);  // PEFT's default
  if (const Json* pattern = members.object("alpha_pattern"))
    for (const auto& [name, value] : pattern->items())
      if (value.is_number() && (module == name || module.ends_with("." + name))) alpha = value.get<double>();
  if (!std::isfinite(alpha)) throw Error(ErrorKind::kBadModel, "lora_alpha is no number", where);
  const auto r = static_cast<double>(rank);
  return is_rslora() ? alpha / std::sqrt(r) : alpha / r;
}

std::string AdapterFolder::base_model() const {
  const Json* name = find(config_, "base_model_name_or_path");
  return name && name->is_string() ? as_string(*name) : "";
}
bool AdapterFolder::is_rslora() const {
  const Json* flag = find(config_, "use_rslora");
  return flag && flag->is_boolean() && flag->get<bool>();
}

std::vector<float> AdapterFolder::values(const io::TensorInfo& t) const {
  std::vector<float> out(static_cast<size_t>(t.n_elements()));
  const auto bytes = file_->data(t);
  if (t.dtype == DType::kF32) {
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t half;
    std::memcpy(&half, bytes.data() + 2 * i, 2);
    out[i] = t.dtype == DType::kBF16 ? bf16_to_f32(half) : f16_to_f32(half);
  }
  return out;
}

Json adapter_info(const AdapterFolder& adapter) {
  Json out;
  out["base_model"] = adapter.base_model();
  out["rslora"] = adapter.is_rslora();
  Json modules = Json::array();
  int64_t n_values = 0;
  std::set<int64_t> ranks;
  for (const AdapterModule& m : adapter.modules()) {
    n_values += m.rank * (m.n_in + m.n_out);
    ranks.insert(m.rank);
    modules.push_back(Json{{"name", m.name},
                           {"rank", m.rank},
                           {"in", m.n_in},
                           {"out", m.n_out},
                           {"scale", m.scale},
                           {"norm", change_norm(adapter, m)}});
  }
  out["ranks"] = std::vector<int64_t>(ranks.begin(), ranks.end());
  out["n_modules"] = adapter.modules().size();
  out["n_values"] = n_values;
  out["others"] = adapter.others();
  out["modules"] = std::move(modules);
  return out;
}

std::vector<AdapterFinding> lint_adapter(const AdapterFolder& adapter) {
  std::vector<AdapterFinding> out;
  const auto warn = [&](const std::string& where, const std::string& says) {
    out.push_back({false, where, says});
  };
  const auto fail = [&](const std::string& where, const std::string& says) {
    out.push_back({true, where, says});
  };
  const Json& config = adapter.config();
  const auto is_set = [&](const char* name) {
    const Json* v = find(config, name);
    return v && !v->is_null() && !(v->is_boolean() && !v->get<bool>()) && !(v->is_structured() && v->empty());
  };
  const JsonMembers members(config, adapter.path(), ErrorKind::kBadModel);
  const std::optional<int64_t> rank = members.integer("r");
  if (!rank) fail("r", "is missing: vLLM refuses the adapter");
  if (!is_set("target_modules") && !is_set("target_parameters"))
    fail("target_modules", "is missing: PEFT finds no module");
  if (is_set("use_dora")) warn("use_dora", "vLLM refuses DoRA");
  if (is_set("modules_to_save")) warn("modules_to_save", "vLLM refuses fully trained modules");
  if (is_set("rank_pattern") || is_set("alpha_pattern"))
    warn("rank_pattern", "vLLM knows one rank and one alpha for all modules");
  if (adapter.is_rslora())
    warn("use_rslora", "llama.cpp's converter ignores it: its scale is too small by sqrt(r)");
  std::set<int64_t> ranks;
  std::map<std::string, int> experts;  // by expert: gate_proj 1, up_proj 2
  bool routed = false, dense = false, latent = false;
  for (const AdapterModule& m : adapter.modules()) {
    ranks.insert(m.rank);
    const std::string_view name = leaf(m.name);
    const std::vector<float> a = adapter.values(*m.a), b = adapter.values(*m.b);
    const auto finite = [](float v) { return std::isfinite(v); };
    const bool sound = std::all_of(a.begin(), a.end(), finite) && std::all_of(b.begin(), b.end(), finite);
    if (!sound) fail(m.name, "has values that are not finite");
    if (std::all_of(b.begin(), b.end(), [](float v) { return v == 0; }))
      warn(m.name, "B is zero: it changes nothing");
    if (name == "kv_b_proj")
      warn(m.name, "vLLM loads it and never applies it, and it absorbs this matrix into attention");
    if (name == "lm_head" || has(name, "embed"))
      warn(m.name, "llama.cpp's converter refuses head and embedding");
    if (name == "gate" && has(m.name, ".mlp.gate"))
      warn(m.name, "a router's adapter: most servers ignore it");
    if (is_fused(m)) warn(m.name, "several experts in one matrix: readers disagree on its order");
    const size_t at = m.name.find(".experts.");
    if (at != std::string::npos && !is_fused(m)) {
      routed = true;
      int& parts = experts[m.name.substr(0, m.name.rfind('.'))];
      if (name == "gate_proj") parts |= 1;
      if (name == "up_proj") parts |= 2;
    } else if (has(m.name, ".mlp.")) {
      dense = true;
    }
    latent = latent || name == "kv_a_proj_with_mqa";
  }
  for (const auto& [name, parts] : experts)
    if (parts == 1 || parts == 2)
      warn(name, "PEFT fuses gate_proj and up_proj and refuses one without the other");
  if (ranks.size() > 1) warn("lora_A", "ranks differ between modules: vLLM wants one");
  if (rank && (ranks.size() > 1 || *ranks.begin() != *rank) && !is_set("rank_pattern"))
    fail("r", "is " + std::to_string(*rank) + ", the tensors have rank " + std::to_string(*ranks.begin()) +
                  ": PEFT refuses them");
  if (!ranks.empty() && *ranks.rbegin() > 512) warn("r", "vLLM serves ranks up to 512");
  if (dense && (routed || latent))
    warn("mlp",
         "PEFT 0.21 beside transformers 5 reads gate_proj, up_proj and down_proj of DeepSeek as routed "
         "experts alone and drops those of dense layers and shared experts");
  if (latent)
    warn("self_attn",
         "llama.cpp applies adapters of DeepSeek to o_proj, the FFN and experts, not to q and kv");
  for (const std::string& name : adapter.others()) warn(name, "is neither lora_A nor lora_B");
  return out;
}

namespace {

void require_plain(const AdapterFolder& adapter) {
  for (const char* name : {"use_dora", "modules_to_save", "lora_bias"}) {
    const Json* v = find(adapter.config(), name);
    const bool none =
        !v || v->is_null() || (v->is_boolean() && !v->get<bool>()) || (v->is_array() && v->empty());
    if (!none)
      throw Error(ErrorKind::kBadModel, std::string("uses \"") + name + "\": its average is no LoRA",
                  adapter.path());
  }
  if (!adapter.others().empty())
    throw Error(ErrorKind::kBadModel, "has \"" + adapter.others()[0] + "\": its average is no LoRA",
                adapter.path());
  for (const AdapterModule& m : adapter.modules())
    if (is_fused(m))
      throw Error(ErrorKind::kBadModel, m.name + " holds several experts: stacking would mix them",
                  adapter.path());
}

// What every adapter must agree on, and how much rank each brings.
struct Stack {
  std::map<std::string, std::pair<int64_t, int64_t>> shapes;  // in, out
  std::vector<int64_t> ranks;
  int64_t rank = 0;
};
Stack plan_stack(const std::vector<AdapterFolder>& adapters) {
  Stack stack;
  for (const AdapterFolder& adapter : adapters) {
    require_plain(adapter);
    if (adapter.base_model() != adapters[0].base_model())
      throw Error(ErrorKind::kBadModel,
                  "is of \"" + adapter.base_model() + "\", " + adapters[0].path() + " of \"" +
                      adapters[0].base_model() + "\"",
                  adapter.path(), "changes of different models have no mean");
    int64_t most = 0;
    for (const AdapterModule& m : adapter.modules()) {
      most = std::max(most, m.rank);
      const auto [at, added] = stack.shapes.try_emplace(m.name, m.n_in, m.n_out);
      if (!added && at->second != std::pair(m.n_in, m.n_out))
        throw Error(ErrorKind::kBadModel, m.name + " has another shape than in the adapters before",
                    adapter.path());
    }
    stack.ranks.push_back(most);
    stack.rank += most;
  }
  return stack;
}

void normalise(std::vector<double>& weights, size_t n) {
  if (weights.empty()) weights.assign(n, 1);
  double sum = 0;
  for (const double w : weights) sum += w >= 0 ? w : NAN;
  if (weights.size() != n || !(sum > 0) || !std::isfinite(sum))
    throw Error(ErrorKind::kUsage, "must be a number of 0 or more for each adapter, not all 0", "--weights");
  for (double& w : weights) w /= sum;
}

const AdapterModule* module_of(const AdapterFolder& adapter, const std::string& name) {
  for (const AdapterModule& m : adapter.modules())
    if (m.name == name) return &m;
  return nullptr;
}

Json averaged_config(const AdapterFolder& first, const Stack& stack) {
  Json config = first.config();
  std::set<std::string> leaves;
  for (const auto& [name, shape] : stack.shapes) leaves.insert(std::string(leaf(name)));
  config["r"] = stack.rank;
  config["lora_alpha"] = stack.rank;
  config["use_rslora"] = false;
  config["rank_pattern"] = Json::object();
  config["alpha_pattern"] = Json::object();
  config["target_modules"] = std::vector<std::string>(leaves.begin(), leaves.end());
  return config;
}

}  // namespace

AdapterAverage average_adapters(const std::vector<std::string>& folders, std::vector<double> weights,
                                const std::string& out) {
  std::vector<AdapterFolder> adapters;
  for (const std::string& folder : folders) adapters.emplace_back(folder);
  if (adapters.empty()) throw Error(ErrorKind::kUsage, "no adapter is given", "");
  normalise(weights, adapters.size());
  const Stack stack = plan_stack(adapters);
  std::error_code error;
  if (std::filesystem::exists(out + "/adapter_model.safetensors"))
    throw Error(ErrorKind::kCannotCreate, "holds an adapter already", out);
  std::filesystem::create_directories(out, error);
  if (error) throw Error(ErrorKind::kCannotCreate, error.message(), out);

  AdapterAverage average{stack.rank, static_cast<int64_t>(stack.shapes.size()), 0};
  std::vector<io::TensorInfo> tensors;
  for (const auto& module : stack.shapes) {
    const auto add = [&](std::string_view end, std::vector<int64_t> dims) {
      io::TensorInfo t;
      t.name = tensor_name(module.first, end);
      t.dtype = DType::kF32;
      t.dtype_name = "F32";
      t.shape = std::move(dims);
      average.n_values += t.n_elements();
      tensors.push_back(std::move(t));
    };
    const auto [n_in, n_out] = module.second;
    add(kA, {stack.rank, n_in});
    add(kB, {n_out, stack.rank});
  }
  io::AtomicFile file(out + "/adapter_model.safetensors");
  file.write(io::make_safetensors_header(tensors, {{"format", "pt"}}));
  for (const auto& [name, shape] : stack.shapes) {
    const auto [n_in, n_out] = shape;
    std::vector<float> a(static_cast<size_t>(stack.rank * n_in)), b(static_cast<size_t>(n_out * stack.rank));
    int64_t begin = 0;  // of this adapter's rows of A and columns of B
    for (size_t k = 0; k < adapters.size(); begin += stack.ranks[k++]) {
      const AdapterModule* m = module_of(adapters[k], name);
      if (!m) continue;
      const std::vector<float> own_a = adapters[k].values(*m->a), own_b = adapters[k].values(*m->b);
      std::copy(own_a.begin(), own_a.end(), a.begin() + begin * n_in);
      for (int64_t row = 0; row < n_out; ++row)
        for (int64_t i = 0; i < m->rank; ++i)
          b[static_cast<size_t>(row * stack.rank + begin + i)] =
              static_cast<float>(weights[k] * m->scale * own_b[static_cast<size_t>(row * m->rank + i)]);
    }
    for (const auto* values : {&a, &b})
      file.write({reinterpret_cast<const char*>(values->data()), values->size() * sizeof(float)});
  }
  file.commit();
  io::AtomicFile config(out + "/adapter_config.json");
  config.write(dump(averaged_config(adapters[0], stack)) + "\n");
  config.commit();
  return average;
}

}  // namespace ds::train
