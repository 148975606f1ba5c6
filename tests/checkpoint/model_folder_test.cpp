// Folders as people have them: which file holds which tensor, what contradicts itself, what is refused by
// name.
#include "checkpoint/model_folder.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "checkpoint/locate.h"
#include "checkpoint/model_file.h"
#include "checkpoint/model_maker.h"
#include "checkpoint/weights.h"
#include "core/json_value.h"

using namespace ds;
using namespace ds::checkpoint;
using namespace ds::test;
namespace fs = std::filesystem;

namespace {

constexpr const char* kConfig =
    R"({"model_type":"llama","vocab_size":4,"hidden_size":2,"num_hidden_layers":1,"intermediate_size":4,
        "num_attention_heads":1)";
std::string config(const std::string& more = "") { return kConfig + (more.empty() ? "" : "," + more) + "}"; }

MadeTensor one(const std::string& name, float value) { return f32_tensor(name, {1}, {value}); }
void write_weight_map(const TempFolder& folder,
                      const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string text;
  for (const auto& [tensor, file] : entries)
    text += (text.empty() ? "\"" : ",\"") + tensor + "\":\"" + file + "\"";
  folder.write("model.safetensors.index.json", R"({"metadata":{},"weight_map":{)" + text + "}}");
}
float value_of(const ModelFolder& folder, const std::string& name) {
  REQUIRE(folder.find(name));
  float value = NAN;
  folder.read(*folder.find(name), 0, &value, sizeof value);
  return value;
}
bool warns_of(const ModelFolder& folder, const std::string& word) {
  for (const std::string& warning : folder.warnings())
    if (warning.find(word) != std::string::npos) return true;
  return false;
}
template <class F>
std::string refusal(ErrorKind kind, const F& f) {
  try {
    f();
  } catch (const Error& e) {
    CHECK(e.kind() == kind);
    return e.message();
  }
  return "accepted";
}
bool has(const std::string& text, const std::string& word) { return text.find(word) != std::string::npos; }

}  // namespace

TEST_CASE("the index decides: overlays, old copies, strays, ghosts") {
  const TempFolder folder;
  folder.write("config.json", config());
  write_shard(folder, "a.safetensors", {one("x", 1), one("y", 2), one("unlisted", 3)});
  write_shard(folder, "b.safetensors", {one("z", 20)});
  write_weight_map(folder, {{"x", "a.safetensors"}, {"y", "a.safetensors"}, {"z", "b.safetensors"}});
  CHECK(ModelFolder(folder.path()).warnings().empty());  // one reading alone
  write_shard(folder, "b.safetensors", {one("x", 10), one("z", 20)});
  write_shard(folder, "stray.safetensors", {one("w", 5)});
  write_weight_map(folder, {{"x", "b.safetensors"}, {"y", "a.safetensors"}, {"z", "b.safetensors"}});
  {
    const ModelFolder model(folder.path());
    CHECK(value_of(model, "x") == 10);  // the base shard's copy is overlaid
    CHECK(value_of(model, "y") == 2);
    CHECK(value_of(model, "unlisted") == 3);
    CHECK_FALSE(model.find("w"));
    CHECK(model.tensors().size() == 4);
    CHECK(warns_of(model, "x"));
  }
  write_weight_map(folder, {{"x", "a.safetensors"}, {"y", "b.safetensors"}, {"gone", "b.safetensors"}});
  {
    const ModelFolder model(folder.path());
    CHECK(value_of(model, "x") == 1);
    CHECK(value_of(model, "y") == 2);  // where it is, whatever the index says
    CHECK(warns_of(model, "gone"));
    CHECK(warns_of(model, "stale"));
  }
  // Twice, and the index does not choose.
  write_shard(folder, "b.safetensors", {one("x", 10), one("unlisted", 20)});
  CHECK(has(refusal(ErrorKind::kBadModel, [&] { ModelFolder{folder.path()}; }), "unlisted"));
}

TEST_CASE("an index may name files in folders below, and none outside") {
  const TempFolder folder;
  folder.write("config.json", config());
  fs::create_directories(folder.path() + "/weights/deep");
  write_shard(folder, "weights/deep/a.safetensors", {one("x", 1), one("y", 2)});
  write_weight_map(folder, {{"x", "weights/deep/a.safetensors"}, {"y", "./weights//deep/a.safetensors"}});
  {
    const ModelFolder model(folder.path());
    CHECK(value_of(model, "x") == 1);
    CHECK(value_of(model, "y") == 2);
    CHECK(model.warnings().empty());
    CHECK(model.other_files().empty());
    REQUIRE(model.files().size() == 1);
    CHECK(model.files()[0].name == "weights/deep/a.safetensors");
  }
  const std::string whole = folder.path() + "/weights/deep/a.safetensors";
  for (const std::string& outside :
       {std::string("../a.safetensors"), std::string("weights/../../a.safetensors"), whole, std::string("/"),
        std::string(""), std::string("."), std::string("weights/"), std::string("weights/..")}) {
    write_weight_map(folder, {{"x", outside}});
    const std::string said = refusal(ErrorKind::kBadModel, [&] { ModelFolder{folder.path()}; });
    CAPTURE(said);
    CHECK(has(said, "\"" + outside + "\" for tensor x"));
  }
}

TEST_CASE("a single file beside an index: a whole index wins, a stale one loses to a complete file") {
  const TempFolder folder;
  folder.write("config.json", config());
  write_shard(folder, "a.safetensors", {one("x", 1)});
  write_shard(folder, "model.safetensors", {one("x", 7), one("y", 8)});
  write_weight_map(folder, {{"x", "a.safetensors"}});
  {
    const ModelFolder model(folder.path());
    CHECK(value_of(model, "x") == 1);
    CHECK(warns_of(model, "model.safetensors is not read"));
  }
  write_weight_map(folder, {{"x", "a.safetensors"}, {"y", "b.safetensors"}});  // b was deleted
  {
    const ModelFolder model(folder.path());
    CHECK(value_of(model, "x") == 7);
    CHECK_FALSE(model.has_index());
    CHECK(warns_of(model, "b.safetensors"));
  }
  write_weight_map(folder, {{"x", "a.safetensors"}, {"z", "b.safetensors"}});  // the single file has no z
  CHECK(has(refusal(ErrorKind::kNoInput, [&] { ModelFolder{folder.path()}; }), "b.safetensors"));
  write_weight_map(folder, {{"x", "model.safetensors"}});  // an index of one file is no second reading
  CHECK(ModelFolder(folder.path()).warnings().empty());
}

TEST_CASE("JSON as Python writes it: NaN and infinities matter to who uses them") {
  const TempFolder folder;
  write_shard(folder, "model.safetensors", {one("x", 1)});
  folder.write("config.json",
               config(R"("time_step_limit":[0.0, Infinity],"a":NaN,"b":-Infinity,"c":"NaN \" Infinity")"));
  const ModelFolder model(folder.path());
  CHECK(model.config().hidden_size == 2);
  CHECK(as_string(*find(model.config_json(), "c")) == "NaN \" Infinity");
  folder.write("config.json", config(R"("rope_theta":Infinity)"));
  CHECK(has(refusal(ErrorKind::kBadModel, [&] { ModelFolder(folder.path()).config(); }), "rope_theta"));
  folder.write("config.json", config(R"("a":Infinit)"));
  CHECK(has(refusal(ErrorKind::kBadModel, [&] { ModelFolder{folder.path()}; }), "not valid JSON"));
}

TEST_CASE("what half a download leaves behind is named") {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4976698672\n";
  for (const char* name : {"config.json", "model.safetensors", "model.safetensors.index.json"}) {
    const TempFolder folder;
    folder.write("config.json", config());
    write_shard(folder, "model.safetensors", {one("x", 1)});
    CHECK_NOTHROW(ModelFolder{folder.path()});
    folder.write(name, pointer);
    const std::string lfs = refusal(ErrorKind::kNoInput, [&] { ModelFolder{folder.path()}; });
    CHECK(has(lfs, "Git LFS pointer"));
    CHECK(has(lfs, name));
    fs::remove(folder / name);
    fs::create_symlink("../../blobs/abc", folder / name);
    const std::string link = refusal(ErrorKind::kNoInput, [&] { ModelFolder{folder.path()}; });
    CHECK(has(link, "link to ../../blobs/abc"));
    CHECK(has(link, name));
    // A checkout or an archive that makes no links leaves the target's path as the file's text.
    fs::remove(folder / name);
    folder.write(name, "../../blobs/abc");
    const std::string text = refusal(ErrorKind::kNoInput, [&] { ModelFolder{folder.path()}; });
    CHECK(has(text, "link to ../../blobs/abc written as a text file"));
    CHECK(has(text, name));
  }
}

TEST_CASE("where config.json contradicts the tensors, the tensors count") {
  const TempFolder folder;
  folder.write("config.json", config(R"("tie_word_embeddings":true)"));
  write_shard(folder, "model.safetensors",
              {f32_tensor("model.embed_tokens.weight", {4, 2}, random_values(8, 1))});
  CHECK(ModelFolder(folder.path()).config().tie_word_embeddings);
  CHECK(ModelFolder(folder.path()).warnings().empty());
  write_shard(folder, "model.safetensors",
              {f32_tensor("model.embed_tokens.weight", {4, 2}, random_values(8, 1)),
               f32_tensor("lm_head.weight", {4, 2}, random_values(8, 2)),
               one("model.layers.1.eh_proj.weight", 1), one("model.layers.2.eh_proj.weight", 1)});
  const ModelFolder model(folder.path());
  CHECK_FALSE(model.config().tie_word_embeddings);
  CHECK(warns_of(model, "lm_head"));
  CHECK(model.config().num_nextn_predict_layers == 2);
  CHECK(warns_of(model, "num_nextn_predict_layers"));
  CHECK_NOTHROW(Weights(open_model(folder.path())));
  write_shard(folder, "model.safetensors", {one("model.layers.1.mlp.up_proj.weight", 1)});
  CHECK(
      has(refusal(ErrorKind::kBadModel, [&] { Weights{open_model(folder.path())}; }), "belongs to no layer"));
}

TEST_CASE("tensors without the model. prefix are found under both names") {
  const TempFolder folder;
  folder.write("config.json", config());
  write_shard(folder, "model.safetensors",
              {f32_tensor("embed_tokens.weight", {4, 2}, random_values(8, 1)), one("norm.weight", 3),
               one("layers.7.mlp.up_proj.weight", 1), one("lm_head.weight", 4)});
  const auto model = open_model(folder.path());
  CHECK(value_of(*model, "model.norm.weight") == 3);
  CHECK(value_of(*model, "norm.weight") == 3);
  CHECK(model->canonical_name(*model->find("lm_head.weight")) == "lm_head.weight");
  CHECK(
      has(refusal(ErrorKind::kBadModel, [&] { Weights{model}; }), "layers.7"));  // config.json has one layer
}

TEST_CASE("packed integers are refused with their method and what to do") {
  const auto refused = [](const std::string& quantization, const std::vector<MadeTensor>& tensors) {
    const TempFolder folder;
    folder.write("config.json", config(quantization));
    write_shard(folder, "model.safetensors", tensors);
    return refusal(ErrorKind::kBadModel, [&] { ModelFolder(folder.path()).require_readable(); });
  };
  const auto method = [](const std::string& name) {
    return R"("quantization_config":{"quant_method":")" + name + "\"}";
  };
  const MadeTensor packed{"l.qweight", "I32", {1, 2}, std::string(8, 'a')},
      int8{"l.weight", "I8", {2, 2}, "abcd"}, uint8{"l.weight", "U8", {4, 1}, "abcd"},
      scale = f32_tensor("l.weight_scale", {2, 1}, {1, 2}), absmax = one("l.weight.absmax", 1),
      compressed{"l.weight_packed", "I32", {1, 1}, "abcd"}, plain = f32_tensor("l.weight", {1, 1}, {1});
  CHECK(has(refused(method("gptq"), {packed}), "gptq"));
  CHECK(has(refused(method("awq"), {packed}), "awq"));
  CHECK(has(refused("", {packed}), "GPTQ or AWQ"));
  CHECK(has(refused(method("bitsandbytes"), {uint8, absmax}), "bitsandbytes"));
  CHECK(has(refused("", {uint8, absmax}), "bitsandbytes"));
  CHECK(has(refused(method("compressed-tensors"), {compressed, scale}), "compressed-tensors"));
  CHECK(has(refused(method("compressed-tensors"), {int8, scale}), "compressed-tensors"));
  CHECK(has(refused(method("new-method"), {int8}), "new-method"));
  CHECK(has(refused(method("gptq"), {packed}), "original weights"));
  // A method we do not know, and weights that need none.
  CHECK(refused(method("new-method"), {plain}) == "accepted");
  CHECK(refused("", {plain, {"l.tid2eid", "I64", {1, 1}, std::string(8, '\0')}}) == "accepted");
}

TEST_CASE("scales: one rule for their names and for what one covers") {
  const TempFolder folder;
  const std::string codes(6 * 4, '\x38');
  const auto coding = [&](const std::string& quantization, const std::vector<MadeTensor>& scales) {
    folder.write("config.json", config(quantization));
    std::vector<MadeTensor> all = {{"l.weight", "F8_E4M3", {6, 4}, codes}};
    all.insert(all.end(), scales.begin(), scales.end());
    write_shard(folder, "model.safetensors", all);
    const ModelFolder model(folder.path());
    WeightCoding c = model.coding(*model.find("l.weight"));
    return std::tuple(c.problem, c.block_rows, c.block_cols, c.scale ? c.scale->info.name : std::string(),
                      model.warnings().size());
  };
  const auto scale = [](const std::string& name, std::vector<int64_t> shape) {
    int64_t n = 1;
    for (const int64_t dim : shape) n *= dim;
    return f32_tensor("l." + name, std::move(shape), random_values(n, 1));
  };
  using Found = std::tuple<std::string, int64_t, int64_t, std::string, size_t>;
  const std::string
      structure =
          R"("quantization_config":{"quant_method":"compressed-tensors","config_groups":{"group_0":
         {"weights":{"block_structure":[4,2],"strategy":"block"}}}})",
      blocks = R"("quantization_config":{"weight_block_size":[4,2]})";
  for (const std::string& config_key : {structure, blocks})
    CHECK(coding(config_key, {scale("weight_scale", {2, 2})}) == Found{"", 4, 2, "l.weight_scale", 0});
  CHECK(coding("", {scale("weight_scale", {6, 1})}) == Found{"", 1, 4, "l.weight_scale", 0});
  CHECK(coding("", {scale("weight_scale", {6})}) == Found{"", 1, 4, "l.weight_scale", 0});
  CHECK(coding("", {scale("weight_scale", {1})}) == Found{"", 6, 4, "l.weight_scale", 0});
  CHECK(coding("", {scale("weight_scale", {})}) == Found{"", 6, 4, "l.weight_scale", 0});
  // DeepSeek's name first, and a word.
  CHECK(coding(blocks, {scale("scale", {2, 2}), scale("weight_scale", {2, 2}),
                        scale("weight_scale_inv", {2, 2})}) == Found{"", 4, 2, "l.weight_scale_inv", 1});
  // A shape that contradicts the config is not explained by another block size.
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{3, 2}, {2, 4}, {1, 4}, {2, 1}}) {
    const std::string problem = std::get<0>(coding(blocks, {scale("weight_scale_inv", shape)}));
    CHECK(has(problem, "4x2"));
    CHECK_THROWS_AS(ModelFolder(folder.path()).require_readable(), Error);
  }
  CHECK(has(std::get<0>(coding(blocks, {})), "missing"));
}

TEST_CASE("a model by name: folder, snapshot of a cache, repository, GGUF") {
  const TempFolder home, elsewhere;
  const std::string repository = home / "hub/models--Org--Name-1.5";
  fs::create_directories(repository + "/snapshots/abc");
  fs::create_directories(repository + "/snapshots/def");
  fs::create_directories(repository + "/refs");
  home.write("hub/models--Org--Name-1.5/snapshots/abc/config.json", "{}");
  ::setenv("HF_HOME", home.path().c_str(), 1);
  ::unsetenv("HF_HUB_CACHE");
  ::unsetenv("HUGGINGFACE_HUB_CACHE");
  CHECK(has(refusal(ErrorKind::kNoInput, [] { locate_model("Org/Name-1.5"); }), "2 snapshots"));
  home.write("hub/models--Org--Name-1.5/refs/main", "abc\n");
  CHECK(locate_model("Org/Name-1.5") == repository + "/snapshots/abc");
  CHECK(locate_model(repository) == repository + "/snapshots/abc");
  CHECK(locate_model(repository + "/snapshots/def") == repository + "/snapshots/def");
  CHECK(is_model_name("Org/Name-1.5"));
  CHECK_FALSE(is_model_name("Org/Other"));
  CHECK_FALSE(is_model_name("What is 2+3?"));
  const std::string absent = refusal(ErrorKind::kNoInput, [] { locate_model("Org/Other"); });
  CHECK(has(absent, "hf download Org/Other"));
  CHECK(has(absent, home / "hub"));
  CHECK(has(refusal(ErrorKind::kNoInput, [&] { locate_model(home / "hub"); }), "models--Org--Name-1.5"));
  home.write("hub/models--Org--Name-1.5/refs/main", "123");
  CHECK(has(refusal(ErrorKind::kNoInput, [] { locate_model("Org/Name-1.5"); }), "123"));
  ::setenv("HF_HUB_CACHE", elsewhere.path().c_str(), 1);
  CHECK(has(refusal(ErrorKind::kNoInput, [] { locate_model("Org/Name-1.5"); }), elsewhere.path()));
  ::unsetenv("HF_HUB_CACHE");
  ::unsetenv("HF_HOME");
  for (const char* name : {"/no/such/model", "../Org/Name", "a b/c", "Org/", "/Name"})
    CHECK_FALSE(has(refusal(ErrorKind::kNoInput, [&] { locate_model(name); }), "hf download"));

  elsewhere.write("m.gguf", "GGUF\x03");
  elsewhere.write("unnamed", "GGUF\x03");
  for (const char* name : {"m.gguf", "unnamed"}) {
    CHECK(locate_model(elsewhere / name) == elsewhere / name);
    CHECK(has(refusal(ErrorKind::kBadModel, [&] { ModelFolder(elsewhere / name); }), "GGUF header"));
  }
  elsewhere.write("config.json", "{}");
  CHECK(has(refusal(ErrorKind::kNoInput, [&] { locate_model(elsewhere / "config.json"); }), "is a file"));
}

TEST_CASE("a file replaced after its header was read: header and bytes stay of one file") {
  const TempFolder folder;
  folder.write("config.json", config());
  const auto write = [&](float v) { write_shard(folder, "new", {f32_tensor("n.weight", {2}, {v, v})}); };
  write(1);
  fs::rename(folder / "new", folder / "model.safetensors");
  const auto model = open_model(folder.path());
  write(2);
  fs::rename(folder / "new", folder / "model.safetensors");
  Weights weights(model);
  CHECK(weights.vector("n.weight", 2)[1] == 1);
  ThreadPool pool(2);
  weights.copy_into_large_pages(pool);
  CHECK(weights.vector("n.weight", 2)[1] == 1);
}

TEST_CASE("names alone: the same refusals of names, shapes and types, and no value is read") {
  const TempFolder folder;
  folder.write("config.json", config());
  write_shard(folder, "model.safetensors",
              {f32_tensor("n.weight", {2}, {NAN, 1}),
               f32_tensor("w.weight", {2, 1}, {1, 2}),
               {"f64.weight", "F64", {2, 1}, std::string(16, '\0')},
               {"f64", "F64", {2}, std::string(16, '\0')}});
  const auto model = open_model(folder.path());
  Weights names(model, Weights::Access::kNames), values(model);
  CHECK(names.vector("n.weight", 2) == nullptr);
  CHECK_THROWS_AS(values.vector("n.weight", 2), Error);
  CHECK(names.matrix("w", 2, 1).data == nullptr);
  CHECK(names.bound_bytes() == 8);
  for (Weights* weights : {&names, &values}) {
    const auto said = [&](const auto& ask) { return refusal(ErrorKind::kBadModel, ask); };
    CHECK(has(said([&] { weights->vector("n.weight", 3); }), "[3] was expected"));
    CHECK(has(said([&] { weights->vector("f64", 2); }), "F64"));
    CHECK(has(said([&] { weights->matrix("f64", 2, 1); }), "F64"));
    CHECK(has(said([&] { weights->matrix("absent", 2, 1); }), "absent.weight is missing"));
    CHECK(has(said([&] { weights->matrix("w", 1, 2); }), "[1, 2] was expected"));
  }
}

TEST_CASE("folders of other layouts: what is there is named, and what to do") {
  const auto said = [](const std::vector<std::string>& files) {
    const TempFolder folder;
    for (const std::string& file : files) {
      std::filesystem::create_directories(std::filesystem::path(folder / file).parent_path());
      const bool adapter = file == "adapter_config.json";
      folder.write(file, adapter ? R"({"base_model_name_or_path":"org/base"})" : R"({"model_type":"llama"})");
    }
    try {
      open_model(folder.path());
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kNoInput);
      return e.message() + " " + e.hint();
    }
    return std::string();
  };
  const auto names = [](const std::string& text, const std::string& part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  names(said({}), "is an empty folder");
  names(said({"README.md"}), "config.json is missing");
  names(said({"m-Q4.gguf"}), "m-Q4.gguf");
  names(said({"m-Q4.gguf"}), "give the file: ");
  names(said({"config.json", "m-Q4.gguf"}), "m-Q4.gguf");
  names(said({"adapter_config.json"}), "holds an adapter");
  names(said({"adapter_config.json"}), "org/base");
  names(said({"params.json", "consolidated.safetensors"}), "params.json");
  names(said({"0abc/config.json", "1abc/config.json"}), "/0abc");
  names(said({"config.json", "pytorch_model.bin"}), "pytorch_model.bin");
  names(said({"config.json"}), "model.safetensors");
}
