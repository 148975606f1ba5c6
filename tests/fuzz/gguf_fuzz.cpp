// Any bytes as a GGUF file: the container alone, then as a model, whose config, tokenizer and values are all
// asked for. Refused, or every value can be read.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "checkpoint/gguf_config.h"
#include "checkpoint/model_folder.h"
#include "core/error.h"
#include "text/tokenizer/tokenizer.h"

using namespace ds;
using namespace ds::checkpoint;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t n) {
  static const int fd = ::memfd_create("fuzz", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, bytes, n, 0) != static_cast<ssize_t>(n)) return 0;
  if (n < 4 || std::string_view(reinterpret_cast<const char*>(bytes), 4) != "GGUF") return 0;
  try {
    text::Tokenizer::from_json(gguf_member_text(path, "tokenizer.json"), path).encode("a b\n12");
  } catch (const Error&) {
  }
  try {
    gguf_member_text(path, "tokenizer_config.json");
    const ModelFolder model(path);
    for (const StoredTensor& t : model.tensors()) DS_CHECK(!model.where(t).empty());
    first_non_finite(model);
    model.config();
  } catch (const Error&) {
  }
  return 0;
}
