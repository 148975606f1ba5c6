// The accountant against Opacus' values and a second implementation.
#include "train/privacy.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/json_value.h"
#include "io/files.h"
#include "io/json.h"

using namespace ds;
using namespace ds::train;

namespace {
Json golden() {
  const std::string path = DS_SOURCE_DIR "/tests/golden/train/accountant.json";
  return io::parse_json(io::read_file(path), path);
}
double number(const Json& json, const char* name) { return find(json, name)->get<double>(); }
}  // namespace

TEST_CASE("epsilon and the divergences behind it are the accountant's") {
  const Json all = golden();
  for (const Json& row : *find(all, "rows")) {
    std::vector<PrivacyPhase> phases;
    for (const Json& h : *find(row, "history"))
      phases.push_back({number(h, "q"), number(h, "sigma"), as_int(*find(h, "steps"))});
    const PrivacySpent spent = privacy_spent(phases, number(row, "delta"));
    CHECK(spent.epsilon == doctest::Approx(number(row, "eps")).epsilon(1e-9));
    CHECK(spent.order == doctest::Approx(number(row, "best_order")));
    for (const auto& rdp : find(row, "rdp")->items()) {
      const std::string order = rdp.key();
      double sum = 0;
      for (const PrivacyPhase& p : phases) sum += renyi_divergence(p, std::stod(order));
      INFO(order);
      CHECK(sum == doctest::Approx(rdp.value().get<double>()).epsilon(1e-8));
    }
  }
}

TEST_CASE("the smallest noise for an epsilon, never below it") {
  const Json all = golden();
  for (const Json& row : *find(all, "smallest_sigma")) {
    const PrivacyPhase next{number(row, "q"), 0, as_int(*find(row, "steps"))};
    const double delta = number(row, "delta"), epsilon = number(row, "eps");
    const double sigma = smallest_noise({}, next, delta, epsilon);
    CHECK(sigma == doctest::Approx(number(row, "sigma")).epsilon(1e-9));
    const PrivacyPhase with{next.sampling_rate, sigma, next.n_steps};
    CHECK(privacy_spent({&with, 1}, delta).epsilon <= epsilon);
  }
}

TEST_CASE("no steps spend nothing, no noise spends all, and what makes no sense is refused") {
  CHECK(privacy_spent({}, 1e-5).epsilon == 0);
  const PrivacyPhase idle{0.1, 1, 0}, bare{0.1, 0, 1};
  CHECK(privacy_spent({&idle, 1}, 1e-5).epsilon == 0);
  CHECK(std::isinf(privacy_spent({&bare, 1}, 1e-5).epsilon));
  for (const PrivacyPhase& p :
       {PrivacyPhase{1.5, 1, 1}, {-0.1, 1, 1}, {0.1, -1, 1}, {0.1, 1, -1}, {NAN, 1, 1}})
    CHECK_THROWS_AS(privacy_spent({&p, 1}, 1e-5), Error);
  for (const double delta : {0.0, 1.0, -1.0}) CHECK_THROWS_AS(privacy_spent({}, delta), Error);
  // What was spent before cannot be had back.
  const PrivacyPhase before{0.04, 1.5, 2250};
  CHECK_THROWS_AS(smallest_noise({&before, 1}, {0.01, 0, 100}, 1e-5, 3), Error);
  CHECK_THROWS_AS(smallest_noise({}, {0.01, 0, 100}, 1e-5, 0), Error);
}
