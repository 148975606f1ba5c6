// Adapters of PEFT: read, judged, averaged.
#include "train/adapter_folder.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "io/json.h"
#include "io/temp_folder.h"

using namespace ds;
using namespace ds::train;

namespace {

using Matrix = std::vector<float>;
struct Module {
  std::string name;
  int64_t rank, n_in, n_out;
  Matrix a, b;
};

std::string write_adapter(
    const test::TempFolder& folder, const std::string& name, const std::vector<Module>& modules,
    const std::string& config =
        R"({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "base_model_name_or_path": "m"})") {
  std::vector<io::TensorInfo> tensors;
  std::string data;
  for (const Module& m : modules)
    for (const bool is_a : {true, false}) {
      io::TensorInfo t;
      t.name = "base_model.model." + m.name + (is_a ? ".lora_A.weight" : ".lora_B.weight");
      t.dtype = DType::kF32;
      t.dtype_name = "F32";
      t.shape = is_a ? std::vector{m.rank, m.n_in} : std::vector{m.n_out, m.rank};
      tensors.push_back(t);
      const Matrix& values = is_a ? m.a : m.b;
      data.append(reinterpret_cast<const char*>(values.data()), 4 * values.size());
    }
  const std::string path = folder / name;
  std::filesystem::create_directory(path);
  folder.write(name + "/adapter_config.json", config);
  folder.write(name + "/adapter_model.safetensors", io::make_safetensors_header(tensors, {}) + data);
  return path;
}

// scale * B A, [out, in]
std::vector<double> change(const AdapterFolder& adapter, const std::string& name) {
  for (const AdapterModule& m : adapter.modules()) {
    if (m.name != name) continue;
    const Matrix a = adapter.values(*m.a), b = adapter.values(*m.b);
    std::vector<double> out(static_cast<size_t>(m.n_out * m.n_in));
    for (int64_t o = 0; o < m.n_out; ++o)
      for (int64_t i = 0; i < m.n_in; ++i)
        for (int64_t r = 0; r < m.rank; ++r)
          out[static_cast<size_t>(o * m.n_in + i)] +=
              m.scale * b[static_cast<size_t>(o * m.rank + r)] * a[static_cast<size_t>(r * m.n_in + i)];
    return out;
  }
  return {};
}

const Module kQ{"model.layers.0.self_attn.q_proj", 2, 3, 2, {1, 2, 3, 4, 5, 6}, {1, -1, 0.5f, 2}};
const Module kQ2{"model.layers.0.self_attn.q_proj", 1, 3, 2, {1, 0, -1}, {3, -2}};
const Module kO{"model.layers.0.self_attn.o_proj", 1, 2, 2, {1, 1}, {1, 2}};

bool finds(const AdapterFolder& adapter, const std::string& words) {
  for (const auto& finding : lint_adapter(adapter))
    if ((finding.where + ": " + finding.says).find(words) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("the average of adapters is the mean of their changes, whatever their ranks, scales and modules") {
  const test::TempFolder folder;
  const std::string one =
      R"({"peft_type": "LORA", "r": 1, "lora_alpha": 3, "use_rslora": true, "target_modules": ["q_proj"], "base_model_name_or_path": "m"})";
  const std::string a = write_adapter(folder, "a", {kQ}), b = write_adapter(folder, "b", {kO, kQ2}, one);
  const std::string out = folder / "mean";
  const AdapterAverage average = average_adapters({a, b}, {3, 1}, out);
  CHECK(average.rank == 3);
  CHECK(average.n_modules == 2);
  const AdapterFolder mean(out), first(a), second(b);
  for (const AdapterModule& m : mean.modules()) {
    CHECK(m.rank == 3);
    CHECK(m.scale == 1);
  }
  const auto q = change(mean, kQ.name), q1 = change(first, kQ.name), q2 = change(second, kQ.name);
  REQUIRE(q.size() == 6);
  for (size_t i = 0; i < q.size(); ++i)
    CHECK(q[i] == doctest::Approx(0.75 * q1[i] + 0.25 * q2[i]).epsilon(1e-6));
  const auto o = change(mean, kO.name), o2 = change(second, kO.name);
  for (size_t i = 0; i < o.size(); ++i) CHECK(o[i] == doctest::Approx(0.25 * o2[i]).epsilon(1e-6));
  CHECK(!finds(mean, "rank"));
  // A second round over the mean is a round like any other.
  CHECK(average_adapters({out, out}, {}, folder / "again").rank == 6);
  CHECK_THROWS_AS(average_adapters({a, b}, {}, out), Error);  // it is there
  CHECK_THROWS_AS(average_adapters({a, b}, {1}, folder / "x"), Error);
  CHECK_THROWS_AS(average_adapters({a, b}, {-1, 2}, folder / "x"), Error);
  const std::string other =
      write_adapter(folder, "c", {kQ}, R"({"peft_type": "LORA", "base_model_name_or_path": "n"})");
  CHECK_THROWS_AS(average_adapters({a, other}, {}, folder / "x"), Error);
}

TEST_CASE("what is no adapter is refused") {
  const test::TempFolder folder;
  CHECK_THROWS_AS(AdapterFolder(folder / "none"), Error);
  CHECK_THROWS_AS(AdapterFolder(write_adapter(folder, "a", {kQ}, "{\"peft_type\": \"IA3\"}")), Error);
  CHECK_THROWS_AS(AdapterFolder(write_adapter(folder, "b", {kQ}, "[]")), Error);
  CHECK_THROWS_AS(AdapterFolder(write_adapter(folder, "c", {})), Error);
  Module odd = kQ;
  odd.name += ".lora_A.weight";
  const std::string path = write_adapter(folder, "d", {kQ});
  std::string bytes = test::slurp(path + "/adapter_model.safetensors");
  bytes.replace(bytes.find("lora_B"), 6, "lora_C");
  folder.write("d/adapter_model.safetensors", bytes);
  CHECK_THROWS_AS(AdapterFolder{path}, Error);  // A without B
}

TEST_CASE("lint says what loaders make of an adapter") {
  const test::TempFolder folder;
  CHECK(lint_adapter(AdapterFolder(write_adapter(folder, "good", {kQ}))).empty());
  Module kv = kQ, zero = kQ, expert = kQ, dense = kQ, wrong = kQ2, broken = kQ;
  kv.name = "model.layers.0.self_attn.kv_b_proj";
  zero.b.assign(4, 0);
  expert.name = "model.layers.1.mlp.experts.0.gate_proj";
  dense.name = "model.layers.0.mlp.down_proj";
  broken.a[0] = NAN;
  CHECK(finds(AdapterFolder(write_adapter(folder, "kv", {kv})), "never applies it"));
  CHECK(finds(AdapterFolder(write_adapter(folder, "zero", {zero})), "changes nothing"));
  const AdapterFolder mixed(write_adapter(folder, "mixed", {dense, expert}));
  CHECK(finds(mixed, "refuses one without the other"));
  CHECK(finds(mixed, "drops those of dense layers"));
  CHECK(finds(AdapterFolder(write_adapter(folder, "wrong", {wrong})), "the tensors have rank 1"));
  const auto errors = lint_adapter(AdapterFolder(write_adapter(folder, "broken", {broken})));
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].error);
  const Json info = adapter_info(AdapterFolder(folder / "good"));
  CHECK(as_int(*find(info, "n_values")) == 10);
  // ||2 B A||: by hand.
  CHECK((*find(info, "modules"))[0]["norm"].get<double>() ==
        doctest::Approx(2 * std::sqrt(27 + 8.5 * 8.5 + 11 * 11 + 13.5 * 13.5)));
}
