#include "train/run_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "core/json_value.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "quant/config_edit.h"

namespace ds::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStep = "step-";

std::string_view bytes_of(const float* values, int64_t n) {
  return {reinterpret_cast<const char*>(values), static_cast<size_t>(n) * sizeof(float)};
}

std::string make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw Error(ErrorKind::kCannotCreate, "cannot make the folder: " + error.message(), path);
  return path;
}

void write_text(const std::string& path, std::string_view text) {
  AtomicFile file(path, AtomicFile::Existing::kReplace);
  file.write(text);
  file.commit();
}

TensorInfo info_of(const std::string& name, DType dtype, const std::vector<int64_t>& shape) {
  TensorInfo info;
  info.name = name, info.dtype = dtype, info.dtype_name = dtype_name(dtype), info.shape = shape;
  return info;
}

// The names of the steps' folders that are whole, oldest first.
std::vector<std::string> checkpoints(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kStep) && fs::exists(entry.path() / "state.json")) names.push_back(name);
  }
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  });
  return names;
}

void write_adapter(const std::string& folder, const ModelFolder& model, const Parameters& parameters) {
  const LoraSettings& a = parameters.adapter();
  std::vector<NamedFloats> tensors;
  for (const Parameter& p : parameters.all())
    tensors.push_back({"base_model.model." + p.name, p.shape, p.values.data()});
  write_floats(folder + "/adapter_model.safetensors", tensors);
  // What PEFT writes itself; servers read r, lora_alpha and target_modules.
  Json config;
  config["peft_type"] = "LORA";
  config["task_type"] = "CAUSAL_LM";
  config["base_model_name_or_path"] = model.path();
  config["revision"] = nullptr;
  config["r"] = a.rank;
  if (a.alpha == static_cast<double>(static_cast<int64_t>(a.alpha))) {
    config["lora_alpha"] = static_cast<int64_t>(a.alpha);
  } else {
    config["lora_alpha"] = a.alpha;
  }
  config["lora_dropout"] = 0.0;
  config["bias"] = "none";
  config["fan_in_fan_out"] = false;
  config["inference_mode"] = true;
  config["init_lora_weights"] = true;
  config["use_rslora"] = a.rslora;
  config["use_dora"] = false;
  config["target_modules"] = parameters.target_modules();
  config["modules_to_save"] = nullptr;
  config["layers_to_transform"] = nullptr;
  config["rank_pattern"] = Json::object();
  config["alpha_pattern"] = Json::object();
  write_text(folder + "/adapter_config.json", quant::pretty_json(config) + "\n");
}

// The model with what was trained in its place as F32, all else as it is stored.
void write_model(const std::string& folder, const ModelFolder& model, const Parameters& parameters) {
  std::vector<TensorInfo> infos;
  std::vector<const StoredTensor*> stored;
  std::vector<const Parameter*> trained;
  std::map<std::string, const Parameter*> by_name;
  for (const Parameter& p : parameters.all()) by_name[p.name] = &p;
  for (const StoredTensor& t : model.tensors()) {
    const auto found = by_name.find(model.canonical_name(t));
    const Parameter* p = found == by_name.end() ? nullptr : found->second;
    if (!p && model.is_companion(t)) continue;  // scales of what is no longer FP8
    infos.push_back(t.info);
    if (p) infos.back() = info_of(t.info.name, DType::kF32, p->shape);
    stored.push_back(&t), trained.push_back(p);
  }
  AtomicFile file(folder + "/model.safetensors", AtomicFile::Existing::kReplace);
  file.write(make_safetensors_header(infos, {{"format", "pt"}}));
  std::string part;
  for (size_t i = 0; i < infos.size(); ++i) {
    if (trained[i]) {
      file.write(bytes_of(trained[i]->values.data(), trained[i]->n()));
      continue;
    }
    constexpr uint64_t kPart = 8 << 20;
    for (uint64_t at = 0; at < stored[i]->bytes(); at += kPart) {
      part.resize(std::min(kPart, stored[i]->bytes() - at));
      model.read(*stored[i], at, part.data(), part.size());
      file.write(part);
    }
  }
  file.commit();
  for (const std::string& name : model.other_files()) {
    const std::string to = folder + "/" + name;
    make_folder(folder_of(to));
    write_text(to, read_file(model.path() + "/" + name));
  }
  std::vector<std::pair<std::string, std::optional<std::string>>> edits;
  for (const char* key : {"torch_dtype", "dtype"})
    if (find(model.config_json(), key)) edits.push_back({key, "\"float32\""});
  if (find(model.config_json(), "quantization_config"))
    edits.push_back({"quantization_config", std::nullopt});
  write_text(folder + "/config.json", quant::edit_json_members(model.config_text(), edits));
}

std::string last_checkpoint(const std::string& path) {
  const auto names = checkpoints(path);
  return names.empty() ? "" : path + "/" + names.back();
}

}  // namespace

void write_floats(const std::string& path, const std::vector<NamedFloats>& tensors) {
  std::vector<TensorInfo> infos;
  for (const NamedFloats& t : tensors) infos.push_back(info_of(t.name, DType::kF32, t.shape));
  AtomicFile file(path, AtomicFile::Existing::kReplace);
  file.write(make_safetensors_header(infos, {{"format", "pt"}}));
  for (size_t i = 0; i < tensors.size(); ++i) file.write(bytes_of(tensors[i].values, infos[i].n_elements()));
  file.commit();
}

RunFolder::RunFolder(const std::string& path, bool resume)
    : path_(make_folder(path)), last_(last_checkpoint(path)), lock_(path) {
  if (!last_.empty() && !resume)
    throw Error(ErrorKind::kCannotCreate, "holds checkpoints of an earlier run", last_,
                "--resume goes on from there; a new run needs a folder of its own");
}

void RunFolder::save(int64_t step, const ModelFolder& model, const Parameters& parameters,
                     const Moments& moments, const Json& state, int64_t keep) {
  std::string number = std::to_string(step);
  number.insert(0, std::max<size_t>(number.size(), 6) - number.size(), '0');
  const std::string name = kStep + number, folder = make_folder(path_ + "/" + name);
  if (folder == last_) return;
  parameters.is_lora() ? write_adapter(folder, model, parameters) : write_model(folder, model, parameters);
  std::vector<NamedFloats> tensors;
  for (size_t i = 0; i < parameters.all().size(); ++i) {
    const Parameter& p = parameters.all()[i];
    tensors.push_back({"m." + p.name, p.shape, moments.m[i].data()});
    tensors.push_back({"v." + p.name, p.shape, moments.v[i].data()});
  }
  write_floats(folder + "/state.safetensors", tensors);
  write_text(folder + "/state.json", quant::pretty_json(state) + "\n");
  sync_folder(folder);
  const std::string link = path_ + "/last", partial = link + ".partial";
  ::unlink(partial.c_str());
  if (::symlink(name.c_str(), partial.c_str()) != 0 || ::rename(partial.c_str(), link.c_str()) != 0)
    throw Error(ErrorKind::kCannotCreate, "cannot make the link: " + os_error(), link);
  sync_folder(path_);
  last_ = folder;
  if (keep <= 0) return;
  const auto names = checkpoints(path_);
  for (size_t i = 0; i + keep < names.size(); ++i) fs::remove_all(path_ + "/" + names[i]);
}

Json RunFolder::load(Parameters& parameters, Moments& moments) const {
  const std::string state_path = last_ + "/state.json";
  const Json state = io::parse_json(read_file(state_path), state_path, ErrorKind::kBadModel);
  const SafetensorsFile values(last_ +
                               (parameters.is_lora() ? "/adapter_model.safetensors" : "/model.safetensors"));
  const SafetensorsFile optimizer(last_ + "/state.safetensors");
  const auto read = [](const SafetensorsFile& file, const std::string& name, const Parameter& p, float* to) {
    const TensorInfo* t = file.find(name);
    if (!t || t->dtype != DType::kF32 || t->shape != p.shape)
      throw Error(ErrorKind::kBadModel, "has no " + name + " of shape " + shape_text(p.shape) + " as F32",
                  file.path(), "the checkpoint is of another model, or of other settings");
    std::memcpy(to, file.data(*t).data(), p.n() * sizeof(float));
  };
  size_t i = 0;
  for (Parameter& p : parameters.all()) {
    std::string name = parameters.is_lora() ? "base_model.model." + p.name : p.name;
    constexpr std::string_view kModel = "model.";  // a folder without its head leaves it out
    if (!parameters.is_lora() && !values.find(name) && name.starts_with(kModel))
      name = name.substr(kModel.size());
    read(values, name, p, p.values.data());
    read(optimizer, "m." + p.name, p, moments.m[i].data());
    read(optimizer, "v." + p.name, p, moments.v[i].data());
    ++i;
  }
  return state;
}

}  // namespace ds::train
