// Distillation losses and gradients against float64 PyTorch.
#include "train/distill.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "core/json_value.h"
#include "io/files.h"
#include "io/json.h"
#include "io/safetensors.h"

using namespace ds;
using namespace ds::train;

namespace {

const std::string kFolder = DS_SOURCE_DIR "/tests/golden/train/";

std::vector<float> tensor(const io::SafetensorsFile& file, const std::string& name) {
  const io::TensorInfo* info = file.find(name);
  REQUIRE(info != nullptr);
  std::vector<float> out(static_cast<size_t>(info->n_elements()));
  const auto bytes = file.data(*info);
  if (info->dtype_name == "F64") {
    std::vector<double> wide(out.size());
    std::memcpy(wide.data(), bytes.data(), bytes.size());
    out.assign(wide.begin(), wide.end());
  } else {
    std::memcpy(out.data(), bytes.data(), bytes.size());
  }
  return out;
}

std::vector<float> top_logprobs(std::span<const float> teacher, const Json& ids, double temperature) {
  double sum = 0;
  for (const float z : teacher) sum += std::exp(z / temperature);
  std::vector<float> out;
  for (const Json& id : ids)
    out.push_back(static_cast<float>(teacher[static_cast<size_t>(as_int(id))] / temperature - std::log(sum)));
  return out;
}

}  // namespace

TEST_CASE("losses and gradients are PyTorch's in float64") {
  const Json all = io::parse_json(io::read_file(kFolder + "distill.json"), "distill.json");
  const io::SafetensorsFile file(kFolder + "distill.safetensors");
  const std::vector<float> teacher = tensor(file, "teacher_logits"), student = tensor(file, "student_logits");
  const auto n = static_cast<size_t>(as_int(*find(all, "positions")));
  const auto vocab = static_cast<size_t>(as_int(*find(all, "vocab")));
  const auto n_trained = static_cast<double>(as_int(*find(all, "N")));
  for (const auto& value : find(all, "values")->items()) {
    const std::string name = value.key();
    const Json& row = value.value();
    INFO(name);
    const double temperature = name.ends_with("_T2") ? 2 : 1;
    DistillOptions options{Divergence::kForwardKl, 0.5, temperature};
    if (name.starts_with("reverse")) options.divergence = Divergence::kReverseKl;
    if (name.starts_with("jsd_")) {
      options.divergence = Divergence::kJensenShannon;
      options.beta = std::stod(name.substr(4));
    }
    std::vector<float> gradient(student.size());
    double loss = 0;
    for (size_t t = 0; t < n; ++t) {
      const bool trained = as_int((*find(all, "mask"))[t]) != 0;
      const auto p = std::span(teacher).subspan(t * vocab, vocab),
                 q = std::span(student).subspan(t * vocab, vocab);
      const auto g = trained ? std::span(gradient).subspan(t * vocab, vocab) : std::span<float>();
      double own;
      if (name.starts_with("topk")) {
        const Json& json = (*find(all, "top_k_ids"))[t];
        std::vector<int32_t> ids;
        for (const Json& id : json) ids.push_back(static_cast<int32_t>(as_int(id)));
        const std::vector<float> logprobs = top_logprobs(p, json, temperature);
        own = distill_top_loss({ids, logprobs, name.starts_with("topk_tail")}, q, temperature, 1 / n_trained,
                               g);
      } else {
        own = distill_loss(p, q, options, 1 / n_trained, g);
      }
      CHECK(own == doctest::Approx((*find(row, "per_position"))[t].get<double>()).epsilon(1e-6));
      if (trained) loss += own / n_trained;
    }
    CHECK(loss == doctest::Approx(find(row, "loss")->get<double>()).epsilon(1e-6));
    const std::vector<float> wanted = tensor(file, "grad." + name);
    float worst = 0;
    for (size_t i = 0; i < wanted.size(); ++i) worst = std::max(worst, std::abs(wanted[i] - gradient[i]));
    CHECK(worst < 1e-7);
  }
}

TEST_CASE(
    "a beta of 0 or 1 is forward or reverse KL, and a student that equals its teacher has nothing to learn") {
  const std::vector<float> p = {1, 2, 3, -40}, q = {3, 1, 0.5f, 2};
  for (const double beta : {0.0, 1.0}) {
    const DistillOptions mixed{Divergence::kJensenShannon, beta, 1};
    const DistillOptions pure{beta == 0 ? Divergence::kForwardKl : Divergence::kReverseKl, 0.5, 1};
    CHECK(distill_loss(p, q, mixed, 1, {}) == distill_loss(p, q, pure, 1, {}));
  }
  for (const auto kind : {Divergence::kForwardKl, Divergence::kReverseKl, Divergence::kJensenShannon}) {
    std::vector<float> gradient(4);
    CHECK(distill_loss(p, p, {kind, 0.5, 1}, 1, gradient) == doctest::Approx(0).epsilon(1e-12));
    for (const float g : gradient) CHECK(std::abs(g) < 1e-7f);
  }
}

TEST_CASE("one known token with its tail teaches, without it cannot") {
  const std::vector<int32_t> ids = {1};
  const std::vector<float> logprobs = {std::log(0.7f)}, q = {0, 0, 0};
  std::vector<float> gradient(3);
  CHECK(distill_top_loss({ids, logprobs, false}, q, 1, 1, gradient) == 0);
  CHECK(distill_top_loss({ids, logprobs, true}, q, 1, 1, gradient) > 0);
  CHECK(gradient[1] < 0);
  CHECK(gradient[0] + gradient[1] + gradient[2] == doctest::Approx(0).epsilon(1e-6));
}
