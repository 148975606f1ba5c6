// Bytes as config.json: a configuration that holds together or an Error{kBadModel}.
#include <cstdint>

#include "io/json.h"
#include "model/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const ds::Json json =
        ds::parse_json({reinterpret_cast<const char*>(data), size}, "config.json", ds::ErrorKind::kBadModel);
    const ds::ModelConfig config = ds::parse_model_config(json, "config.json");
    DS_CHECK(config.vocab_size > 0 && config.hidden_size > 0 && config.num_hidden_layers > 0);
  } catch (const ds::Error& e) {
    DS_CHECK(e.kind() == ds::ErrorKind::kBadModel);
  }
  return 0;
}
