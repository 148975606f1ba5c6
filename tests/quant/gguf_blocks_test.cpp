// Blocks of GGUF against those of ggml's own quantisers (tests/golden/README.md), their error against what
// the format promises, and which tensor gets which type.
#include "quant/gguf_blocks.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "checkpoint/gguf_types.h"
#include "checkpoint/model_maker.h"
#include "core/error.h"
#include "io/safetensors.h"
#include "quant/gguf_export.h"
#include "quant/gguf_mixture.h"

using namespace ds;
using namespace ds::quant;
using namespace ds::test;

namespace {

constexpr GgufType kTypes[] = {GgufType::kQ4_0, GgufType::kQ5_0, GgufType::kQ8_0, GgufType::kQ4_K,
                               GgufType::kQ6_K};

std::vector<uint8_t> encoded(GgufType type, const std::vector<float>& x) {
  const auto n = static_cast<int64_t>(x.size());
  std::vector<uint8_t> out(static_cast<size_t>(io::gguf_row_bytes(type, n)));
  find_gguf_blocks(type)->encode(x.data(), n, out.data());
  return out;
}
std::vector<float> there_and_back(GgufType type, const std::vector<float>& x) {
  const std::vector<uint8_t> blocks = encoded(type, x);
  std::vector<float> y(x.size());
  find_gguf_type(static_cast<uint32_t>(type))
      ->format.decode_row(reinterpret_cast<const std::byte*>(blocks.data()), static_cast<int64_t>(x.size()),
                          y.data());
  return y;
}
// Of signal to error, in dB.
double sqnr(const std::vector<float>& x, const std::vector<float>& y) {
  double signal = 0, noise = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    signal += static_cast<double>(x[i]) * x[i];
    noise += (static_cast<double>(x[i]) - y[i]) * (static_cast<double>(x[i]) - y[i]);
  }
  return 10 * std::log10(signal / noise);
}

}  // namespace

TEST_CASE("GGUF blocks: the bytes of ggml's quantisers") {
  const SafetensorsFile golden(DS_SOURCE_DIR "/tests/golden/quant/gguf_blocks.safetensors");
  const auto* values = golden.find("values");
  REQUIRE(values != nullptr);
  std::vector<float> x(static_cast<size_t>(values->n_elements()));
  std::memcpy(x.data(), golden.data(*values).data(), 4 * x.size());
  for (const GgufType type : kTypes) {
    CAPTURE(gguf_type_name(type));
    const auto* wanted = golden.find(gguf_type_name(type));
    REQUIRE(wanted != nullptr);
    const std::vector<uint8_t> ours = encoded(type, x);
    REQUIRE(ours.size() == golden.data(*wanted).size());
    const auto* theirs = reinterpret_cast<const uint8_t*>(golden.data(*wanted).data());
    const int64_t block = wanted->shape[1];
    for (size_t i = 0; i < ours.size(); ++i)
      if (ours[i] != theirs[i])
        FAIL("block ", static_cast<int64_t>(i) / block, " byte ", static_cast<int64_t>(i) % block, ": ",
             int{ours[i]}, " for ", int{theirs[i]});
  }
}

TEST_CASE("GGUF blocks: the error is within the format's step") {
  const std::vector<float> x = random_values(256 * 64, 5);  // uniform in +-0.5
  float most = 0;
  for (const float v : x) most = std::max(most, std::fabs(v));
  const auto worst = [&](GgufType type) {
    const std::vector<float> y = there_and_back(type, x);
    float off = 0;
    for (size_t i = 0; i < x.size(); ++i) off = std::max(off, std::fabs(x[i] - y[i]));
    return off / most;
  };
  // Half a step, and a whole one at the end that has a code less.
  CHECK(worst(GgufType::kQ4_0) <= 1.01 / 8);
  CHECK(worst(GgufType::kQ5_0) <= 1.01 / 16);
  CHECK(worst(GgufType::kQ8_0) <= 0.51 / 127);
  CHECK(worst(GgufType::kQ4_K) <= 1.6 / 15);  // a minimum and a scale of six bits, too
  CHECK(worst(GgufType::kQ6_K) <= 1.3 / 32);
  CHECK(sqnr(x, there_and_back(GgufType::kQ4_0, x)) > 21);
  CHECK(sqnr(x, there_and_back(GgufType::kQ4_K, x)) > 23);
  CHECK(sqnr(x, there_and_back(GgufType::kQ5_0, x)) > 27);
  CHECK(sqnr(x, there_and_back(GgufType::kQ6_K, x)) > 33);
  CHECK(sqnr(x, there_and_back(GgufType::kQ8_0, x)) > 45);
}

TEST_CASE("GGUF blocks: the largest values allowed stay finite, the smallest become zero") {
  for (const GgufType type : kTypes) {
    const GgufBlockRow& row = *find_gguf_blocks(type);
    CAPTURE(row.name);
    for (const float sign : {1.0f, -1.0f})
      for (const int one_in : {1, 2, 16, 256}) {
        std::vector<float> x(256, 0.0f);
        for (int i = 0; i < 256; i += one_in) x[i] = sign * row.most * (i % 3 == 1 ? -0.5f : 1);
        const std::vector<float> y = there_and_back(type, x);
        for (int i = 0; i < 256; ++i) {
          REQUIRE(std::isfinite(y[i]));
          CHECK(std::fabs(y[i] - x[i]) <= row.most / 7);
        }
      }
    // Scales of which neither the inverse nor the binary16 number is one.
    for (const int exponent : {-149, -140, -130, -127, -126, -120}) {
      std::vector<float> x(256);
      for (int i = 0; i < 256; ++i) x[i] = std::ldexp(static_cast<float>(i % 17 - 8), exponent);
      for (const float v : there_and_back(type, x)) CHECK(v == 0);
    }
  }
}

TEST_CASE("GGUF mixtures: the head and every third layer are finer beside four bits; rows that do not fit") {
  const std::vector<int64_t> matrix = {512, 512};
  const GgufMixture q4_k{GgufType::kQ4_K, 24, false}, tied{GgufType::kQ4_K, 24, true},
      q4_0{GgufType::kQ4_0, 24, false}, q6_k{GgufType::kQ6_K, 24, true};
  CHECK(q4_k.wanted("output.weight", matrix) == GgufType::kQ6_K);
  CHECK(q4_k.wanted("token_embd.weight", matrix) == GgufType::kQ4_K);
  CHECK(tied.wanted("token_embd.weight", matrix) == GgufType::kQ6_K);
  CHECK(q4_0.wanted("output.weight", matrix) == GgufType::kQ6_K);
  CHECK(q4_0.wanted("blk.0.attn_v.weight", matrix) == GgufType::kQ4_0);
  CHECK(q6_k.wanted("blk.3.ffn_gate.weight", matrix) == GgufType::kQ6_K);
  std::string finer;
  for (int i = 0; i < 24; ++i) {
    const std::string layer = "blk." + std::to_string(i);
    const GgufType down = q4_k.wanted(layer + ".ffn_down_exps.weight", {8, 512, 512});
    CHECK(q4_k.wanted(layer + ".attn_v.weight", matrix) == down);
    CHECK(q4_k.wanted(layer + ".attn_q.weight", matrix) == GgufType::kQ4_K);
    if (down == GgufType::kQ6_K) finer += std::to_string(i) + " ";
  }
  CHECK(finer == "0 1 2 5 8 11 14 17 20 21 22 23 ");
  CHECK(q4_k.wanted("blk.0.ffn_gate_inp.weight", matrix) == GgufType::kF32);
  CHECK(q4_k.wanted("blk.0.ffn_down.bias", {512}) == GgufType::kF32);
  CHECK(fitting(GgufType::kQ4_K, 512) == GgufType::kQ4_K);
  CHECK(fitting(GgufType::kQ4_K, 576) == GgufType::kQ5_0);
  CHECK(fitting(GgufType::kQ6_K, 576) == GgufType::kQ8_0);
  CHECK(fitting(GgufType::kQ6_K, 24) == GgufType::kBF16);
  CHECK(fitting(GgufType::kQ4_0, 288) == GgufType::kQ4_0);
  CHECK(fitting(GgufType::kQ4_0, 40) == GgufType::kBF16);
  CHECK(fitting(GgufType::kF32, 1) == GgufType::kF32);
}

TEST_CASE("GGUF export: the same bytes for any number of threads; stand-ins are counted and named") {
  const TempFolder model, out;
  model.write("config.json",
              R"({"model_type":"llama","num_hidden_layers":1,"num_attention_heads":2,"hidden_size":256,)"
              R"("intermediate_size":96,"vocab_size":64,"max_position_embeddings":64})");
  write_shard(model, "model.safetensors",
              {f32_tensor("model.embed_tokens.weight", {64, 256}, random_values(64 * 256, 1)),
               f32_tensor("model.layers.0.mlp.up_proj.weight", {96, 256}, random_values(96 * 256, 2)),
               f32_tensor("model.layers.0.mlp.down_proj.weight", {256, 96}, random_values(256 * 96, 3)),
               f32_tensor("model.norm.weight", {256}, random_values(256, 4))});
  const ModelFolder folder(model.path());
  for (const QuantTarget target :
       {QuantTarget::kGgufQ4_0, QuantTarget::kGgufQ4_K, QuantTarget::kGgufQ6_K, QuantTarget::kGgufQ8_0}) {
    QuantizeOptions o;
    o.target = target;
    std::string first;
    for (const int n_threads : {1, 2, 7}) {
      o.n_threads = n_threads;
      o.out = out / std::to_string(n_threads);
      o.force = true;
      const GgufReport report = export_gguf(folder, o);
      CHECK(report.bytes_written == report.bytes_planned);
      const std::string bytes = slurp(o.out);
      if (first.empty()) first = bytes;
      CHECK(bytes == first);
      if (target == QuantTarget::kGgufQ4_K) {
        CHECK(report.n_of_type ==
              std::map<std::string, int64_t>{{"Q4_K", 1}, {"Q6_K", 1}, {"Q8_0", 1}, {"F32", 1}});
        const auto named = [](const std::string& note) {
          return note.find("1 tensors are Q8_0 in place of Q6_K") != std::string::npos;
        };
        CHECK(std::any_of(report.notes.begin(), report.notes.end(), named));
      }
    }
  }
  // A value beyond the scale, and one that is none, are named with their place in every type.
  for (const float bad : {1e9f, std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> values = random_values(64 * 256, 1);
    values[258] = bad;
    write_shard(model, "model.safetensors", {f32_tensor("model.embed_tokens.weight", {64, 256}, values)});
    const ModelFolder broken(model.path());
    for (const QuantTarget target :
         {QuantTarget::kGgufQ4_0, QuantTarget::kGgufQ4_K, QuantTarget::kGgufQ6_K}) {
      QuantizeOptions o;
      o.target = target;
      o.nan_policy = NanPolicy::kKeep;
      o.out = out / "broken";
      try {
        export_gguf(broken, o);
        FAIL("accepted");
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::kBadModel);
        CHECK(error.message().find("[1, 2]") != std::string::npos);
      }
    }
  }
}
