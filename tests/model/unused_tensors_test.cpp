// Tensors that an architecture has no use for: refused when they would change answers.
#include <doctest/doctest.h>

#include "checkpoint/model_maker.h"
#include "model/model.h"

using namespace ds;
using namespace ds::model;
using namespace ds::test;

namespace {

// The golden folder `name` with further tensors.
void make_folder(const TempFolder& folder, const std::string& name, const std::vector<MadeTensor>& extra,
                 const std::string& prefix = "") {
  const std::string from = DS_SOURCE_DIR "/tests/golden/arch/" + name;
  const SafetensorsFile file(from + "/model.safetensors");
  std::vector<MadeTensor> tensors;
  for (const TensorInfo& t : file.tensors()) {
    const auto bytes = file.data(t);
    tensors.push_back({prefix + t.name,
                       t.dtype_name,
                       t.shape,
                       {reinterpret_cast<const char*>(bytes.data()), bytes.size()}});
  }
  tensors.insert(tensors.end(), extra.begin(), extra.end());
  write_shard(folder, "model.safetensors", tensors);
  folder.write("config.json", read_file(from + "/config.json"));
}

// What is said of the folder; "" when it loads.
std::string refusal(const std::string& name, const std::vector<std::string>& extra) {
  const TempFolder folder;
  std::vector<MadeTensor> tensors;
  for (const std::string& tensor : extra) tensors.push_back(f32_tensor(tensor, {1}, {1}));
  make_folder(folder, name, tensors);
  const auto opened = checkpoint::open_model(folder.path());
  std::string said;
  try {
    said = check_loadable(opened);  // in a CHECK it could not throw
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kBadModel);
    said = e.what();
  }
  if (said.empty()) {
    CHECK_NOTHROW(load_model(opened));
  } else {
    CHECK_THROWS_AS(load_model(opened), Error);
  }
  return said;
}

}  // namespace

TEST_CASE("tensors that the architecture has no use for are refused by name") {
  for (const char* name :
       {"model.layers.0.self_attn.q_norm.weight", "model.layers.1.post_feedforward_layernorm.weight",
        "model.norm.bias", "model.layers.0.self_attn.q_proj.weight_scale",
        "model.layers.0.self_attn.q_proj.weight_scale_inv", "model.layers.0.self_attn.q_proj.input_scale",
        "model.layers.0.mlp.down_proj.smooth_scale", "model.layers.0.self_attn.sinks",
        "model.layers.0.self_attn.q_proj.lora_B.default.weight", "model.layers.0.self_attn.q_proj.weights",
        "vision_tower.patch.weight"}) {
    CAPTURE(name);
    CHECK(refusal("llama", {name}) == "1 tensor has no use in model_type llama: " + std::string(name));
  }
  CHECK(refusal("llama", {"d.weight", "b.weight", "c.weight", "a.weight"}) ==
        "4 tensors have no use in model_type llama: d.weight, b.weight, c.weight ...");
}

TEST_CASE("what is computed anew, or only scales a quantised cache, may be there") {
  CHECK(refusal("llama", {}) == "");
  CHECK(refusal("llama", {"model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.1.attn.bias",
                          "model.layers.0.self_attn.masked_bias", "model.layers.0.self_attn.k_scale",
                          "model.layers.0.self_attn.v_scale"}) == "");
}

TEST_CASE("an adapter beside a model is not applied, and that is said") {
  const TempFolder folder;
  make_folder(folder, "llama", {});
  CHECK(checkpoint::open_model(folder.path())->warnings().empty());
  folder.write("adapter_config.json", "{}");
  const auto opened = checkpoint::open_model(folder.path());
  REQUIRE(opened->warnings().size() == 1);
  CHECK(opened->warnings()[0].find("adapters are not applied") != std::string::npos);
}

TEST_CASE("a wrapper's prefix of all names is told") {
  for (const std::string prefix : {"language_model.", "base_model.model.", "module.", "_orig_mod."}) {
    const TempFolder folder;
    make_folder(folder, "llama", {}, prefix);
    try {
      const std::string said = check_loadable(checkpoint::open_model(folder.path()));
      FAIL("taken");
    } catch (const Error& e) {
      CAPTURE(e.message());
      CHECK(e.kind() == ErrorKind::kBadModel);
      CHECK(e.hint().find("\"" + prefix + "\"") != std::string::npos);
    }
  }
}
