// Conversions of made folders: what is written, what is left alone, what is refused.
#include "quant/quantize.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "checkpoint/model_maker.h"
#include "core/json_value.h"
#include "core/rng.h"
#include "io/json.h"
#include "quant/bands.h"
#include "quant/fp4.h"
#include "quant/gguf_export.h"
#include "quant/output_folder.h"
#include "quant/verify.h"

using namespace ds;
using namespace ds::quant;
using namespace ds::test;
namespace fs = std::filesystem;

namespace {

QuantizeReport convert(const std::string& model, const std::string& out, QuantizeOptions o = {}) {
  o.model = model;
  o.out = out;
  const ModelFolder checkpoint(model);
  return quantize(checkpoint, plan_quantize(checkpoint, o), o);
}
template <class Body>
ErrorKind kind_of(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.kind();
  }
  return ErrorKind::kInternal;
}
std::vector<float> values_of(const std::string& folder, const std::string& name) {
  const ModelFolder model(folder);
  const StoredTensor* t = model.find(name);
  REQUIRE(t != nullptr);
  const WeightCoding c = model.coding(*t);
  REQUIRE(c.problem == "");
  std::vector<float> values(c.rows * c.cols);
  BandScratch scratch;
  if (!values.empty()) read_values(model, *t, c, Isa::kScalar, 0, c.rows, 0, c.cols, scratch, values.data());
  return values;
}
std::string all_bytes(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& e : fs::recursive_directory_iterator(folder))
    if (e.is_regular_file()) files[e.path().lexically_relative(folder).string()] = slurp(e.path().string());
  std::string all;
  for (const auto& [name, bytes] : files) all += name + "\n" + bytes;
  return all;
}

constexpr const char* kConfig =
    "{\"model_type\": \"llama\", \"rms_norm_eps\": 1e-06, \"torch_dtype\": \"bfloat16\"}";

// Ragged, zero, subnormal, tiny, empty: one folder for all of it.
void make_odd_model(const TempFolder& folder) {
  folder.write("config.json", kConfig);
  folder.write("tokenizer.json", "{\"version\":\"1.0\"}");
  fs::create_directory(folder / "inference");
  folder.write("inference/README.md", "kept");
  std::vector<float> zero_block = random_values(256 * 256, 2), subnormal(128 * 130, 0.0f);
  for (int r = 0; r < 128; ++r)
    for (int c = 0; c < 128; ++c) zero_block[r * 256 + c] = 0;
  for (size_t i = 0; i < subnormal.size(); ++i) subnormal[i] = std::ldexp(static_cast<float>(i % 9), -133);
  write_shard(folder, "model.safetensors",
              {bf16_tensor("model.embed_tokens.weight", {40, 64}, random_values(40 * 64, 1)),
               bf16_tensor("model.layers.0.a.weight", {576, 200}, random_values(576 * 200, 3)),
               bf16_tensor("model.layers.0.zero.weight", {256, 256}, zero_block),
               bf16_tensor("model.layers.0.small.weight", {128, 130}, subnormal),
               f32_tensor("model.layers.0.one.weight", {1, 1}, {-3.5f}),
               bf16_tensor("model.layers.0.empty.weight", {0, 64}, {}),
               bf16_tensor("model.layers.0.input_layernorm.weight", {63}, random_values(63, 4)),
               f32_tensor("model.layers.0.mlp.gate.e_score_correction_bias", {3}, {1, 2, 3}),
               bf16_tensor("model.layers.0.mlp.gate.weight", {3, 64}, random_values(3 * 64, 5)),
               {"odd", "F6_E2M3", {3}, "abc"}});
}

}  // namespace

TEST_CASE("quantise: ragged, zero, subnormal, empty; the rest is carried over") {
  const TempFolder model, out;
  make_odd_model(model);
  QuantizeOptions o;
  o.n_threads = 2;
  for (const ScaleKind scales : {ScaleKind::kF32, ScaleKind::kPow2})
    for (const QuantRecipe recipe : {QuantRecipe::kDeepseek, QuantRecipe::kHf, QuantRecipe::kDeepgemm}) {
      o.scales = scales;
      o.recipe = recipe;
      const std::string to =
          out / (std::to_string(static_cast<int>(scales)) + std::to_string(static_cast<int>(recipe)));
      const QuantizeReport report = convert(model.path(), to, o);
      CHECK(report.tensors.size() == 4);  // an empty tensor has no statistics
      const std::vector<float> want = values_of(model.path(), "model.layers.0.a.weight");
      const std::vector<float> got = values_of(to, "model.layers.0.a.weight");
      double worst = 0;
      for (size_t i = 0; i < want.size(); ++i) worst = std::max<double>(worst, std::fabs(want[i] - got[i]));
      CHECK(worst <= 0.5 / 448 * 16 * 2);  // half a step of the top binade, twice for pow2
      for (const float v : values_of(to, "model.layers.0.zero.weight")) REQUIRE(std::isfinite(v));
      if (recipe != QuantRecipe::kDeepgemm)  // its floor of 1e-4 is what it says
        CHECK(values_of(to, "model.layers.0.small.weight")[1] == std::ldexp(1.0f, -133));
      const ModelFolder result(to);
      const StoredTensor* scale = result.find("model.layers.0.a.weight_scale_inv");
      REQUIRE(scale != nullptr);
      CHECK(scale->info.shape == std::vector<int64_t>{5, 2});
      CHECK(result.find("model.layers.0.empty.weight_scale_inv")->info.shape == std::vector<int64_t>{0, 1});
      float first;
      result.read(*result.find("model.layers.0.zero.weight_scale_inv"), 0, &first, 4);
      CHECK(first == (recipe != QuantRecipe::kDeepgemm ? 1.0f
                      : scales == ScaleKind::kPow2     ? std::exp2(std::ceil(std::log2(1e-4f / 448)))
                                                       : 1e-4f / 448));
      for (const char* same : {"model.embed_tokens.weight", "odd", "model.layers.0.mlp.gate.weight"}) {
        const SafetensorsFile a(model / "model.safetensors"), b(to + "/model.safetensors");
        CHECK(std::ranges::equal(a.data(*a.find(same)), b.data(*b.find(same))));
        CHECK(a.find(same)->dtype_name == b.find(same)->dtype_name);
      }
      CHECK(slurp(to + "/inference/README.md") == "kept");
      CHECK(slurp(to + "/tokenizer.json") == slurp(model / "tokenizer.json"));
      CHECK(slurp(to + "/config.json").find("1e-06") != std::string::npos);
      const Json config = parse_json(slurp(to + "/config.json"), "config");
      const Json* q = find(config, "quantization_config");
      REQUIRE(q != nullptr);
      CHECK(dump(*find(*q, "ignored_layers")) == dump(*find(*q, "modules_to_not_convert")));
      CHECK(dump(*find(*q, "ignored_layers")) ==
            "[\"model.embed_tokens\",\"model.layers.0.mlp.gate\",\"lm_head\"]");
      CHECK((find(*q, "scale_fmt") != nullptr) == (scales == ScaleKind::kPow2));
      const VerifyReport verdict = verify(ModelFolder(model.path()), result, o);
      CHECK(verdict.problems.empty());
      for (const TensorStats* t : verdict.below(28)) CHECK(t->name == "model.layers.0.small.weight");
    }
}

TEST_CASE("quantise: the same bytes for any level, thread count, and after any stop") {
  const TempFolder out;
  const std::string model = DS_SOURCE_DIR "/data/dsv3-tiny";
  QuantizeOptions o;
  o.max_shard_bytes = 1'000'000;
  convert(model, out / "want", o);
  const std::string want = all_bytes(out / "want");
  for (const Isa isa : available_isas())
    for (const int n_threads : {1, 3}) {
      o.isa = isa;
      o.n_threads = n_threads;
      const std::string to = out / (std::string(isa_name(isa)) + std::to_string(n_threads));
      convert(model, to, o);
      CHECK(all_bytes(to) == want);
    }
  o.n_threads = 1;
  o.resume = true;
  int n_stops = 0;
  for (int patience = 3; !fs::exists(out / "stopped/config.json"); patience += 5) {
    int asked = 0;
    o.stop = [&] { return ++asked > patience; };
    if (kind_of([&] { convert(model, out / "stopped", o); }) == ErrorKind::kInterrupted) ++n_stops;
  }
  o.stop = nullptr;
  CHECK(n_stops > 5);
  convert(model, out / "stopped", o);
  CHECK(all_bytes(out / "stopped") == want);
  // Another command does not continue this one.
  CHECK(kind_of([&] {
          QuantizeOptions p = o;
          p.scales = ScaleKind::kPow2;
          convert(model, out / "stopped", p);
        }) == ErrorKind::kCannotCreate);
}

TEST_CASE("--resume trusts no shard that was touched, or that a power cut may have emptied") {
  const TempFolder out;
  const std::string model = DS_SOURCE_DIR "/data/dsv3-tiny";
  QuantizeOptions o;
  o.max_shard_bytes = 1'000'000;
  const int64_t n_shards = convert(model, out / "want", o).n_shards;
  REQUIRE(n_shards > 1);
  const std::string want = all_bytes(out / "want"), to = out / "out";
  const std::string manifest = to + "/" + OutputFolder::kManifest;
  std::string shard;
  for (const auto& e : fs::directory_iterator(out / "want"))
    if (e.path().extension() == ".safetensors") shard = std::max(shard, e.path().filename().string());
  for (const bool sync : {true, false}) {
    o.sync = sync;
    // Stops when all shards are there.
    const auto run = [&](bool whole) {
      o.resume = fs::exists(to);
      o.stop = [&, whole] { return !whole && fs::exists(to + "/" + shard); };
      const int64_t n = whole ? convert(model, to, o).n_resumed : 0;
      if (!whole) CHECK(kind_of([&] { convert(model, to, o); }) == ErrorKind::kInterrupted);
      return n;
    };
    run(false);
    std::string bytes = slurp(to + "/" + shard);
    bytes[bytes.size() / 2] ^= 1;
    out.write("out/" + shard, bytes);
    CHECK(run(true) == n_shards - 1);
    CHECK(all_bytes(to) == want);
    fs::remove_all(to);
    run(false);
    // As if the machine had started anew since.
    std::string text = slurp(manifest);
    const size_t boot = text.find("\"boot\":\"");
    CHECK((boot == std::string::npos) == sync);
    if (!sync) text[boot + 8] ^= 1;
    out.write("out/" + fs::path(manifest).filename().string(), text);
    CHECK(run(true) == (sync ? n_shards : 0));
    CHECK(all_bytes(to) == want);
    fs::remove_all(to);
  }
}

TEST_CASE(
    "--resume: a manifest cut in its last line, a shard of another size, a model rewritten at the same "
    "size") {
  const TempFolder model, out;
  model.write("config.json", kConfig);
  std::vector<float> values = random_values(4 * 64 * 64, 3);
  const auto write = [&] {
    std::vector<MadeTensor> tensors;
    for (int i = 0; i < 4; ++i)
      tensors.push_back(f32_tensor("model.layers." + std::to_string(i) + ".a.weight", {64, 64},
                                   {values.begin() + i * 4096, values.begin() + (i + 1) * 4096}));
    write_shard(model, "model.safetensors", tensors);
  };
  write();
  QuantizeOptions o;
  o.sync = false;
  o.max_shard_bytes = 4096;
  REQUIRE(convert(model.path(), out / "want", o).n_shards == 4);
  // 4,096 codes and a scale of four bytes: two of them fill a shard to its last byte.
  for (const auto& [most, n] : {std::pair(8200, 2), {8199, 4}, {12300, 2}, {12299, 2}, {16400, 1}}) {
    QuantizeOptions p;
    p.max_shard_bytes = most;
    CHECK(static_cast<int>(plan_quantize(ModelFolder(model.path()), p).shards.size()) == n);
  }
  const std::string want = all_bytes(out / "want"), to = out / "out",
                    manifest = to + "/" + OutputFolder::kManifest;
  CHECK(!fs::exists(out / ("want/" + std::string(OutputFolder::kManifest))));
  const auto stop_after = [&](const char* shard) {
    fs::remove_all(to);
    o.resume = false;
    o.stop = [&, shard] { return fs::exists(to + "/" + shard); };
    REQUIRE(kind_of([&] { convert(model.path(), to, o); }) == ErrorKind::kInterrupted);
    o.stop = nullptr, o.resume = true;
  };
  // The third shard is there and its line in the manifest was being written: cut anywhere, it counts as none.
  for (const size_t n_cut : {1, 2, 20}) {
    stop_after("model-00004-of-00004.safetensors");
    std::string text = slurp(manifest);
    text.resize(text.size() - n_cut);
    out.write("out/" + fs::path(manifest).filename().string(), text);
    // Stopped once more when the shard is there again: what was cut must not spoil what is written behind it.
    fs::remove(to + "/model-00004-of-00004.safetensors");
    o.stop = [&] { return fs::exists(to + "/model-00004-of-00004.safetensors"); };
    REQUIRE(kind_of([&] { convert(model.path(), to, o); }) == ErrorKind::kInterrupted);
    o.stop = nullptr;
    CHECK(convert(model.path(), to, o).n_resumed == 4);
    CHECK(all_bytes(to) == want);
  }
  // A file that is longer or shorter than planned is made again, whatever its time says.
  for (const int change : {-1, 1}) {
    stop_after("model-00003-of-00004.safetensors");
    const std::string first = to + "/model-00001-of-00004.safetensors";
    const auto time = fs::last_write_time(first);
    fs::resize_file(first, fs::file_size(first) + change);
    fs::last_write_time(first, time);
    CHECK(convert(model.path(), to, o).n_resumed == 2);
    CHECK(all_bytes(to) == want);
  }
  // Another model of the same shapes and size, and another policy, are not gone on with.
  stop_after("model-00003-of-00004.safetensors");
  const auto written = fs::last_write_time(model / "model.safetensors");
  o.nan_policy = NanPolicy::kZero;
  CHECK(kind_of([&] { convert(model.path(), to, o); }) == ErrorKind::kUsage);
  o.nan_policy = NanPolicy::kFail;
  for (const NanPolicy policy : {NanPolicy::kKeep, NanPolicy::kFail}) {  // also where no header says it
    o.target = QuantTarget::kBF16;
    if (policy == NanPolicy::kKeep)
      o.max_shard_bytes = 4 * 4096, stop_after("model-00003-of-00004.safetensors");
    o.nan_policy = policy;
    CHECK(kind_of([&] { convert(model.path(), to, o); }) ==
          (policy == NanPolicy::kKeep ? ErrorKind::kUsage : ErrorKind::kInternal));
  }
  o.target = QuantTarget::kFp8, o.max_shard_bytes = 4096;
  stop_after("model-00003-of-00004.safetensors");
  values[5] += 1;
  write();
  fs::last_write_time(model / "model.safetensors", written + std::chrono::milliseconds(1));
  CHECK(kind_of([&] { convert(model.path(), to, o); }) == ErrorKind::kUsage);
}

TEST_CASE("what is chosen, what is said of it, and that scales stay beside their weights") {
  const TempFolder model, out;
  model.write("config.json", kConfig);
  const auto plan_of = [&](const std::vector<MadeTensor>& tensors, const char* include, const char* exclude,
                           int64_t most = 1 << 30) {
    write_shard(model, "model.safetensors", tensors);
    QuantizeOptions o;
    o.include = include, o.exclude = exclude, o.max_shard_bytes = most;
    return plan_quantize(ModelFolder(model.path()), o);
  };
  const auto matrix = [](const char* name, int64_t rows, int64_t cols) {
    return bf16_tensor(std::string("model.layers.0.") + name + ".weight", {rows, cols},
                       random_values(rows * cols, 1));
  };
  const std::vector<MadeTensor> usual = {matrix("a", 64, 64), matrix("mlp.gate", 64, 64)};
  CHECK(plan_of(usual, "", "").n_encoded == 1);  // routers are left alone, unless they are named
  CHECK(plan_of(usual, "gate", "").n_encoded == 1);
  CHECK(plan_of(usual, ".", "").n_encoded == 2);
  CHECK(plan_of(usual, ".", "\\.a\\.").n_encoded == 1);
  CHECK(plan_of(usual, "", "\\.a\\.").n_encoded == 1);
  CHECK(plan_of(usual, "", "").notes.empty());
  CHECK(plan_of(usual, ".", "").notes.size() == 1);  // loaders may not read an encoded router
  CHECK(plan_of(usual, ".", "nothing").notes.empty());
  for (const auto& [rows, cols, n] :
       {std::tuple(64, 64, 0), {128, 256, 0}, {100, 100, 0}, {129, 128, 1}, {128, 129, 1}, {64, 200, 1}})
    CHECK(plan_of({matrix("a", rows, cols)}, "", "").notes.size() == n);
  CHECK(plan_of({matrix("self_attn.q_proj", 100, 128)}, "", "").notes.size() == 1);  // which loaders fuse
  // FP8 that is passed through: a shard is never so full that a scale would be in the next one.
  std::vector<MadeTensor> coded;
  for (const char* name : {"x", "y", "z"}) {
    coded.push_back({std::string(name) + ".weight", "F8_E4M3", {64, 64}, std::string(4096, '\x38')});
    coded.push_back(f32_tensor(std::string(name) + ".weight_scale_inv", {1, 1}, {2}));
  }
  for (const int64_t most : {1, 4096, 4099, 8192, 8200}) {
    const QuantizePlan plan = plan_of(coded, "", "", most);
    CHECK(plan.shards.size() == (most < 8196 ? 3 : 2));
    for (const PlannedShard& shard : plan.shards) CHECK(shard.tensors.size() % 2 == 0);
  }
  // The largest error is one of values, not of codes.
  write_shard(model, "model.safetensors", {matrix("a", 128, 128)});
  const QuantizeReport report = convert(model.path(), out / "fp8");
  const auto want = values_of(model.path(), "model.layers.0.a.weight"),
             got = values_of(out / "fp8", "model.layers.0.a.weight");
  double most = 0, error = 0, signal = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double d = double(want[i]) - got[i];
    most = std::max(most, std::fabs(d)), error += d * d, signal += double(want[i]) * want[i];
  }
  CHECK(report.tensors.at(0).max_error == doctest::Approx(most).epsilon(1e-4));
  CHECK(report.tensors.at(0).sqnr_db() == doctest::Approx(10 * std::log10(signal / error)).epsilon(1e-4));
}

TEST_CASE("wide matrices: jobs that begin at a column, codes and scales as of one job") {
  // A block row of more than 2 Mi values is split by columns; rows of 17,000 are.
  const TempFolder model, out;
  model.write("config.json", kConfig);
  constexpr int64_t kRows = 130, kCols = 17'000;
  const std::vector<float> x = random_values(kRows * kCols, 7);
  write_shard(model, "model.safetensors", {bf16_tensor("model.layers.0.a.weight", {kRows, kCols}, x)});
  QuantizeOptions o;
  o.sync = false;
  o.n_threads = 2;
  convert(model.path(), out / "fp8", o);
  const std::vector<float> got = values_of(out / "fp8", "model.layers.0.a.weight");
  const ModelFolder result(out / "fp8");
  const StoredTensor* stored = result.find("model.layers.0.a.weight_scale_inv");
  const int64_t n_blocks = (kCols + 127) / 128;
  REQUIRE(stored->info.shape == std::vector<int64_t>{2, n_blocks});
  std::vector<float> scales(2 * n_blocks);
  result.read(*stored, 0, scales.data(), 4 * scales.size());
  for (int64_t b = 0; b < 2 * n_blocks; ++b) {
    float most = 0;
    for (int64_t r = b / n_blocks * 128; r < std::min(kRows, (b / n_blocks + 1) * 128); ++r)
      for (int64_t c = b % n_blocks * 128; c < std::min(kCols, (b % n_blocks + 1) * 128); ++c)
        most = std::max(most, std::fabs(bf16_to_f32(f32_to_bf16(x[r * kCols + c]))));
    CHECK(scales[b] == most / 448);
  }
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max<double>(worst, std::fabs(x[i] - got[i]));
  CHECK(worst < 0.03);
  // Encoded anew from their scales the same values come out.
  o.requantize = true;
  convert(out / "fp8", out / "again", o);
  const std::vector<float> again = values_of(out / "again", "model.layers.0.a.weight");
  for (size_t i = 0; i < got.size(); ++i)
    if (!(std::fabs(again[i] - got[i]) <= 1e-6f)) FAIL("value ", i, ": ", again[i], " for ", got[i]);
  o.requantize = false;
  o.target = QuantTarget::kBF16;
  convert(out / "fp8", out / "bf16", o);
  const std::vector<float> back = values_of(out / "bf16", "model.layers.0.a.weight");
  for (size_t i = 0; i < got.size(); ++i)
    if (back[i] != bf16_to_f32(f32_to_bf16(got[i]))) FAIL("value ", i);
}

TEST_CASE(
    "blocks that suit no job's borders are decoded by their own scales; places of NaN count from the start") {
  const TempFolder model, out;
  model.write("config.json",
              "{\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[96,80]}}");
  constexpr int64_t kRows = 200, kCols = 17'000, kBlockRows = 3, kBlockCols = 213;
  std::string codes(kRows * kCols, '\x38');
  std::vector<float> scales(kBlockRows * kBlockCols);
  for (size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<float>(i + 1);
  const auto write = [&] {
    write_shard(model, "model.safetensors",
                {{"x.weight", "F8_E4M3", {kRows, kCols}, codes},
                 f32_tensor("x.weight_scale_inv", {kBlockRows, kBlockCols}, scales)});
  };
  write();
  QuantizeOptions o;
  o.sync = false;
  o.target = QuantTarget::kBF16;
  o.n_threads = 2;
  convert(model.path(), out / "bf16", o);
  const auto check = [&](const std::vector<float>& got, double tolerance) {
    for (int64_t i = 0; i < kRows * kCols; ++i) {
      const float want = scales[i / kCols / 96 * kBlockCols + i % kCols / 80];
      if (!(std::fabs(got[i] - want) <= tolerance * want)) FAIL("value ", i, ": ", got[i], " for ", want);
    }
  };
  check(values_of(out / "bf16", "x.weight"), 1.0 / 256);
  o.target = QuantTarget::kFp8, o.requantize = true;
  convert(model.path(), out / "fp8", o);
  check(values_of(out / "fp8", "x.weight"), 1.0 / 16);
  CHECK(verify(ModelFolder(model.path()), ModelFolder(out / "fp8"), o).problems.empty());
  codes[199 * kCols + 3] = '\x7F';
  write();
  try {
    convert(model.path(), out / "nan", o);
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.message().find("[199, 3] is NaN") != std::string::npos);
  }
  o.requantize = false;  // a copy names the value's place in the tensor
  try {
    convert(model.path(), out / "copy", o);
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.message().find("value " + std::to_string(199 * kCols + 3)) != std::string::npos);
  }
}

TEST_CASE(
    "scales: powers of two round up, recipes multiply by what they store, the least is a normal float") {
  const TempFolder model, out;
  model.write("config.json", kConfig);
  std::vector<float> x(128 * 128, 0.0f);
  const auto scale_of = [&](float most, ScaleKind kind, QuantRecipe recipe) {
    x[77] = most, x[78] = most / 3;
    write_shard(model, "model.safetensors", {f32_tensor("model.layers.0.a.weight", {128, 128}, x)});
    QuantizeOptions o;
    o.scales = kind, o.recipe = recipe, o.force = true, o.sync = false;
    convert(model.path(), out / "q", o);
    const ModelFolder result(out / "q");
    float scale = 0;
    result.read(*result.find("model.layers.0.a.weight_scale_inv"), 0, &scale, 4);
    const auto got = values_of(out / "q", "model.layers.0.a.weight");
    if (most > 1e-30f) {
      CHECK(got[77] == doctest::Approx(most).epsilon(0.07));
      CHECK(got[78] == doctest::Approx(most / 3).epsilon(0.07));
    }
    return scale;
  };
  for (const QuantRecipe recipe : {QuantRecipe::kDeepseek, QuantRecipe::kHf, QuantRecipe::kDeepgemm}) {
    for (const float s : {0.5f, 0.51f, 0.7f, 0.74f, 0.99f, 1.0f, 1.01f, 3.0f, 100.0f}) {
      CHECK(scale_of(448 * s, ScaleKind::kPow2, recipe) == std::exp2(std::ceil(std::log2(s))));
      CHECK(scale_of(448 * s, ScaleKind::kF32, recipe) == doctest::Approx(s));
    }
  }
  CHECK(scale_of(0x1p-126f, ScaleKind::kF32, QuantRecipe::kDeepseek) == 0x1p-126f);
}

TEST_CASE(
    "--verify names what loaders stumble over: order, skip lists, index, and what is there beside the "
    "model") {
  const TempFolder model, out;
  model.write("config.json", kConfig);
  write_shard(model, "model.safetensors",
              {bf16_tensor("model.layers.0.a.weight", {64, 64}, random_values(4096, 1)),
               bf16_tensor("model.norm.weight", {3}, {1, 2, 3})});
  QuantizeOptions o;
  const auto problems = [&](const std::vector<MadeTensor>& tensors) {
    write_shard(out, "model.safetensors", tensors);
    const auto found = verify(ModelFolder(model.path()), ModelFolder(out.path()), o).problems;
    std::string all;
    for (const std::string& p : found) all += p + "\n";
    return all;
  };
  out.write("config.json", kConfig);
  const MadeTensor a = bf16_tensor("model.layers.0.a.weight", {64, 64}, random_values(4096, 1)),
                   norm = bf16_tensor("model.norm.weight", {3}, {1, 2, 3});
  CHECK(problems({a, norm}) == "");
  CHECK(problems({a}).find("model.norm.weight is missing") != std::string::npos);
  CHECK(problems({a, norm, bf16_tensor("other.weight", {1}, {1})}).find("other.weight is not in MODEL") !=
        std::string::npos);
  CHECK(problems({a, bf16_tensor("model.norm.weight", {2}, {1, 2})}).find("another shape") !=
        std::string::npos);
  CHECK(problems({{"x", "U8", {1}, "x"}, a, norm}).find("starts at no multiple of its element size") !=
        std::string::npos);
  std::vector<float> spoilt = random_values(4096, 1);
  spoilt[9] = NAN;
  write_shard(out, "model.safetensors", {bf16_tensor("model.layers.0.a.weight", {64, 64}, spoilt), norm});
  CHECK(verify(ModelFolder(model.path()), ModelFolder(out.path()), o).below(0).size() == 1);
  // An index that lists another number of tensors, or other bytes.
  write_shard(out, "model.safetensors", {a, norm});
  for (const auto& [size, more, problem] : {std::tuple("8198", "", ""),
                                            {"8197", "", "total_size is 8197"},
                                            {"8198", ",\"ghost\":\"model.safetensors\"", "lists 3 of 2"}}) {
    out.write("model.safetensors.index.json",
              std::string("{\"metadata\":{\"total_size\":") + size +
                  "},\"weight_map\":{\"model.layers.0.a.weight\":\"model.safetensors\",\"model.norm.weight\":"
                  "\"model.safetensors\"" +
                  more + "}}");
    try {
      const auto found = verify(ModelFolder(model.path()), ModelFolder(out.path()), o).problems;
      CHECK(found.size() == (*problem ? 1 : 0));
      if (!found.empty()) CHECK(found[0].find(problem) != std::string::npos);
    } catch (const Error& e) {
      CHECK(*problem);  // refused before it is looked at
    }
  }
}

TEST_CASE("to bf16: scales in another shard, e8m0 code 0, per-row and per-tensor scales") {
  const TempFolder model, out;
  model.write("config.json",
              "{\"a\":[1,{\"b\":\"}\"}],\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_"
              "size\":[2,2]}}");
  std::string codes;
  for (int i = 0; i < 15; ++i) codes += static_cast<char>(i * 8 + 1);
  write_shard(model, "model-1.safetensors",
              {{"x.weight", "F8_E4M3", {3, 5}, codes},
               {"y.weight", "F8_E4M3", {3, 5}, codes},
               {"z.weight", "F8_E4M3", {3, 5}, codes},
               {"z.input_scale", "F32", {1}, std::string(4, '\0')}});
  write_shard(model, "model-2.safetensors",
              {{"x.scale", "F8_E8M0", {2, 3}, std::string("\x00\x7F\x80\x81\x7E\x7F", 6)},
               f32_tensor("y.weight_scale", {3, 1}, {1, 0.3f, 2}),
               f32_tensor("z.weight_scale", {}, {0.7f})});
  write_index(model, {{"x.weight", "model-1.safetensors"},
                      {"y.weight", "model-1.safetensors"},
                      {"z.weight", "model-1.safetensors"},
                      {"z.input_scale", "model-1.safetensors"},
                      {"x.scale", "model-2.safetensors"},
                      {"y.weight_scale", "model-2.safetensors"},
                      {"z.weight_scale", "model-2.safetensors"}});
  QuantizeOptions o;
  o.target = QuantTarget::kBF16;
  convert(model.path(), out / "b", o);
  const float e8m0[] = {0x1p-127f, 1, 2, 4, 0.5f, 1}, row[] = {1, 0.3f, 2};
  const auto x = values_of(out / "b", "x.weight"), y = values_of(out / "b", "y.weight"),
             z = values_of(out / "b", "z.weight");
  for (int r = 0; r < 3; ++r)
    for (int c = 0; c < 5; ++c) {
      const float v = e4m3_to_f32(static_cast<uint8_t>(codes[r * 5 + c]));
      CHECK(x[r * 5 + c] == bf16_to_f32(f32_to_bf16(v * e8m0[r / 2 * 3 + c / 2])));
      CHECK(y[r * 5 + c] == bf16_to_f32(f32_to_bf16(v * row[r])));
      CHECK(z[r * 5 + c] == bf16_to_f32(f32_to_bf16(v * 0.7f)));
    }
  CHECK(slurp(out / "b/config.json") ==
        "{\n  \"a\": [1,{\"b\":\"}\"}],\n  \"torch_dtype\": \"bfloat16\"\n}\n");
  CHECK(ModelFolder(out / "b").tensors().size() == 3);
  // Without being asked, FP8 stays what it is, scales beside it.
  convert(model.path(), out / "same");
  CHECK(values_of(out / "same", "x.weight").size() == 15);
  CHECK(ModelFolder(out / "same").find("z.input_scale") != nullptr);
  fs::remove(model / "model-2.safetensors");
  CHECK(kind_of([&] { convert(model.path(), out / "c", o); }) == ErrorKind::kNoInput);
  write_index(model, {{"x.weight", "model-1.safetensors"}});
  CHECK(kind_of([&] { convert(model.path(), out / "c", o); }) == ErrorKind::kBadModel);
  CHECK(!fs::exists(out / "c"));
}

TEST_CASE("FP4 experts to FP8: lossless, or refused") {
  const TempFolder model, out;
  model.write("config.json",
              "{\"expert_dtype\":\"fp4\",\"quantization_config\":{\"weight_block_size\":[128,128]}}");
  const auto make = [&](int spread) {
    std::string packed(130 * 32, '\0'), scales(130 * 2, static_cast<char>(120));
    for (size_t i = 0; i < packed.size(); ++i) packed[i] = static_cast<char>(i * 37);
    scales[3] = static_cast<char>(120 - spread);
    write_shard(model, "model.safetensors",
                {{"e.w1.weight", "I8", {130, 32}, packed}, {"e.w1.scale", "F8_E8M0", {130, 2}, scales}});
  };
  QuantizeOptions o;
  o.target = QuantTarget::kExpertsFp8;
  make(14);
  convert(model.path(), out / "fp8", o);
  CHECK(values_of(out / "fp8", "e.w1.weight") == values_of(model.path(), "e.w1.weight"));
  CHECK(slurp(out / "fp8/config.json").find("expert_dtype") == std::string::npos);
  CHECK(ModelFolder(out / "fp8").find("e.w1.scale")->info.shape == std::vector<int64_t>{2, 1});
  o.target = QuantTarget::kBF16;
  convert(model.path(), out / "bf16", o);
  CHECK(values_of(out / "bf16", "e.w1.weight") == values_of(model.path(), "e.w1.weight"));
  make(16);
  o.target = QuantTarget::kExpertsFp8;
  CHECK(kind_of([&] { convert(model.path(), out / "no", o); }) == ErrorKind::kBadModel);
  CHECK(!fs::exists(out / "no/config.json"));
}

TEST_CASE(
    "FP4 to E4M3: every value is the same, by the largest scale of its block less six; or it is refused") {
  CounterRng rng(3);
  constexpr int64_t kRows = 5, kCols = 128, kGroup = 32;
  int n_refused = 0;
  for (const int base : {0, 3, 7, 120, 240})
    for (const int spread : {1, 6, 12, 20})
      for (const int64_t block : {32, 64, 128}) {
        std::vector<uint8_t> packed(kRows * kCols / 2), exponents(kRows * kCols / kGroup), out(kRows * kCols),
            scales(kCols / block);
        for (uint8_t& p : packed) p = static_cast<uint8_t>(rng.next_u32());
        for (uint8_t& e : exponents) e = static_cast<uint8_t>(base + rng.next_u32() % spread);
        if (!fp4_to_e4m3(packed.data(), exponents.data(), kRows, kCols, kGroup, block, out.data(),
                         scales.data())) {
          ++n_refused;
          CHECK(spread > 12);
          continue;
        }
        for (int64_t b = 0; b < kCols / block; ++b) {
          int most = 0;
          for (int64_t r = 0; r < kRows; ++r)
            for (int64_t g = b * block / kGroup; g < (b + 1) * block / kGroup; ++g)
              most = std::max<int>(most, exponents[r * kCols / kGroup + g]);
          CHECK(int{scales[b]} == std::max(most - 6, 0));
        }
        for (int64_t i = 0; i < kRows * kCols; ++i) {
          const uint8_t code = i % 2 ? packed[i / 2] >> 4 : packed[i / 2] & 15;
          const double want = std::ldexp(double(e2m1_to_f32(code)), exponents[i / kGroup] - 127),
                       got = std::ldexp(double(e4m3_to_f32(out[i])), scales[i % kCols / block] - 127);
          if (want != got) FAIL_CHECK("value ", i, ": ", got, " for ", want);
        }
      }
  CHECK(n_refused > 0);
}

TEST_CASE("NaN and infinity: refused with their place, or as the policy says") {
  const TempFolder model, out;
  model.write("config.json", kConfig);
  std::vector<float> values = random_values(300 * 300, 9);
  values[200 * 300 + 7] = NAN;
  values[5] = -INFINITY;
  write_shard(model, "model.safetensors", {bf16_tensor("a.weight", {300, 300}, values)});
  QuantizeOptions o;
  try {
    convert(model.path(), out / "fail", o);
    FAIL("a NaN was accepted");
  } catch (const Error& e) {
    CHECK(e.message().find("a.weight") != std::string::npos);
    CHECK(e.message().find("[0, 5] is infinite") != std::string::npos);
  }
  for (const NanPolicy policy : {NanPolicy::kZero, NanPolicy::kKeep}) {
    o.nan_policy = policy;
    const std::string to = out / std::to_string(static_cast<int>(policy));
    CHECK(convert(model.path(), to, o).tensors.at(0).n_non_finite == 2);
    const auto got = values_of(to, "a.weight");
    CHECK((policy == NanPolicy::kZero ? got[200 * 300 + 7] == 0 : std::isnan(got[200 * 300 + 7])));
    CHECK(got[5] == doctest::Approx(policy == NanPolicy::kZero ? 0 : -0.5).epsilon(0.05));
    CHECK(got[6] == doctest::Approx(values[6]).epsilon(0.07));
  }
}

TEST_CASE("output folder: refused, replaced only when complete, links never written through") {
  const TempFolder model, out;
  make_odd_model(model);
  QuantizeOptions o;
  CHECK(kind_of([&] { convert(model.path(), model.path(), o); }) == ErrorKind::kUsage);
  CHECK(kind_of([&] { convert(model.path(), model.path() + "/x/y", o); }) == ErrorKind::kUsage);
  CHECK(kind_of([&] { convert(model.path(), fs::path(model.path()).parent_path().string(), o); }) ==
        ErrorKind::kUsage);
  fs::create_directory_symlink(model.path(), out / "link");
  CHECK(kind_of([&] { convert(model.path(), out / "link", o); }) == ErrorKind::kUsage);
  fs::create_directory(out / "target");
  fs::create_directory_symlink(out / "target", out / "link2");
  CHECK(kind_of([&] { convert(model.path(), out / "link2", o); }) == ErrorKind::kCannotCreate);
  fs::create_directory(out / "notes");
  out.write("notes/diary.txt", "mine");
  CHECK(kind_of([&] { convert(model.path(), out / "notes", o); }) == ErrorKind::kCannotCreate);
  o.force = true;
  CHECK(kind_of([&] { convert(model.path(), out / "notes", o); }) == ErrorKind::kCannotCreate);
  CHECK(slurp(out / "notes/diary.txt") == "mine");
  o.force = false;

  convert(model.path(), out / "a", o);
  const std::string before = all_bytes(out / "a");
  CHECK(kind_of([&] { convert(model.path(), out / "a", o); }) == ErrorKind::kCannotCreate);
  o.force = true;
  o.scales = ScaleKind::kPow2;
  int asked = 0;
  o.stop = [&] { return ++asked > 4; };
  CHECK(kind_of([&] { convert(model.path(), out / "a", o); }) == ErrorKind::kInterrupted);
  CHECK(all_bytes(out / "a") == before);
  o.stop = nullptr;
  o.resume = true;
  convert(model.path(), out / "a", o);
  CHECK(all_bytes(out / "a") != before);
  CHECK(!fs::exists(out / "a.partial"));
  CHECK(!fs::exists(out / "a/ds-quantize.manifest.jsonl"));

  // A model made of links, as download caches have them: read through, and the output has files.
  const TempFolder cache;
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"})
    fs::create_symlink(model / name, cache / name);
  convert(cache.path(), out / "from-links");
  CHECK(!fs::is_symlink(out / "from-links/tokenizer.json"));
  // A link planted where a file will be written is replaced.
  out.write("victim", "untouched");
  fs::create_directory(out / "planted");
  QuantizeOptions p;
  int n = 0;
  p.stop = [&] { return ++n > 2; };
  CHECK(kind_of([&] { convert(model.path(), out / "planted", p); }) == ErrorKind::kInterrupted);
  for (const char* name : {"model.safetensors.partial", "config.json.partial", "tokenizer.json"})
    fs::create_symlink(out / "victim", out / (std::string("planted/") + name));
  p.stop = nullptr;
  p.resume = true;
  convert(model.path(), out / "planted", p);
  CHECK(slurp(out / "victim") == "untouched");
  CHECK(!fs::is_symlink(out / "planted/tokenizer.json"));
}

TEST_CASE("shards: sizes, index, names; --keep-shards") {
  const TempFolder out;
  const std::string model = DS_SOURCE_DIR "/tests/golden/arch/deepseek_v3_fp8";
  QuantizeOptions o;
  o.target = QuantTarget::kBF16;
  o.max_shard_bytes = 500'000;
  convert(model, out / "b", o);
  const ModelFolder b(out / "b");
  CHECK(b.files().size() > 3);
  for (const auto& file : b.files()) CHECK(file.bytes < 520'000);
  CHECK(verify(ModelFolder(model), b, o).problems.empty());
  o.keep_shards = true;
  convert(model, out / "k", o);
  const ModelFolder k(out / "k");
  REQUIRE(k.files().size() == 2);
  CHECK(k.files()[0].name == ModelFolder(model).files()[0].name);
  CHECK(verify(ModelFolder(model), k, o).problems.empty());
}

TEST_CASE("verify names what is wrong") {
  const TempFolder model, out;
  make_odd_model(model);
  QuantizeOptions o;
  convert(model.path(), out / "a", o);
  // One code becomes NaN.
  const std::string path = out / "a/model.safetensors";
  std::string bytes = slurp(path);
  const SafetensorsFile file(path);
  const auto data = file.data(*file.find("model.layers.0.a.weight"));
  bytes[bytes.size() - file.data(file.tensors().back()).size() -
        (file.tensors().back().begin - file.find("model.layers.0.a.weight")->begin) + 11] = 0x7F;
  (void)data;
  out.write("a/model.safetensors", bytes);
  const VerifyReport report = verify(ModelFolder(model.path()), ModelFolder(out / "a"), o);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].find("model.layers.0.a.weight") != std::string::npos);
  CHECK(!report.below(28).empty());
}

TEST_CASE("a folder of another FP8 kind: passed through, encoded anew as one kind, or refused; never mixed") {
  const TempFolder model, out;
  const std::string config =
      "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\"},\"torch_dtype\":\"float16\"}";
  model.write("config.json", config);
  std::string codes(4 * 6, '\x38');
  write_shard(model, "model.safetensors",
              {{"x.weight", "F8_E4M3", {4, 6}, codes},
               f32_tensor("x.weight_scale", {4, 1}, {1, 2, 4, 4}),
               bf16_tensor("y.weight", {4, 6}, random_values(24, 3))});
  QuantizeOptions o;
  convert(model.path(), out / "same", o);  // y stays: its makers left it alone
  CHECK(ModelFolder(out / "same").find("y.weight_scale_inv") == nullptr);
  CHECK(slurp(out / "same/config.json") == config);
  o.include = "y";
  CHECK(kind_of([&] { convert(model.path(), out / "mixed", o); }) == ErrorKind::kUsage);
  CHECK(!fs::exists(out / "mixed"));
  o.include = "";
  o.requantize = true;
  convert(model.path(), out / "anew", o);
  const ModelFolder anew(out / "anew");
  CHECK(anew.find("x.weight_scale_inv") != nullptr);  // the name that quant_method fp8 stands for
  CHECK(anew.find("x.weight_scale") == nullptr);
  CHECK(values_of(out / "anew", "x.weight") == values_of(model.path(), "x.weight"));

  // Integers of a method that is not decoded here would lose their config.
  write_shard(model, "model.safetensors",
              {{"x.weight_packed", "I32", {1, 1}, "abcd"}, f32_tensor("x.weight_scale", {1, 1}, {1})});
  o = {};
  o.target = QuantTarget::kBF16;
  CHECK(kind_of([&] { convert(model.path(), out / "packed", o); }) == ErrorKind::kBadModel);
}

TEST_CASE(
    "to bf16: nothing to decode leaves the config alone; NaN codes fail, or are passed on and counted") {
  const TempFolder model, out;
  const std::string config = "{\"torch_dtype\":\"float32\"}";
  model.write("config.json", config);
  write_shard(model, "model.safetensors", {f32_tensor("y.weight", {1, 2}, {1, 2})});
  QuantizeOptions o;
  o.target = QuantTarget::kBF16;
  convert(model.path(), out / "plain", o);
  CHECK(slurp(out / "plain/config.json") == config);
  std::string codes(3 * 11, '\x38');
  codes[5] = '\x7F', codes[30] = '\xFF';
  write_shard(model, "model.safetensors",
              {{"x.weight", "F8_E4M3", {3, 11}, codes}, f32_tensor("x.weight_scale_inv", {1, 1}, {2})});
  CHECK(kind_of([&] { convert(model.path(), out / "fails", o); }) == ErrorKind::kBadModel);
  o.nan_policy = NanPolicy::kKeep;
  const QuantizeReport report = convert(model.path(), out / "nan", o);
  CHECK(report.n_nan_codes == 2);
  CHECK(report.nan_example == "x.weight");
  const std::vector<float> values = values_of(out / "nan", "x.weight");
  CHECK(std::isnan(values[5]));
  CHECK(std::isnan(values[30]));
  CHECK(values[6] == 2);
}

TEST_CASE("a NaN or infinity in what is copied fails, too: norms, FP8 weights, their scales") {
  const TempFolder model, out;
  model.write("config.json", kConfig);
  std::vector<float> norm(3000, 1), scale = {1};
  std::string codes(64, '\x38');
  const auto fails = [&](const std::string& name, NanPolicy policy) {
    write_shard(model, "model.safetensors",
                {bf16_tensor("model.norm.weight", {3000}, norm),
                 {"x.weight", "F8_E4M3", {8, 8}, codes},
                 f32_tensor("x.weight_scale_inv", {1, 1}, scale),
                 f32_tensor("rotary.mask", {2}, {-INFINITY, 0})});
    QuantizeOptions o;
    o.nan_policy = policy;
    try {
      convert(model.path(), out / name, o);
      return false;
    } catch (const Error& e) {
      return e.kind() == ErrorKind::kBadModel;
    }
  };
  CHECK_FALSE(fails("good", NanPolicy::kFail));  // a mask is no weight
  norm[2999] = NAN;
  CHECK(fails("norm", NanPolicy::kFail));
  CHECK_FALSE(fails("norm kept", NanPolicy::kKeep));
  norm[2999] = 1, codes[63] = '\xFF';
  CHECK(fails("codes", NanPolicy::kFail));
  codes[63] = '\x38', scale[0] = INFINITY;
  CHECK(fails("scale", NanPolicy::kFail));
  // Every type has its own patterns; a weight, a bias and a scale are looked at, what else there may be is
  // not.
  for (const auto& [dtype, good, bad] : {std::tuple("F16", "\xFF\x7B", "\x00\x7C"),
                                         {"F16", "\x00\x00", "\x01\xFC"},
                                         {"BF16", "\x7F\x7F", "\x80\x7F"},
                                         {"BF16", "\x7F\xFF", "\x80\xFF"},
                                         {"F8_E8M0", "\xFE\xFE", "\xFE\xFF"}})
    for (const char* name : {"model.norm.weight", "a.bias", "a.input_scale", "mask"})
      for (const char* bytes : {good, bad}) {
        const int64_t n = dtype[1] == '8' ? 2 : 1;
        write_shard(model, "model.safetensors", {{name, dtype, {n}, std::string(bytes, 2)}});
        QuantizeOptions o;
        o.sync = false, o.force = true;
        const std::string what = std::string(dtype) + " " + name;
        CAPTURE(what);
        CHECK((kind_of([&] { convert(model.path(), out / "typed", o); }) == ErrorKind::kBadModel) ==
              (bytes == bad && std::string(name) != "mask"));
      }
}

TEST_CASE("a tensor name longer than any matcher's stack is refused") {
  const TempFolder model;
  model.write("config.json", kConfig);
  write_shard(model, "model.safetensors", {f32_tensor(std::string(300'000, 'a') + ".weight", {1}, {1})});
  CHECK(kind_of([&] { ModelFolder{model.path()}; }) == ErrorKind::kBadModel);
}

TEST_CASE(
    "GGUF: a bias is permuted like its matrix, llama3 scaling becomes rope_freqs, NaN is not written "
    "unasked") {
  const TempFolder model, out;
  model.write("config.json",
              "{\"model_type\":\"llama\",\"num_hidden_layers\":1,\"num_attention_heads\":2,\"hidden_size\":8,"
              "\"intermediate_size\":8,\"vocab_size\":4,\"max_position_embeddings\":64,\"rope_parameters\":{"
              "\"rope_theta\":100,\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,"
              "\"high_freq_factor\":4,\"original_max_position_embeddings\":64}}");
  std::vector<float> bias = {0, 1, 2, 3, 4, 5, 6, 7}, matrix = random_values(64, 5);
  const auto write = [&] {
    write_shard(model, "model.safetensors",
                {f32_tensor("model.layers.0.self_attn.q_proj.bias", {8}, bias),
                 f32_tensor("model.layers.0.self_attn.q_proj.weight", {8, 8}, matrix)});
  };
  write();
  QuantizeOptions o;
  o.target = QuantTarget::kGgufBF16;
  const auto export_to = [&](const std::string& path) {
    o.out = path;
    const ModelFolder checkpoint(model.path());
    return export_gguf(checkpoint, o);
  };
  const GgufReport report = export_to(out / "a.gguf");
  const std::string bytes = slurp(out / "a.gguf");
  CHECK(report.bytes_written == static_cast<int64_t>(bytes.size()));
  CHECK(report.bytes_planned == report.bytes_written);
  CHECK(bytes.find("rope_freqs.weight") != std::string::npos);
  // The last tensors are rope_freqs [2] behind a padded [8, 8] bf16 and the bias [8] before it.
  const auto floats = [&](size_t at, size_t n) {
    std::vector<float> v(n);
    std::memcpy(v.data(), bytes.data() + at, 4 * n);
    return v;
  };
  CHECK(floats(bytes.size() - 32 - 128 - 32, 8) == std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7});
  const std::vector<float> divisors = floats(bytes.size() - 32, 2);
  CHECK(divisors[0] == 1);  // ten wavelengths fit: kept
  const float fits = 64 / (6.283185307f * 10), keep = (fits - 1) / 3;
  CHECK(divisors[1] == doctest::Approx(1 / ((1 - keep) / 8 + keep)).epsilon(1e-5));

  matrix[9] = NAN;
  write();
  CHECK(kind_of([&] { export_to(out / "b.gguf"); }) == ErrorKind::kBadModel);
  CHECK(!fs::exists(out / "b.gguf"));
  o.nan_policy = NanPolicy::kZero;
  export_to(out / "b.gguf");
  out.write("victim", "untouched");
  fs::create_symlink(out / "victim", out / "link.gguf");
  o.force = true;
  CHECK(kind_of([&] { export_to(out / "link.gguf"); }) == ErrorKind::kCannotCreate);
  CHECK(slurp(out / "victim") == "untouched");
}

TEST_CASE("codes are counted exactly, and the picture adds up") {
  for (const int64_t n : {int64_t{0}, int64_t{5}, int64_t{4113}, int64_t{300'000}}) {
    std::vector<uint8_t> codes(n);
    std::vector<int64_t> want(128, 0);
    CounterRng rng(5, static_cast<uint64_t>(n));
    for (uint8_t& c : codes) {
      c = static_cast<uint8_t>(rng.next_u32());
      ++want[c & 0x7F];
    }
    TensorStats s;
    count_codes(s, codes.data(), n);
    CHECK(s.n_codes == n);
    CHECK(s.n_zero == want[0]);
    CHECK(s.n_saturated == want[126]);
    CHECK(s.n_nan == want[127]);
    const TensorStats back = TensorStats::from_json(s.to_json());
    CHECK(back.n_zero == s.n_zero);
    if (n == 0) continue;
    CHECK(back.histogram == s.histogram);
    if (n < 1 << 16) {
      CHECK(s.histogram == want);
      continue;
    }
    for (int c = 0; c < 128; ++c)
      CHECK(static_cast<double>(s.histogram[c]) ==
            doctest::Approx(static_cast<double>(want[c])).epsilon(0.4));
  }
}
