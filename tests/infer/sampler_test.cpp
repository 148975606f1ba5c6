#include "infer/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

using namespace ds;
using namespace ds::infer;

namespace {

const std::vector<float> kLogits = {1.0f, 3.0f, 2.0f, -1.0f, 3.0f, 0.0f};

// How often each token comes in n draws, each from a stream of its own.
std::map<int32_t, int> draw(const SamplingParams& params, int n, std::span<const float> logits = kLogits,
                            std::span<const int32_t> context = {}) {
  Sampler sampler(static_cast<int64_t>(logits.size()));
  std::map<int32_t, int> counts;
  for (int i = 0; i < n; ++i) {
    sampler.start(params, i, context);
    ++counts[sampler.sample(logits)];
  }
  return counts;
}

}  // namespace

TEST_CASE("temperature 0 takes the largest, ties go to the lowest id") {
  SamplingParams params;
  params.temperature = 0;
  CHECK(draw(params, 10) == std::map<int32_t, int>{{1, 10}});
}

TEST_CASE("draws follow the softmax of logits / temperature") {
  for (const double temperature : {0.5, 1.0, 2.0}) {
    SamplingParams params;
    params.temperature = temperature;
    const int n = 40000;
    const auto counts = draw(params, n);
    double total = 0;
    for (const float x : kLogits) total += std::exp(x / temperature);
    for (size_t i = 0; i < kLogits.size(); ++i) {
      const double p = std::exp(kLogits[i] / temperature) / total;
      const double got = counts.contains(static_cast<int32_t>(i)) ? counts.at(static_cast<int32_t>(i)) : 0;
      CHECK(std::fabs(got - n * p) < 5 * std::sqrt(n * p * (1 - p)) + 1);  // five standard deviations
    }
  }
}

TEST_CASE("top-k, top-p and min-p keep what they say") {
  SamplingParams params;
  params.top_k = 2;
  auto counts = draw(params, 500);
  CHECK(counts.size() == 2);
  CHECK((counts.contains(1) && counts.contains(4)));
  params.top_k = 1;
  CHECK(draw(params, 50) == std::map<int32_t, int>{{1, 50}});  // of equals the lowest id

  params = {};
  params.top_p = 0.5;  // 1 and 4 hold 0.38 each
  counts = draw(params, 500);
  CHECK(counts.size() == 2);
  params.top_p = 1e-9;
  CHECK(draw(params, 50) == std::map<int32_t, int>{{1, 50}});

  params = {};
  params.min_p = 0.3;  // token 2 has e^-1 = 0.37 of the largest, token 0 e^-2
  counts = draw(params, 2000);
  CHECK(counts.size() == 3);
  CHECK_FALSE(counts.contains(0));
}

TEST_CASE("top-p works on temperature-scaled probabilities, also over large vocabularies") {
  std::vector<float> logits(5000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = std::sin(static_cast<float>(i)) * 2;
  SamplingParams params;
  params.temperature = 5;
  params.top_p = 0.9;
  const auto counts = draw(params, 3000, logits);
  // What top-p drops are the least likely tokens.
  double total = 0;
  for (const float x : logits) total += std::exp(x / 5.0);
  std::vector<float> sorted = logits;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  double held = 0;
  size_t n = 0;
  while (held < 0.9 * total) held += std::exp(sorted[n++] / 5.0);
  for (const auto& [id, count] : counts) CHECK(logits[id] >= sorted[n - 1]);
}

TEST_CASE("the repeat penalty lowers what the context holds, positive or negative") {
  SamplingParams params;
  params.temperature = 0;
  params.repeat_penalty = 2;
  const std::vector<int32_t> context = {1, 1, 4};
  CHECK(draw(params, 3, kLogits, context) == std::map<int32_t, int>{{2, 3}});  // 3 / 2 < 2
  const std::vector<float> negative = {-1.0f, -1.5f};
  const std::vector<int32_t> first = {0};
  CHECK(draw(params, 3, negative, first) == std::map<int32_t, int>{{1, 3}});
  // What was sampled counts as context for the next draw.
  Sampler sampler(2);
  sampler.start(params, 0, {});
  CHECK(sampler.sample(std::vector<float>{1.0f, 0.9f}) == 0);
  CHECK(sampler.sample(std::vector<float>{1.0f, 0.9f}) == 1);
}

TEST_CASE("seed and stream fix the sequence") {
  SamplingParams params;
  params.seed = 42;
  const auto sequence = [&](uint64_t stream) {
    Sampler sampler(static_cast<int64_t>(kLogits.size()));
    sampler.start(params, stream, {});
    std::vector<int32_t> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(sampler.sample(kLogits));
    return ids;
  };
  CHECK(sequence(0) == sequence(0));
  CHECK(sequence(0) != sequence(1));
  const auto old = sequence(0);
  params.seed = 43;
  CHECK(sequence(0) != old);
}

TEST_CASE("NaN is never drawn; nothing but NaN is an error") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  SamplingParams params;
  CHECK(draw(params, 50, std::vector<float>{nan, 1.0f, -inf}) == std::map<int32_t, int>{{1, 50}});
  CHECK_THROWS_AS(draw(params, 1, std::vector<float>{nan, nan}), Error);
  CHECK_THROWS_AS(draw(params, 1, std::vector<float>{inf, 1.0f}), Error);
}

TEST_CASE("senseless parameters are refused") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto check = [](auto change) {
    SamplingParams params;
    change(params);
    CHECK_THROWS_AS(check_sampling(params, ErrorKind::kUsage, ""), Error);
  };
  check([](SamplingParams& p) { p.temperature = -0.1; });
  check([&](SamplingParams& p) { p.temperature = nan; });
  check([](SamplingParams& p) { p.top_p = 0; });
  check([](SamplingParams& p) { p.top_p = 1.1; });
  check([&](SamplingParams& p) { p.min_p = nan; });
  check([](SamplingParams& p) { p.top_k = -1; });
  check([](SamplingParams& p) { p.repeat_penalty = 0; });
}

TEST_CASE("min_p of 1 keeps all that are as likely as the most likely one") {
  SamplingParams params;
  params.min_p = 1;
  const auto counts = draw(params, 300);
  CHECK(counts.size() == 2);
  CHECK((counts.contains(1) && counts.contains(4)));
  params.min_p = 0;
  CHECK(draw(params, 5000).size() == kLogits.size());
}

TEST_CASE("top-p and top-k: of equals the lowest ids, and no more than hold the share") {
  for (const size_t n : {4, 200, 1000}) {  // the front is sorted in steps of 128 and more
    const std::vector<float> equal(n, 0.5f);
    for (const size_t kept : {size_t{1}, n / 4, n / 2, n}) {
      SamplingParams params;
      params.top_p = static_cast<double>(kept) / static_cast<double>(n);
      for (const auto& [id, count] : draw(params, 2000, equal)) CHECK(id < static_cast<int32_t>(kept));
      if (kept <= 100) CHECK(draw(params, 3000, equal).size() == kept);
      params = {};
      params.top_k = static_cast<int64_t>(kept);
      for (const auto& [id, count] : draw(params, 2000, equal)) CHECK(id < static_cast<int32_t>(kept));
    }
  }
  SamplingParams params;
  params.top_k = static_cast<int64_t>(kLogits.size()) - 1;
  CHECK_FALSE(draw(params, 20000).contains(3));  // the least likely one alone
}

TEST_CASE("parameters are refused beyond each bound and taken on it") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  struct Bounds {
    double SamplingParams::*parameter;
    std::vector<double> good, bad;
  };
  const double above_1000 = std::nextafter(1000.0, inf), above_1 = std::nextafter(1.0, inf), least = 5e-324;
  for (const Bounds& b :
       {Bounds{&SamplingParams::temperature, {0, 1000}, {-least, above_1000, inf, nan}},
        {&SamplingParams::top_p, {least, 1}, {0, -least, above_1, inf, nan}},
        {&SamplingParams::min_p, {0, 1}, {-least, above_1, inf, nan}},
        {&SamplingParams::repeat_penalty, {least, 1000}, {0, -least, above_1000, inf, nan}}}) {
    SamplingParams params;
    for (const double x : b.good) {
      params.*b.parameter = x;
      CHECK_NOTHROW(check_sampling(params, ErrorKind::kUsage, ""));
    }
    for (const double x : b.bad) {
      params.*b.parameter = x;
      CHECK_THROWS_AS(check_sampling(params, ErrorKind::kUsage, ""), Error);
    }
  }
  SamplingParams params;
  for (const int64_t k : {int64_t{0}, int64_t{1}, std::numeric_limits<int64_t>::max()}) {
    params.top_k = k;
    CHECK_NOTHROW(check_sampling(params, ErrorKind::kUsage, ""));
  }
}
