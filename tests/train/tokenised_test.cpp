// Records of tokens: what is one, and what is said of others.
#include "train/tokenised.h"

#include <doctest/doctest.h>

#include "io/json.h"

using namespace ds;
using namespace ds::train;

TEST_CASE("a record of tokens is a document") {
  const auto document = [](const char* text) { return tokenised_document(io::parse_json(text, "x"), "f:1"); };
  const TrainingDocument d = document(R"({"input_ids": [1, 2, 3], "labels": [-100, 2, -100]})");
  CHECK(d.input_ids == std::vector<int32_t>{1, 2, 3});
  CHECK(d.labels == std::vector<int32_t>{-100, 2, -100});
  CHECK(d.id == "f:1");
  for (const char* bad : {R"({})", R"({"input_ids": 3, "labels": []})", R"({"input_ids": [1], "labels": []})",
                          R"({"input_ids": [1.5], "labels": [-100]})", R"({"input_ids": [1], "labels": [1]})",
                          R"({"input_ids": [1, 2], "labels": [-100, -7]})",
                          R"({"input_ids": [99999999999], "labels": [-100]})"}) {
    INFO(bad);
    CHECK_THROWS_AS(document(bad), Error);
  }
}
