#include "quant/conversion_plan.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>

#include "core/error.h"
#include "core/json_value.h"
#include "quant/config_edit.h"

namespace ds::quant {
namespace {

std::regex compile(const std::string& pattern, const char* option) {
  try {
    return std::regex(pattern, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error& e) {
    throw Error(ErrorKind::kUsage, std::string("is no regular expression: ") + e.what(), option);
  }
}

// Which tensors the options choose for encoding.
class Selection {
 public:
  explicit Selection(const QuantizeOptions& o)
      : has_include_(!o.include.empty()),
        has_exclude_(!o.exclude.empty() || o.include.empty()),
        include_(compile(o.include, "--include")),
        exclude_(compile(o.exclude.empty() ? default_exclude() : o.exclude, "--exclude")) {}
  bool has_include() const { return has_include_; }
  bool chooses(const std::string& name) const {
    if (has_include_ && !std::regex_search(name, include_)) return false;
    return !has_exclude_ || !std::regex_search(name, exclude_);
  }

 private:
  bool has_include_, has_exclude_;
  std::regex include_, exclude_;
};

bool is_matrix_weight(const StoredTensor& t) {
  const std::string& name = t.info.name;
  return t.info.shape.size() == 2 && name.size() > 7 && name.compare(name.size() - 7, 7, ".weight") == 0;
}
bool is_float(DType d) { return d == DType::kF32 || d == DType::kF16 || d == DType::kBF16; }

std::string module_of(const std::string& tensor_name) {
  return tensor_name.substr(0, tensor_name.size() - 7);
}

// V4 calls its scales NAME.scale; every other name becomes the one of the published block-scaled folders.
std::string scale_name(const QuantStep& step) {
  const std::string module = module_of(step.source->info.name);
  if (step.coding.scale && step.coding.scale->info.name == module + ".scale") return module + ".scale";
  return module + ".weight_scale_inv";
}

TensorInfo tensor(std::string name, DType dtype, std::vector<int64_t> shape) {
  TensorInfo t;
  t.name = std::move(name);
  t.dtype = dtype;
  t.dtype_name = dtype_name(dtype);
  t.shape = std::move(shape);
  t.end = static_cast<uint64_t>(t.n_elements() * dtype_bytes(dtype));
  return t;
}

// What a step writes: the weight and, where it has them, its scales.
std::vector<TensorInfo> outputs_of(const QuantStep& step) {
  const WeightCoding& c = step.coding;
  const auto grid = [&] {
    return std::vector<int64_t>{(c.rows + step.block_rows - 1) / step.block_rows,
                                (c.cols + step.block_cols - 1) / step.block_cols};
  };
  const TensorInfo& in = step.source->info;
  switch (step.treatment) {
    case Treatment::kCopy: {
      TensorInfo same = in;
      same.end -= same.begin, same.begin = 0;
      return {same};
    }
    case Treatment::kEncode:
      return {tensor(in.name, DType::kF8E4M3, {c.rows, c.cols}),
              tensor(scale_name(step), DType::kF32, grid())};
    case Treatment::kDecode: {
      std::vector<int64_t> shape = in.shape;
      shape.back() = c.cols;
      return {tensor(in.name, DType::kBF16, std::move(shape))};
    }
    default:
      return {tensor(in.name, DType::kF8E4M3, {c.rows, c.cols}),
              tensor(scale_name(step), DType::kF8E8M0, grid())};
  }
}

uint64_t bytes_of(const std::vector<TensorInfo>& tensors) {
  uint64_t n = 0;
  for (const TensorInfo& t : tensors) n += t.end - t.begin;
  return n;
}

// The steps, in input order; companions of what is decoded or encoded anew disappear into it.
std::vector<QuantStep> choose_steps(const ModelFolder& model, const QuantizeOptions& o) {
  const Selection selection(o);
  const bool is_quantised = model.is_quantised();
  std::vector<QuantStep> steps;
  for (const StoredTensor& t : model.tensors()) {
    if (model.is_companion(t)) continue;
    QuantStep step;
    step.source = &t;
    step.coding = model.coding(t);
    const bool coded = step.coding.is_scaled();
    if (o.target == QuantTarget::kBF16) {
      if (coded || t.blocks) step.treatment = Treatment::kDecode;
    } else if (o.target == QuantTarget::kExpertsFp8) {
      if (step.coding.format == &kE2M1Format) {
        step.treatment = Treatment::kFp4ToE4M3;
        step.block_rows = model.quantization().block_rows ? model.quantization().block_rows : o.block_rows;
        step.block_cols = model.quantization().block_cols ? model.quantization().block_cols : o.block_cols;
      }
    } else if (o.target == QuantTarget::kFp8 && is_matrix_weight(t)) {
      // In a folder that is quantised already, what its makers left alone stays alone unless named.
      const bool plain = is_float(t.info.dtype) && (!is_quantised || selection.has_include() || o.requantize);
      const bool again = step.coding.format == &kE4M3Format && o.requantize;
      if ((plain || again) && selection.chooses(t.info.name)) {
        step.treatment = Treatment::kEncode;
        step.block_rows = o.block_rows, step.block_cols = o.block_cols;
      }
    }
    if (step.treatment != Treatment::kCopy && !step.coding.problem.empty())
      throw Error(ErrorKind::kBadModel, step.coding.problem, model.where(t), "is a shard missing?");
    steps.push_back(step);
    if (step.treatment != Treatment::kCopy || !coded) continue;
    // Its scales travel beside it, as they are.
    const StoredTensor* input_scale =
        is_matrix_weight(t) ? model.find(module_of(t.info.name) + ".input_scale") : nullptr;
    for (const StoredTensor* s : {step.coding.scale, input_scale}) {
      if (!s) continue;
      QuantStep companion;
      companion.source = s;
      companion.coding.rows = 1, companion.coding.cols = s->info.n_elements();
      companion.follows = true;
      steps.push_back(companion);
    }
  }
  return steps;
}

// Groups steps into files. A weight and its scales stay together.
std::vector<PlannedShard> make_shards(const ModelFolder& model, const QuantizeOptions& o,
                                      const std::vector<QuantStep>& steps) {
  if (o.keep_shards && model.is_gguf())
    throw Error(ErrorKind::kUsage, "a GGUF has no shards to keep", "--keep-shards", "leave it out");
  std::vector<PlannedShard> shards;
  uint64_t filled = 0;
  int last_file = -1;
  for (size_t i = 0; i < steps.size(); ++i) {
    const bool with_previous = steps[i].follows;
    const uint64_t bytes = bytes_of(outputs_of(steps[i]));
    const bool full = filled > 0 && filled + bytes > static_cast<uint64_t>(o.max_shard_bytes);
    const bool next_file = o.keep_shards && steps[i].source->file != last_file;
    if (shards.empty() || (!with_previous && (o.keep_shards ? next_file : full))) {
      shards.emplace_back();
      filled = 0;
    }
    if (!with_previous) last_file = steps[i].source->file;
    if (o.keep_shards) shards.back().name = model.files()[last_file].name;
    shards.back().steps.push_back(steps[i]);
    filled += bytes;
  }
  if (shards.empty()) shards.emplace_back();
  if (!o.keep_shards) {
    char name[64];
    for (size_t i = 0; i < shards.size(); ++i) {
      std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, shards.size());
      shards[i].name = shards.size() == 1 ? "model.safetensors" : name;
    }
  } else if (shards[0].name.empty()) {
    shards[0].name = "model.safetensors";
  }
  return shards;
}

// Tensors by element size, widest first: then each starts at a multiple of its element size whatever the
// shapes, which torch insists on. Otherwise input order, scales behind their weight.
void lay_out(PlannedShard& shard, const QuantizeOptions& o) {
  struct Slot {
    TensorInfo info;
    size_t step;
    bool is_scale;
  };
  std::vector<Slot> slots;
  for (size_t i = 0; i < shard.steps.size(); ++i) {
    std::vector<TensorInfo> out = outputs_of(shard.steps[i]);
    for (size_t k = 0; k < out.size(); ++k) slots.push_back({std::move(out[k]), i, k == 1});
  }
  // An unknown type goes last; its element size is open.
  std::stable_sort(slots.begin(), slots.end(), [](const Slot& a, const Slot& b) {
    return dtype_bytes(a.info.dtype) > dtype_bytes(b.info.dtype);
  });
  for (const Slot& slot : slots) {
    QuantStep& step = shard.steps[slot.step];
    (slot.is_scale ? step.out_scale : step.out) = static_cast<int>(shard.tensors.size());
    shard.tensors.push_back(slot.info);
  }
  // transformers refuses files without format=pt. How codes were made is written where no loader looks.
  std::map<std::string, std::string> metadata = {{"format", "pt"}};
  const bool encodes = std::any_of(shard.steps.begin(), shard.steps.end(),
                                   [](const QuantStep& s) { return s.treatment == Treatment::kEncode; });
  if (encodes) {
    static constexpr const char* kRecipes[] = {"deepseek", "deepgemm", "hf"};
    static constexpr const char* kPolicies[] = {"fail", "zero", "keep"};
    metadata["ds-quantize"] = std::string("recipe ") + kRecipes[static_cast<int>(o.recipe)] + ", scales " +
                              (o.scales == ScaleKind::kPow2 ? "pow2" : "f32") + ", non-finite " +
                              kPolicies[static_cast<int>(o.nan_policy)];
  }
  shard.header = make_safetensors_header(shard.tensors, metadata);
}

std::string quantization_config(const QuantizePlan& plan, const QuantizeOptions& o) {
  Json::array_t kept;
  bool has_head = false;
  for (const PlannedShard& shard : plan.shards)
    for (const QuantStep& step : shard.steps) {
      if (step.treatment != Treatment::kCopy || !is_matrix_weight(*step.source) ||
          !is_float(step.source->info.dtype))
        continue;
      const std::string module = module_of(step.source->info.name);
      has_head |= module == "lm_head";
      kept.push_back(module);
    }
  if (!has_head) kept.push_back("lm_head");  // tied to the embeddings, yet a Linear of its own to loaders
  Json q = Json::object();
  q["activation_scheme"] = "dynamic";
  q["fmt"] = "e4m3";
  q["quant_method"] = "fp8";
  q["weight_block_size"] = Json::array_t{o.block_rows, o.block_cols};
  if (o.scales == ScaleKind::kPow2) q["scale_fmt"] = "ue8m0";
  // transformers and vLLM read different keys; SGLang either.
  q["modules_to_not_convert"] = kept;
  q["ignored_layers"] = kept;
  return pretty_json(q, 1);
}

std::string edited_config(const ModelFolder& model, const QuantizeOptions& o, const QuantizePlan& plan) {
  using Edits = std::vector<std::pair<std::string, std::optional<std::string>>>;
  Edits edits;
  if (o.target == QuantTarget::kBF16) {
    if (plan.n_decoded == 0 && !model.is_quantised()) return model.config_text();
    edits = {{"quantization_config", {}}, {"compression_config", {}}, {"expert_dtype", {}}};
    const bool has_dtype = find(model.config_json(), "dtype");
    if (plan.n_decoded > 0) edits.push_back({has_dtype ? "dtype" : "torch_dtype", "\"bfloat16\""});
  } else if (o.target == QuantTarget::kExpertsFp8) {
    edits = {{"expert_dtype", {}}};
  } else if (plan.n_encoded > 0) {
    edits = {{"quantization_config", quantization_config(plan, o)}};
  } else {
    return model.config_text();
  }
  return edit_json_members(model.config_text(), edits);
}

std::string index_text(const QuantizePlan& plan) {
  std::string out = "{\n  \"metadata\": {\n    \"total_size\": " + std::to_string(plan.bytes_after) +
                    "\n  },\n  \"weight_map\": {";
  std::vector<std::pair<std::string, const std::string*>> entries;
  for (const PlannedShard& shard : plan.shards)
    for (const TensorInfo& t : shard.tensors) entries.push_back({t.name, &shard.name});
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  bool first = true;
  for (const auto& [name, file] : entries) {
    out += first ? "\n    " : ",\n    ";
    first = false;
    append_json_string(out, name);
    out += ": ";
    append_json_string(out, *file);
  }
  return out + "\n  }\n}\n";
}

// Ragged blocks: allowed by the format and present in V3 itself (576 rows), yet not every loader takes them.
void note_ragged_blocks(const QuantizePlan& plan, const QuantizeOptions& o, std::vector<std::string>& notes) {
  int64_t n_fused = 0, n_ragged = 0;
  std::string example;
  const std::regex fused("\\.(q_proj|k_proj|v_proj|gate_proj|up_proj)\\.weight$");
  for (const PlannedShard& shard : plan.shards)
    for (const QuantStep& step : shard.steps) {
      if (step.treatment != Treatment::kEncode) continue;
      const WeightCoding& c = step.coding;
      const bool odd_rows = c.rows % o.block_rows != 0, odd_cols = c.cols % o.block_cols != 0;
      if (odd_rows && std::regex_search(step.source->info.name, fused)) ++n_fused;
      if ((odd_rows && c.rows > o.block_rows) || (odd_cols && c.cols > o.block_cols))
        if (n_ragged++ == 0) example = step.source->info.name + " " + shape_text(step.source->info.shape);
    }
  const std::string block = std::to_string(o.block_rows) + "x" + std::to_string(o.block_cols);
  if (n_fused)
    notes.push_back(std::to_string(n_fused) +
                    " matrices that vLLM and SGLang fuse (q, k, v; gate, up) end inside a " + block +
                    " block: these two refuse such a folder; --block can name a shape that divides them");
  if (n_ragged)
    notes.push_back(
        std::to_string(n_ragged) + " matrices end inside a " + block + " block (" + example +
        "), as DeepSeek-V3's own 576-row ones do: transformers 5 without a GPU refuses or misreads them");
}

// --include alone takes whatever it finds, routers and norms too, which loaders expect as they were
// published.
void note_unusual_choices(const QuantizePlan& plan, const QuantizeOptions& o,
                          std::vector<std::string>& notes) {
  if (o.include.empty() || !o.exclude.empty()) return;
  const std::regex published = compile(default_exclude(), "--exclude");
  int64_t n = 0;
  std::string example;
  for (const PlannedShard& shard : plan.shards)
    for (const QuantStep& step : shard.steps)
      if (step.treatment == Treatment::kEncode && std::regex_search(step.source->info.name, published) &&
          n++ == 0)
        example = step.source->info.name;
  if (n)
    notes.push_back("--include takes in " + std::to_string(n) + " matrices that published folders keep (" +
                    example + "): loaders may not read them; --exclude leaves them alone");
}

// A pattern with a slip in it would copy all weights, or encode what was to be left alone.
void check_patterns(const ModelFolder& model, const QuantizeOptions& o, std::vector<std::string>& notes) {
  const auto finds_any = [&](const std::string& pattern, const char* option) {
    const std::regex regex = compile(pattern, option);
    return std::any_of(model.tensors().begin(), model.tensors().end(),
                       [&](const StoredTensor& t) { return std::regex_search(t.info.name, regex); });
  };
  const auto matrix = std::find_if(model.tensors().begin(), model.tensors().end(), is_matrix_weight);
  if (!o.include.empty() && !finds_any(o.include, "--include"))
    throw Error(ErrorKind::kUsage, "'" + o.include + "' finds no tensor of " + model.path(), "--include",
                matrix == model.tensors().end() ? "" : "names are like " + matrix->info.name);
  // Beside --include a pattern that finds nothing is how one says that nothing is to be left alone.
  if (o.include.empty() && !o.exclude.empty() && !finds_any(o.exclude, "--exclude"))
    notes.push_back("--exclude '" + o.exclude + "' finds no tensor: nothing is left alone because of it");
}

void check_options(const QuantizeOptions& o) {
  if (o.block_rows < 1 || o.block_cols < 1 || o.block_rows > 1024 || o.block_cols > 1024)
    throw Error(ErrorKind::kUsage, "block sizes lie between 1 and 1024", "--block");
  if (o.max_shard_bytes < 1) throw Error(ErrorKind::kUsage, "must be positive", "--max-shard-size");
}

// A config names one kind of quantisation for the whole folder: what is encoded must not contradict what is
// passed through, and what is decoded must leave nothing quantised behind.
void check_one_kind(const ModelFolder& model, const QuantizeOptions& o, const std::vector<QuantStep>& steps) {
  const bool encodes = std::any_of(steps.begin(), steps.end(),
                                   [](const QuantStep& s) { return s.treatment == Treatment::kEncode; });
  const std::string method = model.quantization().method;
  for (const QuantStep& step : steps) {
    if (step.treatment != Treatment::kCopy || step.follows) continue;
    const StoredTensor& t = *step.source;
    const WeightCoding& c = step.coding;
    if (t.blocks)
      throw Error(ErrorKind::kUsage, "would stay in blocks of " + t.info.dtype_name + ", which only GGUF has",
                  model.where(t), "--to bf16 decodes all of them; that folder can go on to FP8");
    const bool other_blocks = c.format == &kE4M3Format &&
                              (c.block_rows != o.block_rows || c.block_cols != o.block_cols || !c.scale ||
                               c.scale->info.name == module_of(t.info.name) + ".weight_scale");
    if (encodes && other_blocks)
      throw Error(ErrorKind::kUsage,
                  "stays in blocks of " + std::to_string(c.block_rows) + "x" + std::to_string(c.block_cols) +
                      ", others would be encoded in " + std::to_string(o.block_rows) + "x" +
                      std::to_string(o.block_cols) + ", and a config names one kind",
                  model.where(t),
                  "choose the same --block, encode all with --requantize, or go --to bf16 first");
    const DType d = t.info.dtype;
    const bool integers = d == DType::kI8 || d == DType::kU8 || d == DType::kI16 || d == DType::kI32;
    if ((encodes || o.target == QuantTarget::kBF16) && !method.empty() && method != "fp8" && integers &&
        t.info.shape.size() > 1)
      throw Error(ErrorKind::kBadModel,
                  "holds packed values of quant_method " + method + ", which are not decoded here",
                  model.where(t), "F8_E4M3 with scales and the FP4 of DeepSeek-V4 are");
  }
}

}  // namespace

const char* default_exclude() {
  return "(^|\\.)(embed|embed_tokens|wte|head|lm_head|score|eh_proj|gate|router|shared_expert_gate|weights_"
         "proj)"
         "\\.weight$|norm|(^|\\.)compressor\\.|vision|visual";
}

const char* treatment_name(Treatment treatment) {
  switch (treatment) {
    case Treatment::kCopy:
      return "copy";
    case Treatment::kEncode:
      return "encode";
    case Treatment::kDecode:
      return "decode";
    default:
      return "fp4-to-fp8";
  }
}

QuantizePlan plan_quantize(const ModelFolder& model, const QuantizeOptions& o) {
  check_options(o);
  model.require_readable();
  QuantizePlan plan;
  plan.notes = model.warnings();
  check_patterns(model, o, plan.notes);
  const std::vector<QuantStep> steps = choose_steps(model, o);
  check_one_kind(model, o, steps);
  plan.shards = make_shards(model, o, steps);
  for (PlannedShard& shard : plan.shards) {
    lay_out(shard, o);
    plan.bytes_after += static_cast<int64_t>(shard.tensors.empty() ? 0 : shard.tensors.back().end);
    for (const QuantStep& step : shard.steps) {
      (step.treatment == Treatment::kCopy     ? plan.n_copied
       : step.treatment == Treatment::kEncode ? plan.n_encoded
                                              : plan.n_decoded)++;
      if (model.is_companion(*step.source)) continue;
      const StoredTensor& t = *step.source;
      const bool values = is_float(t.info.dtype) || t.blocks || step.coding.is_scaled();
      const int64_t n = values ? step.coding.rows * step.coding.cols : 0;
      plan.n_parameters += n;
      plan.bytes_as_f32 += values ? 4 * n : static_cast<int64_t>(step.source->bytes());
      plan.bytes_as_bf16 += values ? 2 * n : static_cast<int64_t>(step.source->bytes());
    }
  }
  for (const StoredTensor& t : model.tensors()) plan.bytes_before += static_cast<int64_t>(t.bytes());
  for (const std::string& file : model.other_files()) {
    std::error_code ignored;
    const auto bytes = std::filesystem::file_size(model.path() + "/" + file, ignored);
    if (!ignored) plan.other_bytes += static_cast<int64_t>(bytes);
  }
  plan.config_text = edited_config(model, o, plan);
  if (plan.shards.size() > 1 || plan.shards[0].name != "model.safetensors")
    plan.index_text = index_text(plan);

  if (o.target == QuantTarget::kFp8 && plan.n_encoded == 0)
    plan.notes.push_back(
        model.is_quantised()
            ? "the weights are quantised already: passed through as they are (--requantize encodes FP8 anew)"
            : "no tensor was chosen: everything is copied");
  note_unusual_choices(plan, o, plan.notes);
  if (o.target == QuantTarget::kBF16 && plan.n_decoded == 0)
    plan.notes.push_back("no FP8 or FP4 weight is there: everything is copied");
  if (o.target == QuantTarget::kExpertsFp8 && plan.n_decoded == 0)
    throw Error(ErrorKind::kBadModel, "has no FP4 weights (I8 with F8_E8M0 scales)", model.path(),
                "--experts fp8 is for DeepSeek-V4 folders");
  note_ragged_blocks(plan, o, plan.notes);
  if (!model.skipped_files().empty())
    plan.notes.push_back("not carried over: " + model.skipped_files().front() +
                         (model.skipped_files().size() > 1
                              ? " and " + std::to_string(model.skipped_files().size() - 1) + " more"
                              : std::string()) +
                         " (weights in another format, or no regular files)");
  return plan;
}

}  // namespace ds::quant
