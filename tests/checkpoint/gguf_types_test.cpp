// Every block type against values that gguf-py gives for the same bytes (tests/golden/README.md).
#include "checkpoint/gguf_types.h"

#include <doctest/doctest.h>

#include <cstring>

#include "io/safetensors.h"

using namespace ds;
using namespace ds::checkpoint;

TEST_CASE("blocks of every GGUF type that is read: the same bits as the reference") {
  int n_types = 0;
  for (uint32_t id = 0; id < 64; ++id) {
    const GgufTypeRow* type = find_gguf_type(id);
    if (!type || !type->format.decode_row) continue;
    ++n_types;
    CAPTURE(type->name);
    const SafetensorsFile golden(std::string(DS_SOURCE_DIR "/tests/golden/dequant/") + type->name +
                                 ".safetensors");
    const auto *blocks = golden.find("blocks"), *values = golden.find("values");
    REQUIRE(blocks != nullptr);
    REQUIRE(values != nullptr);
    REQUIRE(blocks->shape[1] == type->format.block_bytes);
    REQUIRE(values->shape[1] == type->format.block_cols);
    std::vector<float> ours(static_cast<size_t>(values->n_elements()));
    type->format.decode_row(golden.data(*blocks).data(), values->n_elements(), ours.data());
    CHECK(std::memcmp(ours.data(), golden.data(*values).data(), 4 * ours.size()) == 0);
  }
  CHECK(n_types == 13);
  CHECK(find_gguf_type(16)->name == std::string("IQ2_XXS"));
  CHECK_FALSE(find_gguf_type(16)->is_readable());
  CHECK(find_gguf_type(99) == nullptr);
}
