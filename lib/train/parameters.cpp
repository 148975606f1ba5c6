#include "train/parameters.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <regex>
#include <set>

#include "core/error.h"
#include "core/hash.h"
#include "core/json_value.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "kernels/embed.h"

namespace ds::train {
namespace {

constexpr std::string_view kPeftPrefix = "base_model.model.";

std::string leaf_of(const std::string& module) { return module.substr(module.rfind('.') + 1); }

}  // namespace

double LoraSettings::scale() const {
  const auto r = static_cast<double>(rank);
  return alpha / (rslora ? std::sqrt(r) : r);
}

// An adapter as PEFT saves it, each tensor taken once.
struct Parameters::AdapterFile {
  explicit AdapterFile(const std::string& folder)
      : file(folder + "/adapter_model.safetensors"), taken(file.tensors().size()) {}
  const TensorInfo* find(const std::string& name) const { return file.find(std::string(kPeftPrefix) + name); }
  // Throws unless the tensor is there with this shape and readable.
  const TensorInfo& require(const std::string& name, const std::vector<int64_t>& shape) const {
    const TensorInfo* t = find(name);
    if (!t) throw Error(ErrorKind::kBadModel, "lacks " + name, file.path());
    if (t->shape != shape)
      throw Error(ErrorKind::kBadModel,
                  t->name + " has shape " + shape_text(t->shape) + ", " + shape_text(shape) + " was expected",
                  file.path(), "the adapter is of another model, or its r is not its tensors'");
    const TensorFormat* format = format_of(t->dtype);
    if (!format || format->scales != TensorFormat::Scales::kNone || t->dtype == DType::kF64)
      throw Error(ErrorKind::kBadModel, t->name + " has dtype " + t->dtype_name, file.path(),
                  "F32, F16 or BF16 was expected");
    return *t;
  }
  void take(Parameter& p) {
    const TensorInfo& t = require(p.name, p.shape);
    format_of(t.dtype)->decode_row(file.data(t).data(), t.n_elements(), p.values.data());
    taken[&t - file.tensors().data()] = true;
  }
  SafetensorsFile file;
  std::vector<bool> taken;
};

Parameters::Parameters(const ParameterOptions& options, const Context& context)
    : options_(options), context_(context) {
  LoraSettings& a = options_.adapter;
  if (options_.lora && !a.init_adapter.empty()) {
    const std::string path = a.init_adapter + "/adapter_config.json";
    const Json config = io::parse_json(io::read_file(path, 64 << 20), path, ErrorKind::kBadModel);
    const auto bad = [&](const std::string& what) { throw Error(ErrorKind::kBadModel, what, path); };
    const Json* r = ds::find(config, "r");
    const Json* alpha = ds::find(config, "lora_alpha");
    if (!r || !is_int(*r) || as_int(*r) <= 0) bad("r is no positive number");
    if (!alpha || !alpha->is_number()) bad("lora_alpha is no number");
    const auto flag = [&](const char* key) {
      const Json* value = ds::find(config, key);
      return value && value->is_boolean() && value->get<bool>();
    };
    if (flag("use_dora")) bad("use_dora: DoRA is not trained here yet");
    if (flag("fan_in_fan_out")) bad("fan_in_fan_out is for other architectures");
    a.rank = as_int(*r), a.alpha = alpha->get<double>(), a.rslora = flag("use_rslora");
    adapter_file_ = std::make_unique<AdapterFile>(a.init_adapter);
  }
}

Parameters::~Parameters() = default;

Parameter& Parameters::add(const std::string& name, std::vector<int64_t> shape) {
  Parameter& p = parameters_.emplace_back();
  p.name = name;
  const int64_t n = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  p.shape = std::move(shape);
  p.values.resize(n);
  p.gradient.resize(n);
  return p;
}

void Parameters::bind_matrix(const std::string& name, WeightView& view) {
  if (options_.lora) {
    if (is_target(name)) add_low_rank(name, view);
    return;
  }
  if (name.ends_with(".mlp.gate") && !options_.train_router) return;
  Parameter& p = add(name + ".weight", {view.rows, view.cols});
  std::vector<int32_t> rows(view.rows);
  std::iota(rows.begin(), rows.end(), 0);
  embed(context_, view, rows,
        {p.values.data(), DType::kF32, context_.device, view.rows, view.cols, view.cols});
  view.data = p.values.data(), view.dtype = DType::kF32;
  view.blocks = nullptr, view.scales = nullptr;
}

const float* Parameters::bind_vector(const std::string& name, const float* values, int64_t n) {
  // The correction bias chooses experts; no gradient comes to it.
  if (options_.lora || name.ends_with("e_score_correction_bias")) return values;
  Parameter& p = add(name, {n});
  std::copy(values, values + n, p.values.begin());
  return p.values.data();
}

bool Parameters::is_target(const std::string& module) const {
  if (adapter_file_) return adapter_file_->find(module + ".lora_A.weight") != nullptr;
  const std::string& targets = options_.adapter.targets;
  const std::string leaf = leaf_of(module);
  const bool attention = module.find(".self_attn.") != std::string::npos;
  const bool ffn = module.find(".mlp.") != std::string::npos && leaf != "gate";
  const bool expert = module.find(".mlp.experts.") != std::string::npos;
  // kv_b_proj: servers that absorb it into their attention load an adapter of it and do not apply it.
  if (targets == "auto") return (attention && leaf != "kv_b_proj") || (ffn && !expert);
  if (targets == "attn") return attention && leaf != "kv_b_proj";
  if (targets == "ffn") return ffn && !expert;
  if (targets == "experts") return expert;
  try {
    return std::regex_search(module, std::regex(targets));
  } catch (const std::regex_error& e) {
    throw Error(ErrorKind::kUsage, "\"" + targets + "\" is no regular expression: " + e.what(), "--targets");
  }
}

void Parameters::add_low_rank(const std::string& module, WeightView& view) {
  const LoraSettings& settings = options_.adapter;
  const int64_t r = settings.rank;
  if (adapter_file_) {  // before memory is taken for what a file claims
    adapter_file_->require(module + ".lora_A.weight", {r, view.cols});
    adapter_file_->require(module + ".lora_B.weight", {view.rows, r});
  }
  Parameter& a = add(module + ".lora_A.weight", {r, view.cols});
  Parameter& b = add(module + ".lora_B.weight", {view.rows, r});
  if (adapter_file_) {
    adapter_file_->take(a);
    adapter_file_->take(b);
  } else {
    CounterRng rng(settings.seed, fnv1a(module));
    const double bound = 1 / std::sqrt(static_cast<double>(view.cols));
    for (float& x : a.values) x = static_cast<float>((2 * rng.next_double() - 1) * bound);
  }
  low_ranks_.push_back({a.values.data(), b.values.data(), r, static_cast<float>(settings.scale())});
  view.low_rank = &low_ranks_.back();
}

void Parameters::require_complete() const {
  if (adapter_file_) {
    for (size_t i = 0; i < adapter_file_->taken.size(); ++i)
      if (!adapter_file_->taken[i])
        throw Error(ErrorKind::kBadModel,
                    adapter_file_->file.tensors()[i].name + " has no place in the model",
                    adapter_file_->file.path(), "the adapter is of another model");
  }
  if (parameters_.empty())
    throw Error(ErrorKind::kUsage, "\"" + options_.adapter.targets + "\" finds no module of the model",
                "--targets");
}

Parameter* Parameters::find(const std::string& name) {
  for (Parameter& p : parameters_)
    if (p.name == name) return &p;
  return nullptr;
}

int64_t Parameters::n_values() const {
  int64_t n = 0;
  for (const Parameter& p : parameters_) n += p.n();
  return n;
}

std::vector<std::string> Parameters::target_modules() const {
  std::set<std::string> leaves;
  for (const Parameter& p : parameters_)
    if (const size_t end = p.name.find(".lora_"); end != std::string::npos)
      leaves.insert(leaf_of(p.name.substr(0, end)));
  return {leaves.begin(), leaves.end()};
}

void Parameters::train(Tape& tape) {
  for (Parameter& p : parameters_) tape.train(p.values.data(), p.n(), sizeof(float), p.gradient.data());
}

void Parameters::clear_gradients() {
  for (Parameter& p : parameters_) std::fill(p.gradient.begin(), p.gradient.end(), 0.0f);
}

}  // namespace ds::train
