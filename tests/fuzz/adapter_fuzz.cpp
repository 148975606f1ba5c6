// Bytes as an adapter's folder, config and tensors apart at the first line feed: it opens or is an Error.
#include <cstdint>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "train/adapter_folder.h"

using namespace ds;
using namespace ds::train;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string folder = [] {
    std::string pattern = (std::filesystem::temp_directory_path() / "dstools-fuzz-XXXXXX").string();
    return std::string(::mkdtemp(pattern.data()));
  }();
  const std::string text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\n'), text.size());
  std::ofstream(folder + "/adapter_config.json", std::ios::binary) << text.substr(0, end);
  std::ofstream(folder + "/adapter_model.safetensors", std::ios::binary)
      << text.substr(std::min(end + 1, size));
  try {
    const AdapterFolder adapter(folder);
    lint_adapter(adapter);
    adapter_info(adapter);
  } catch (const Error&) {
  }
  return 0;
}
